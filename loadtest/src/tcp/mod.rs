//! What the commands over plain TCP share: the language between client and origin, blocks of load
//! under watch, and what becomes of them in rounds.

pub(crate) mod bench;
pub(crate) mod block;
pub(crate) mod load;
pub(crate) mod order;
pub mod origin;
pub(crate) mod routes;
pub(crate) mod run;
pub(crate) mod series;
pub(crate) mod units;
pub(crate) mod warnings;
