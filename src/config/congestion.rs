//! Names of congestion controls, and what this kernel and this user have of them.

use std::fs;

use thiserror::Error;

/// Reads the name of a congestion control.
///
/// # Errors
///
/// A name that no kernel module could have.
pub fn parse_congestion(text: &str) -> Result<String, NameError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(NameError)
    }
}

/// A name that is none.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a congestion control is 1 to {NAME_MAX} letters, digits or '_', for example cubic or bbr")]
pub struct NameError;

/// Checks that the kernel offers `name` to this process, as far as it tells.
pub(crate) fn check(name: &str) -> Result<(), Unavailable> {
    let read = |path: &str| fs::read_to_string(path).ok();
    Offer {
        available: read("/proc/sys/net/ipv4/tcp_available_congestion_control"),
        allowed: read("/proc/sys/net/ipv4/tcp_allowed_congestion_control"),
        privileged: read("/proc/self/status").is_none_or(|status| has_net_admin(&status)),
    }
    .check(name)
}

/// What the kernel says; `None` where it says nothing.
struct Offer {
    available: Option<String>,
    /// What a process without `CAP_NET_ADMIN` may choose.
    allowed: Option<String>,
    privileged: bool,
}

impl Offer {
    fn check(&self, name: &str) -> Result<(), Unavailable> {
        let lists = |names: &str| names.split_whitespace().any(|listed| listed == name);
        if let Some(available) = self.available.as_deref()
            && !lists(available)
        {
            return Err(Unavailable::Unknown(available.trim().to_owned()));
        }
        match self.allowed.as_deref() {
            Some(allowed) if !self.privileged && !lists(allowed) => {
                Err(Unavailable::NotAllowed(allowed.trim().to_owned()))
            }
            _ => Ok(()),
        }
    }
}

/// Reads `/proc/self/status`; a mask that cannot be read leaves the word to the kernel.
fn has_net_admin(status: &str) -> bool {
    const CAP_NET_ADMIN: u32 = 12;
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_none_or(|mask| mask >> CAP_NET_ADMIN & 1 == 1)
}

/// Why a congestion control cannot be had.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unavailable {
    /// The kernel does not offer it.
    #[error("not offered by this kernel, which has: {0}")]
    Unknown(String),
    /// The kernel offers it to others.
    #[error("needs CAP_NET_ADMIN here; allowed without it: {0}")]
    NotAllowed(String),
}

const NAME_MAX: usize = 15; // bytes: TCP_CA_NAME_MAX is 16, the last is NUL

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_words() {
        for name in ["cubic", "bbr", "dctcp_reno", "fifteen_letters"] {
            assert_eq!(parse_congestion(name), Ok(name.to_owned()));
        }
        for name in ["", " ", "cubic ", "--bbr", "sixteen_letters_", "a/b"] {
            assert_eq!(parse_congestion(name), Err(NameError), "{name}");
        }
    }

    #[test]
    fn only_what_the_kernel_offers_is_taken() {
        let offer = |privileged| Offer {
            available: Some("reno bbr cubic\n".to_owned()),
            allowed: Some("reno bbr\n".to_owned()),
            privileged,
        };
        let unknown = Unavailable::Unknown("reno bbr cubic".to_owned());
        let not_allowed = Unavailable::NotAllowed("reno bbr".to_owned());
        for (name, plain, privileged) in [
            ("bbr", Ok(()), Ok(())),
            ("cubic", Err(not_allowed), Ok(())),
            ("vegas", Err(unknown.clone()), Err(unknown)),
        ] {
            assert_eq!(offer(false).check(name), plain, "{name}");
            assert_eq!(offer(true).check(name), privileged, "{name}");
        }
    }

    #[test]
    fn a_silent_kernel_refuses_nothing() {
        let offer = Offer {
            available: None,
            allowed: None,
            privileged: false,
        };
        assert_eq!(offer.check("vegas"), Ok(()));
    }

    #[test]
    fn the_capability_is_one_bit_of_the_effective_mask() {
        assert!(has_net_admin("Name:\tx\nCapEff:\t0000000000001000\n"));
        assert!(!has_net_admin(
            "CapPrm:\t0000000000001000\nCapEff:\t00000000a80425fb\n"
        ));
        assert!(has_net_admin("CapEff:\tunreadable\n"));
        assert!(has_net_admin(""));
    }
}
