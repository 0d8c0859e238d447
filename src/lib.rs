//! A minimal L4 TCP forwarder.
