//! Addresses of what runs already.

use std::str::FromStr;

use super::value::name;

/// `HOST:PORT`, where the host is an IP address, one in brackets if it is IPv6, or a name.
pub(super) fn address(text: &str) -> Result<String, String> {
    const FORMS: &str = "write it as IP:PORT, [V6]:PORT or NAME:PORT";
    let (host, port) = text.rsplit_once(':').ok_or(FORMS)?;
    let is_v6 = host.starts_with('[') && host.ends_with(']');
    let is_sound = match is_v6 {
        true => host[1..host.len() - 1]
            .parse::<std::net::Ipv6Addr>()
            .is_ok(),
        false => {
            !host.is_empty()
                && host
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        }
    };
    match port.parse::<u16>() {
        Ok(1..) if is_sound => Ok(text.to_owned()),
        _ => Err(FORMS.to_owned()),
    }
}

/// `--via [NAME=]ADDR`: a proxy that runs already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// As reports name it; without one, it is called `via`, with its number where there are
    /// several.
    pub name: Option<String>,
    /// Where it listens.
    pub addr: String,
}

impl FromStr for Via {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (own, addr) = match text.split_once('=') {
            Some((own, addr)) => (Some(name(own)?), addr),
            None => (None, text),
        };
        let addr = address(addr)?;
        Ok(Self { name: own, addr })
    }
}

/// The names of `vias`, in their order.
pub(super) fn names(vias: &[Via]) -> Vec<String> {
    let names = vias.iter().zip(1..).map(|(via, number)| match &via.name {
        Some(name) => name.clone(),
        None if vias.len() == 1 => "via".to_owned(),
        None => format!("via-{number}"),
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for good in [
            "127.0.0.1:1",
            "[::1]:65535",
            "live-store-0.tempo.svc:9095",
            "localhost:80",
        ] {
            assert_eq!(address(good), Ok(good.to_owned()));
        }
        for bad in [
            "",
            "host",
            ":1",
            "host:",
            "host:0",
            "host:65536",
            "::1:80",
            "[x]:1",
            "http://a:1",
        ] {
            address(bad).unwrap_err();
        }
    }

    #[test]
    fn nameless_proxies_are_numbered() {
        let vias = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| text.parse().unwrap())
                .collect::<Vec<Via>>()
        };
        assert_eq!(names(&vias(&["a:1"])), ["via"]);
        assert_eq!(
            names(&vias(&["a:1", "old=a:2", "a:3"])),
            ["via-1", "old", "via-3"]
        );
        "a b=c:1".parse::<Via>().unwrap_err();
        "old=c".parse::<Via>().unwrap_err();
    }
}
