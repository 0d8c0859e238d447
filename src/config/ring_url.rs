//! Where a ring is served: `http://live-store:3200`, or the page itself.

use std::{fmt, str::FromStr};

use hyper::Uri;
use thiserror::Error;

/// The page that a Tempo process serves its live-store ring on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingUrl {
    /// A name, or an address without brackets.
    host: String,
    port: u16,
    /// With the query, if there is one.
    path: String,
}

impl RingUrl {
    /// A name or an address, which has no brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port, 80 where none was typed.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path and the query: [`RING_PAGE`] where only the host was typed.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// `HOST:PORT`, as the `Host` header has it.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for RingUrl {
    type Err = RingUrlError;

    fn from_str(text: &str) -> Result<Self, RingUrlError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(RingUrlError::NoScheme(text.to_owned()));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "http" => {}
            "https" => return Err(RingUrlError::Tls),
            _ => return Err(RingUrlError::Scheme(scheme.to_owned())),
        }
        let uri: Uri = text.parse().map_err(|_| RingUrlError::Syntax)?;
        let authority = uri.authority().ok_or(RingUrlError::Syntax)?;
        if authority.as_str().contains('@') {
            return Err(RingUrlError::User);
        }
        let host = match authority.host().strip_prefix('[') {
            Some(v6) => v6.strip_suffix(']').ok_or(RingUrlError::Syntax)?,
            None => authority.host(),
        };
        // What is left beside the host is a port, or something that is none.
        let port = match (authority.port_u16(), authority.as_str().rsplit_once(':')) {
            (Some(port), _) => port,
            (None, Some((_, text))) if !text.contains(']') => return Err(RingUrlError::Syntax),
            (None, _) => 80,
        };
        if host.is_empty() || host.contains(['[', ']']) || port == 0 || rest.contains('#') {
            return Err(RingUrlError::Syntax);
        }
        let path = match uri.path_and_query().map_or("/", |path| path.as_str()) {
            "/" => RING_PAGE,
            path => path,
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        })
    }
}

impl fmt::Display for RingUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.path)
    }
}

/// Where Tempo serves the ring of its live-stores.
pub const RING_PAGE: &str = "/live-store/ring";

/// Why a text is no URL of a ring.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RingUrlError {
    /// `live-store:3200`.
    #[error("a URL begins with http://; write http://{0}")]
    NoScheme(String),
    /// `https://`.
    #[error("https is not spoken here: give the http:// address of Tempo's HTTP port")]
    Tls,
    /// `ftp://`.
    #[error("'{0}' is no scheme of a ring page: a URL begins with http://")]
    Scheme(String),
    /// `http://user@host`.
    #[error("a user name is not sent: give http://HOST:PORT")]
    User,
    /// Anything else.
    #[error("not a URL of the form http://HOST:PORT or http://HOST:PORT/PATH")]
    Syntax,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_host_alone_leads_to_the_ring_page_and_a_path_is_kept() {
        for (text, shown) in [
            ("http://tempo:3200", "http://tempo:3200/live-store/ring"),
            ("http://tempo:3200/", "http://tempo:3200/live-store/ring"),
            ("HTTP://tempo", "http://tempo:80/live-store/ring"),
            ("http://[::1]:3200", "http://[::1]:3200/live-store/ring"),
            ("http://[::1]", "http://[::1]:80/live-store/ring"),
            (
                "http://10.0.0.5:1/a/ring?x=y",
                "http://10.0.0.5:1/a/ring?x=y",
            ),
        ] {
            let url: RingUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown, "{text}");
        }
        assert_eq!("http://[::1]:1".parse::<RingUrl>().unwrap().host(), "::1");
    }

    #[test]
    fn what_is_no_ring_url_is_refused() {
        for (text, error) in [
            ("", RingUrlError::NoScheme(String::new())),
            (
                "tempo:3200",
                RingUrlError::NoScheme("tempo:3200".to_owned()),
            ),
            ("https://tempo:3200", RingUrlError::Tls),
            ("ftp://tempo", RingUrlError::Scheme("ftp".to_owned())),
            ("http://me:secret@tempo", RingUrlError::User),
            ("http://", RingUrlError::Syntax),
            ("http://:3200", RingUrlError::Syntax),
            ("http://tempo:0", RingUrlError::Syntax),
            ("http://tempo:", RingUrlError::Syntax),
            ("http://tempo:99999", RingUrlError::Syntax),
            ("http://tem po", RingUrlError::Syntax),
            ("http://tempo/x#y", RingUrlError::Syntax),
            ("http://a[0", RingUrlError::Syntax),
        ] {
            assert_eq!(text.parse::<RingUrl>(), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_shown_reads_back(text in "(http://)?[\\[\\]a-z0-9:@/?#. -]{0,24}") {
            if let Ok(url) = text.parse::<RingUrl>() {
                prop_assert_eq!(url.to_string().parse(), Ok(url));
            }
        }
    }
}
