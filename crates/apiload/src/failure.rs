//! How a request can fail.

use std::error::Error as StdError;
use std::fmt;

use serde::{Serialize, Serializer};

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
