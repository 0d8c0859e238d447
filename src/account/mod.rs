//! What is remembered of a connection: while it lives, and when it ends.

pub(crate) mod delay;
pub(crate) mod histogram;
pub(crate) mod labels;
pub(crate) mod live;
pub(crate) mod metrics;
pub(crate) mod outcome;
pub(crate) mod pulse;
pub(crate) mod record;
pub(crate) mod rejection;
pub(crate) mod row;
