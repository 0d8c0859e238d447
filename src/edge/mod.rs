//! What happens where a byte enters and leaves: the sockets that clients
//! come in by, who may connect, who the client is, and how the upstream is reached.

pub(crate) mod accept_rate;
pub(crate) mod access;
pub(crate) mod admission;
pub(crate) mod bind;
pub(crate) mod dial;
pub(crate) mod directory_lock;
pub(crate) mod ephemeral;
pub(crate) mod farewell;
pub(crate) mod local_address;
pub(crate) mod options;
pub(crate) mod proxy_protocol;
pub(crate) mod resolver;
pub(crate) mod retry;
pub(crate) mod sources;
pub(crate) mod upstream;
