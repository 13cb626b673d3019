//! How a request can fail.

use std::error::Error as StdError;
use std::fmt;

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The kind of a failure. A timeout is none of these: it is counted on its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Failure {
    /// There was no connection, and none could be opened.
    Connect,
    /// The TLS handshake failed, or the server does not speak the protocol.
    Tls,
    /// The connection or the stream was reset, or closed before the answer began.
    Reset,
    /// The server said GOAWAY, and did not process the request.
    GoAway,
    /// The answer began but did not end.
    Body,
    /// The answer was no HTTP.
    Protocol,
    /// The server answered with a status other than 2xx.
    Status(u16),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("connect"),
            Self::Tls => f.write_str("tls"),
            Self::Reset => f.write_str("reset"),
            Self::GoAway => f.write_str("goaway"),
            Self::Body => f.write_str("body"),
            Self::Protocol => f.write_str("protocol"),
            Self::Status(code) => write!(f, "status-{code}"),
        }
    }
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Failure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let plain = [Self::Connect, Self::Tls, Self::Reset, Self::GoAway, Self::Body, Self::Protocol];
        let status = || Some(Self::Status(text.strip_prefix("status-")?.parse().ok()?));
        let read = plain.into_iter().find(|failure| failure.to_string() == text).or_else(status);
        read.ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &"a kind of failure"))
    }
}

/// A failure with what was said about it.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub(crate) failure: Failure,
    pub(crate) message: String,
}

impl Failed {
    pub(crate) fn new(failure: Failure, message: impl Into<String>) -> Self {
        Self { failure, message: message.into() }
    }

    /// A request that got no answer.
    pub(crate) fn unanswered(error: &hyper::Error) -> Self {
        let failure = match cause::<h2::Error>(error) {
            Some(h2) if h2.is_go_away() => Failure::GoAway,
            Some(_) => Failure::Reset,
            None if error.is_parse() || error.is_user() => Failure::Protocol,
            None => Failure::Reset,
        };
        Self::new(failure, chain(error))
    }

    /// An answer that broke off.
    pub(crate) fn unfinished(error: &hyper::Error) -> Self {
        Self::new(Failure::Body, chain(error))
    }
}

/// An error with its causes, as one line.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        // hyper and rustls repeat their cause in their own text.
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        source = error.source();
    }
    text
}

fn cause<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_read_as_it_is_written() {
        let all = [Failure::Connect, Failure::Tls, Failure::Reset, Failure::GoAway, Failure::Body, Failure::Protocol];
        for failure in all.into_iter().chain([Failure::Status(429)]) {
            let text = serde_json::to_string(&failure).unwrap();
            assert_eq!(serde_json::from_str::<Failure>(&text).unwrap(), failure);
        }
        assert!(serde_json::from_str::<Failure>("\"status-many\"").is_err());
    }
}
