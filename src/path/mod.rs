//! The path of a byte, in its order: [`listener`] accepts, [`dispatch`] chooses a [`worker`], which
//! runs the [`connection`], whose [`relay`] moves bytes between two [`socket`]s through a
//! [`buffer`] or a [`pipe`].

mod accept_error;
pub(crate) mod alarms;
pub(crate) mod buffer;
pub(crate) mod connection;
pub(crate) mod context;
pub(crate) mod departure;
pub(crate) mod dispatch;
pub(crate) mod listener;
pub(crate) mod pipe;
pub(crate) mod relay;
pub(crate) mod socket;
pub(crate) mod worker;
