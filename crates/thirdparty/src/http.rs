//! Downloading: impatient with hosts that do not answer, patient with those that do.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ureq::{Agent, Body, Timeout};

use crate::environment::Environment;
use crate::limits::Limits;
use crate::progress::Progress;

#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("{host} could not be reached")]
    Unreachable { host: String, source: Box<ureq::Error> },
    #[error("{host} could not be reached before, and is not asked again")]
    GivenUp { host: String },
    #[error("{url} gives status {status}")]
    Status { url: String, status: u16 },
    #[error("{url} has stalled: no byte for {limit:?} after {got} bytes")]
    Stalled { url: String, limit: Duration, got: u64 },
    #[error("{url} broke off after {got}{} bytes", of.map(|of| format!(" of {of}")).unwrap_or_default())]
    BrokeOff { url: String, got: u64, of: Option<u64>, source: Option<Box<ureq::Error>> },
    #[error("the download cannot be written")]
    Write(#[source] io::Error),
}

impl HttpError {
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::GivenUp { .. })
    }
}

/// An HTTP client that remembers which hosts are not there.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    limits: Limits,
    unreachable: Mutex<BTreeSet<String>>,
}

impl Client {
    pub(crate) fn new(environment: &Environment, limits: Limits) -> Self {
        let config = Agent::config_builder()
            .proxy(environment.proxy())
            .timeout_resolve(Some(limits.connect))
            .timeout_connect(Some(limits.connect))
            .timeout_per_read(Some(limits.stall))
            .timeout_per_write(Some(limits.stall))
            // The bytes that were hashed by the project are wanted, not what a server makes of them on the way.
            .accept_encoding("identity")
            .build();
        Self { agent: config.into(), limits, unreachable: Mutex::default() }
    }

    /// A small text.
    pub(crate) fn text(&self, url: &str) -> Result<String, HttpError> {
        let mut body = self.open(url)?;
        body.read_to_string().map_err(|error| self.broke_off(url, 0, None, error))
    }

    /// A file of any size, into `out`.
    pub(crate) fn download(&self, url: &str, out: &mut impl Write, progress: &dyn Progress) -> Result<(), HttpError> {
        let mut body = self.open(url)?;
        let of = body.content_length();
        let mut reader = body.as_reader();
        let mut buffer = vec![0; 64 * 1024];
        let mut got = 0;
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => {
                    out.write_all(&buffer[..n]).map_err(HttpError::Write)?;
                    got += n as u64;
                    progress.tick("downloading", of.map(|of| (got, of)));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broke_off(url, got, of, error.into())),
            }
        }
        match of {
            Some(of) if got < of => Err(HttpError::BrokeOff { url: url.to_owned(), got, of: Some(of), source: None }),
            _ => Ok(()),
        }
    }

    fn open(&self, url: &str) -> Result<Body, HttpError> {
        let host = host(url);
        if self.unreachable.lock().unwrap_or_else(PoisonError::into_inner).contains(host) {
            return Err(HttpError::GivenUp { host: host.to_owned() });
        }
        match self.agent.get(url).call() {
            Ok(response) => Ok(response.into_body()),
            Err(ureq::Error::StatusCode(status)) => Err(HttpError::Status { url: url.to_owned(), status }),
            Err(error) if is_unreachable(&error) => {
                self.unreachable.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned());
                Err(HttpError::Unreachable { host: host.to_owned(), source: error.into() })
            }
            Err(error) => Err(self.broke_off(url, 0, None, error)),
        }
    }

    fn broke_off(&self, url: &str, got: u64, of: Option<u64>, error: ureq::Error) -> HttpError {
        let url = url.to_owned();
        match error {
            ureq::Error::Timeout(_) => HttpError::Stalled { url, limit: self.limits.stall, got },
            error => HttpError::BrokeOff { url, got, of, source: Some(error.into()) },
        }
    }
}

/// Whether there was no connection, as opposed to one that went wrong.
fn is_unreachable(error: &ureq::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match error {
        ureq::Error::Timeout(timeout) => matches!(timeout, Timeout::Resolve | Timeout::Connect),
        ureq::Error::Io(error) => {
            !matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
        }
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::Tls(_) => true,
        ureq::Error::Rustls(_) => true,
        _ => false,
    }
}

/// The host and port of a URL.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}
