//! The command line from outside: help, and every way to be wrong. Each case ends before anything
//! is bound.

use std::process::{Command, Stdio};

use trycmd::TestCases;

#[test]
fn help_and_errors_are_as_written_down() {
    let cases = TestCases::new();
    cases
        .insert_var("[VERSION]", env!("CARGO_PKG_VERSION"))
        .unwrap();
    // The width of a terminal, if there is one, changes nothing.
    cases.env("COLUMNS", "100").case("tests/cmd/*.trycmd");
}

#[test]
fn a_usage_error_ends_with_2_and_leaves_standard_output_alone() {
    for (args, error) in [
        (
            ["--idle-timeout", "15"],
            "error: invalid value '15' for '--idle-timeout",
        ),
        (
            ["--listen", ":9095"],
            "error: --upstream '127.0.0.1:9095': leads back",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_portamento"))
            .args(args)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.starts_with(error), "{args:?}: {stderr}");
    }
}
