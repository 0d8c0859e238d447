//! What is logged, and how.

use std::fmt;

use clap::ValueEnum;

use super::show_choice;

/// What is logged, and how; always to standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// The least severe events that are logged.
    pub level: LogLevel,
    /// The form of a line.
    pub format: LogFormat,
    /// Which connections leave a line when they end.
    pub access_log: AccessLog,
}

impl fmt::Display for LogConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            level,
            format,
            access_log,
        } = self;
        write!(
            f,
            "log_level={level} log_format={format} access_log={access_log}"
        )
    }
}

/// The severity of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// What ends the process or breaks its promise
    Error,
    /// What an operator should look at
    Warn,
    /// The life of the process
    Info,
    /// The life of each connection
    Debug,
    /// The same; a single read or write is never logged
    Trace,
}

impl From<LogLevel> for tracing::Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_choice(self, f)
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// key=value pairs
    Logfmt,
    /// One JSON object a line
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_choice(self, f)
    }
}

/// Which connections leave a line when they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AccessLog {
    /// None
    Off,
    /// Those that did not end in order
    Errors,
    /// Every one
    All,
}

impl fmt::Display for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_choice(self, f)
    }
}
