//! What registries do on bad days, by rule.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Kind;

/// The rules that are in force. Clones are one set.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Vec<Rule>>>);

/// A fault, and what it is done to. What is not given matches everything; only GET and HEAD are ever matched, so that
/// pushing works on a registry that cannot be pulled from.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The fault.
    pub fault: Fault,
    /// Requests for this kind.
    pub kind: Option<Kind>,
    /// Requests for this digest.
    pub digest: Option<String>,
    /// Requests of this client.
    pub client: Option<IpAddr>,
    /// How often it is done, before the rule is gone.
    pub times: Option<u32>,
}

/// What is done to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this status (503, 429), and the registry does not hear of it.
    Status {
        /// The status.
        status: u16,
        /// The seconds in `Retry-After`.
        retry_after_s: Option<u32>,
    },
    /// The connection is reset after so many bytes of the body.
    Reset {
        /// The bytes. A shorter body gets through.
        after_bytes: u64,
    },
    /// The body comes at this rate.
    Slow {
        /// The rate.
        bytes_per_second: u32,
    },
}

impl Rule {
    /// This fault, for every request.
    pub fn every(fault: Fault) -> Self {
        Self { fault, kind: None, digest: None, client: None, times: None }
    }

    fn matches(&self, kind: Kind, digest: Option<&str>, client: IpAddr) -> bool {
        self.kind.is_none_or(|wanted| wanted == kind)
            && self.digest.as_deref().is_none_or(|wanted| Some(wanted) == digest)
            && self.client.is_none_or(|wanted| wanted == client)
    }
}

impl Faults {
    /// Puts a rule in force, behind those that are.
    pub fn inject(&self, rule: Rule) {
        self.rules().push(rule);
    }

    /// Ends them all. What is being answered keeps its fault.
    pub fn heal(&self) {
        self.rules().clear();
    }

    /// The first fault for a request, which counts as done.
    pub(super) fn take(&self, kind: Kind, digest: Option<&str>, client: IpAddr) -> Option<Fault> {
        let mut rules = self.rules();
        let rule = rules.iter_mut().find(|rule| rule.times != Some(0) && rule.matches(kind, digest, client))?;
        rule.times = rule.times.map(|times| times - 1);
        let fault = rule.fault;
        rules.retain(|rule| rule.times != Some(0));
        Some(fault)
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status, .. } => write!(f, "status {status}"),
            Self::Reset { after_bytes } => write!(f, "reset after {after_bytes} bytes"),
            Self::Slow { bytes_per_second } => write!(f, "{bytes_per_second} bytes per second"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const BUSY: Fault = Fault::Status { status: 503, retry_after_s: None };

    #[test]
    fn a_rule_is_gone_after_its_times() {
        let faults = Faults::default();
        faults.inject(Rule { times: Some(2), kind: Some(Kind::Blob), ..Rule::every(BUSY) });
        assert_eq!(faults.take(Kind::Manifest, None, CLIENT), None);
        assert_eq!(faults.take(Kind::Blob, None, CLIENT), Some(BUSY));
        assert_eq!(faults.take(Kind::Blob, None, CLIENT), Some(BUSY));
        assert_eq!(faults.take(Kind::Blob, None, CLIENT), None);
    }

    #[test]
    fn rules_are_by_digest_and_client_until_they_are_healed() {
        let faults = Faults::default();
        let other = "127.0.0.9".parse().unwrap();
        faults.inject(Rule { digest: Some("sha256:1".to_owned()), client: Some(other), ..Rule::every(BUSY) });
        assert_eq!(faults.take(Kind::Blob, Some("sha256:1"), CLIENT), None);
        assert_eq!(faults.take(Kind::Blob, Some("sha256:2"), other), None);
        assert_eq!(faults.take(Kind::Blob, Some("sha256:1"), other), Some(BUSY));
        faults.heal();
        assert_eq!(faults.take(Kind::Blob, Some("sha256:1"), other), None);
    }
}
