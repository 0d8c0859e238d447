//! Where a wrong value comes from.

use std::env;

use clap::{
    Arg, Command, CommandFactory, Error, Parser,
    builder::{Resettable, StyledStr},
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::Args;

/// Parses the command line of this process and its environment.
///
/// # Errors
/// The user wants help, or a value is wrong. The error names the variable that it comes from, if it
/// comes from one.
pub fn parse() -> Result<Args, Error> {
    Args::try_parse().map_err(|mut error| {
        let tip = match error.kind() {
            ErrorKind::InvalidUtf8 => unreadable(),
            _ => variable_of(&error)
                .map(|name| format!("the value is that of the environment variable {name}")),
        };
        if let Some(tip) = tip {
            let tip = ContextValue::StyledStrs(vec![StyledStr::from(tip)]);
            error.insert(ContextKind::Suggested, tip);
        }
        error
    })
}

/// The variable without which the error would be another one, or none.
fn variable_of(error: &Error) -> Option<String> {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let mut command = Args::command();
    command.build();
    let check = command.get_subcommands().flat_map(Command::get_arguments);
    let variable = command
        .get_arguments()
        .chain(check)
        .find(|arg| arg.to_string() == *shown)?
        .get_env()?
        .to_string_lossy()
        .into_owned();
    let without = |command: Command| command.mut_args(|arg: Arg| arg.env(Resettable::Reset));
    let deaf = without(Args::command()).mut_subcommand("check", without);
    let typed = deaf.try_get_matches().err();
    (typed.map(|typed| typed.to_string()) != Some(error.to_string())).then_some(variable)
}

/// What is no UTF-8 of all that is read: the first argument, else the first variable.
fn unreadable() -> Option<String> {
    let arguments: Vec<_> = env::args_os().collect();
    if let Some(index) = arguments.iter().position(|text| text.to_str().is_none()) {
        let shown = arguments[index.saturating_sub(1)..=index].iter();
        let shown: Vec<_> = shown.map(|text| text.to_string_lossy()).collect();
        return Some(format!("it is in '{}'", shown.join(" ")));
    }
    let mut names = env::vars_os().filter(|(_, value)| value.to_str().is_none());
    let name = names.find(|(name, _)| name.to_string_lossy().starts_with("PORTAMENTO_"))?;
    Some(format!(
        "it is in the environment variable {}",
        name.0.display()
    ))
}
