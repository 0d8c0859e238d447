//! The load generator of portamento.
