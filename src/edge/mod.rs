//! What happens where a byte enters and leaves: the sockets that clients
//! come in by, who may connect, and how the upstream is reached.

pub(crate) mod access;
pub(crate) mod bind;
pub(crate) mod farewell;
pub(crate) mod options;
pub(crate) mod upstream;
