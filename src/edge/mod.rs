//! What happens where a byte enters and leaves: the sockets that clients
//! come in by, who may connect, who the client is, and how the upstream is reached.

pub(crate) mod accept_rate;
pub(crate) mod access;
pub(crate) mod admission;
pub(crate) mod bind;
pub(crate) mod directory_lock;
pub(crate) mod farewell;
pub(crate) mod options;
pub(crate) mod proxy_protocol;
pub(crate) mod sources;
pub(crate) mod upstream;
