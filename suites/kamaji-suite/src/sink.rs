//! What the watch of Tenant Control Planes shows, stamped into the ledger.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use harness::{Account, Change, Object, Sink};
use measure::Seen;
use measure::ledger::CohortId;

use crate::stages::{ASLEEP, AWAKE, GONE, OBSERVED, READY, UPGRADED};

/// What the tenants were asked for last, beyond being Ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nothing.
    #[default]
    Nothing,
    /// Another version.
    Version(String),
    /// No replicas.
    Sleep,
    /// Their replicas again.
    Awake(u32),
}

/// Whoever asks the tenants for something tells the sink what to look for.
pub(crate) type Asked = Arc<Mutex<Wanted>>;

/// Stamps the tenants' account.
pub(crate) struct TenantSink {
    pub(crate) account: Account,
    pub(crate) cohorts: HashMap<String, CohortId>,
    pub(crate) asked: Asked,
}

impl Sink for TenantSink {
    fn change(&mut self, change: Change, object: &Object<'_>, at: Duration, seen: Seen) {
        let name = &*object.metadata.name;
        let Some(cohort) = self.cohorts.get(name).copied() else { return };
        let tenant = &object.status.tenant;
        let ready = tenant.version.status == "Ready";
        let got = match &*self.asked.lock().unwrap_or_else(PoisonError::into_inner) {
            Wanted::Version(version) if ready && tenant.version.version == *version => Some(UPGRADED),
            // Newer operators say Sleeping, v1.0.0 goes on saying Ready.
            Wanted::Sleep if tenant.deployment.replicas == 0 && (ready || tenant.version.status == "Sleeping") => {
                Some(ASLEEP)
            }
            Wanted::Awake(replicas) if ready && tenant.deployment.ready_replicas == *replicas => Some(AWAKE),
            _ => None,
        };
        let mut ledger = self.account.ledger();
        ledger.mark(name, cohort, OBSERVED, at, seen);
        let status = &*tenant.version.status;
        ledger.note(name, if status.is_empty() { "its status says nothing" } else { status });
        if ready {
            ledger.mark(name, cohort, READY, at, seen);
        }
        if let Some(stage) = got {
            ledger.mark(name, cohort, stage, at, seen);
        }
        if change == Change::Gone {
            ledger.mark(name, cohort, GONE, at, seen);
        }
    }

    fn listed(&mut self, present: &[String], at: Duration) {
        self.account.ledger().mark_absent(present, OBSERVED, GONE, at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::TENANT;

    fn sink() -> TenantSink {
        let account = Account::new(TENANT);
        let cohort = account.ledger().cohort("tenants", 1);
        TenantSink { account, cohorts: HashMap::from([("t".to_owned(), cohort)]), asked: Asked::default() }
    }

    fn show(sink: &mut TenantSink, status: &str) {
        let text = format!(r#"{{"metadata": {{"name": "t"}}, "status": {status}}}"#);
        let object = serde_json::from_str(&text).unwrap();
        sink.change(Change::Present, &object, Duration::from_secs(1), Seen::Event);
    }

    fn reached(sink: &TenantSink, stage: usize) -> bool {
        sink.account.ledger().count(&[0], stage) == 1
    }

    #[test]
    fn ready_is_what_the_status_says() {
        let mut sink = sink();
        show(&mut sink, r#"{"kubernetesResources": {"version": {"status": "Provisioning"}}}"#);
        assert!(reached(&sink, OBSERVED) && !reached(&sink, READY));
        show(&mut sink, r#"{"kubernetesResources": {"version": {"status": "Ready", "version": "v1.25.4"}}}"#);
        assert!(reached(&sink, READY) && !reached(&sink, UPGRADED));
    }

    #[test]
    fn an_upgrade_is_over_when_ready_at_the_new_version() {
        let mut sink = sink();
        *sink.asked.lock().unwrap() = Wanted::Version("v1.26.0".to_owned());
        for (version, status, over) in
            [("v1.25.4", "Ready", false), ("v1.26.0", "Upgrading", false), ("v1.26.0", "Ready", true)]
        {
            let text = format!(
                r#"{{"kubernetesResources": {{"version": {{"status": "{status}", "version": "{version}"}}}}}}"#
            );
            show(&mut sink, &text);
            assert_eq!(reached(&sink, UPGRADED), over);
        }
    }

    #[test]
    fn asleep_is_without_replicas_in_both_generations() {
        for status in ["Ready", "Sleeping"] {
            let mut sink = sink();
            *sink.asked.lock().unwrap() = Wanted::Sleep;
            show(
                &mut sink,
                &format!(
                    r#"{{"kubernetesResources": {{"version": {{"status": "{status}"}}, "deployment": {{"replicas": 2}}}}}}"#
                ),
            );
            assert!(!reached(&sink, ASLEEP));
            show(&mut sink, &format!(r#"{{"kubernetesResources": {{"version": {{"status": "{status}"}}}}}}"#));
            assert!(reached(&sink, ASLEEP));
        }
    }
}
