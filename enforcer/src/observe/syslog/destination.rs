//! Where events go: a file, standard output, a server for syslog, or the journal.

use std::fmt;
use std::path::PathBuf;

/// Where events go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Destination {
    /// JSON lines in a file; `-` is standard output.
    File(PathBuf),
    /// A server for syslog.
    Server(Server),
    /// systemd-journald of this host.
    Journal,
}

/// A server for syslog.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Server {
    /// How messages get there.
    pub transport: Transport,
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// File with the certificates that sign the server's, in PEM; `None`: those of this system.
    pub ca: Option<PathBuf>,
    /// Files with a certificate of this host and its key, in PEM.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// How messages get to a server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// A datagram for each message (RFC 5426).
    Udp,
    /// A stream, with the length before each message (RFC 6587).
    Tcp,
    /// The same by TLS (RFC 5425).
    Tls,
}

impl Transport {
    const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Tls];

    const fn scheme(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// The port that IANA has given it.
    const fn port(self) -> u16 {
        match self {
            Self::Udp => 514,
            Self::Tcp => 601,
            Self::Tls => 6514,
        }
    }
}

impl Destination {
    /// Reads a destination from the command line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "journald" {
            return Ok(Self::Journal);
        }
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(Self::File(text.into())) };
        let transport = Transport::ALL
            .into_iter()
            .find(|one| one.scheme() == scheme)
            .ok_or_else(|| format!("`{scheme}` is none of udp, tcp and tls"))?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, port) = host_and_port(place, transport.port())?;
        let (mut ca, mut certificate, mut key) = (None, None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let file = match pair.split_once('=') {
                Some(("ca", file)) => ca.insert(PathBuf::from(file)),
                Some(("cert", file)) => certificate.insert(PathBuf::from(file)),
                Some(("key", file)) => key.insert(PathBuf::from(file)),
                _ => return Err(format!("`{pair}` is none of ca=FILE, cert=FILE and key=FILE")),
            };
            if transport != Transport::Tls {
                return Err(format!("`{}` is for tls alone", file.display()));
            }
        }
        let own = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err("cert=FILE and key=FILE need each other".to_owned()),
        };
        Ok(Self::Server(Server { transport, host, port, ca, own }))
    }
}

/// `HOST`, `HOST:PORT`, `[V6]` and `[V6]:PORT`.
fn host_and_port(place: &str, default: u16) -> Result<(String, u16), String> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("the `]` after the address is missing")?;
            (
                host,
                if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or("expected `:PORT` after `]`")?) },
            )
        }
        None => match place.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("an IPv6 address stands in brackets, as [2001:db8::5]".to_owned());
            }
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/') {
        return Err("expected the name or address of a host after `://`".to_owned());
    }
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(|| format!("`{port}` is no port"))?,
        None => default,
    };
    Ok((host.to_owned(), port))
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Journal => f.write_str("journald"),
            Self::Server(server) => write!(f, "{server}"),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { transport, host, port, .. } = self;
        let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}://{open}{host}{close}:{port}", transport.scheme())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_read_and_shown() {
        for (text, shown) in [
            ("udp://siem", "udp://siem:514"),
            ("tcp://10.1.1.1:1514", "tcp://10.1.1.1:1514"),
            ("tls://siem.example", "tls://siem.example:6514"),
            ("tls://[2001:db8::5]", "tls://[2001:db8::5]:6514"),
            ("tcp://[2001:db8::5]:99", "tcp://[2001:db8::5]:99"),
            ("journald", "journald"),
            ("/var/log/enforcer/events.json", "/var/log/enforcer/events.json"),
            ("./journald", "./journald"),
            ("-", "-"),
        ] {
            assert_eq!(Destination::parse(text).map(|found| found.to_string()), Ok(shown.to_owned()));
        }
        let Ok(Destination::Server(server)) = Destination::parse("tls://siem?ca=/a.pem&cert=/b.pem&key=/c.pem") else {
            panic!("a server");
        };
        assert_eq!(server.ca, Some("/a.pem".into()));
        assert_eq!(server.own, Some(("/b.pem".into(), "/c.pem".into())));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("http://siem", "none of udp, tcp and tls"),
            ("udp://", "expected the name"),
            ("udp://:514", "expected the name"),
            ("tcp://siem:0", "`0` is no port"),
            ("tcp://siem:70000", "`70000` is no port"),
            ("tcp://2001:db8::5", "in brackets"),
            ("tcp://[2001:db8::5", "`]`"),
            ("tcp://siem/x", "expected the name"),
            ("tcp://siem?ca=/a.pem", "for tls alone"),
            ("tls://siem?x=1", "none of ca=FILE"),
            ("tls://siem?cert=/b.pem", "need each other"),
        ] {
            let error = Destination::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
