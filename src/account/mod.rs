//! What is remembered of a connection: while it lives, and when it ends.

pub(crate) mod live;
pub(crate) mod metrics;
pub(crate) mod record;
pub(crate) mod rejection;
