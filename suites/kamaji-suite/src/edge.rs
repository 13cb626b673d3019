//! What a phase cost: the operator's CPU and requests, its DataStores' writes, and what the harness itself used.

use cluster::Process;
use harness::Trial;

use crate::management::{Figures, Management, StoreFigures};
use crate::usable::Proxy;

/// Handlers that a record names.
const NAMED: usize = 5;

/// What was counted at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edge {
    operator: Option<Figures>,
    stores: Option<StoreFigures>,
    cpu_s: Option<f64>,
    harness_cpu_s: f64,
    asked: (u64, u64),
}

/// CPU seconds that were spent over all phases.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    operator_s: f64,
    harness_s: f64,
}

impl Edge {
    /// Counts now.
    pub(crate) async fn now(management: &Management, proxy: &Proxy) -> Self {
        let mut stores = Some(StoreFigures::default());
        for store in &management.datastores {
            stores = match (stores, store.figures().await) {
                (Some(all), Some(one)) => Some(StoreFigures {
                    puts: all.puts + one.puts,
                    wal_bytes: all.wal_bytes + one.wal_bytes,
                    db_bytes: all.db_bytes + one.db_bytes,
                }),
                _ => None,
            };
        }
        Self {
            operator: management.operator.figures().await,
            stores,
            cpu_s: cpu_s(management.operator.component().process),
            harness_cpu_s: cpu_s(Process::this()).unwrap_or(0.0),
            asked: proxy.asked(),
        }
    }

    /// Writes what came since into the record, as figures of `phase` with its `tenants`.
    pub(crate) async fn record(
        &self,
        trial: &mut Trial,
        phase: &str,
        tenants: usize,
        management: &Management,
        proxy: &Proxy,
        spent: &mut Spent,
    ) {
        let now = Self::now(management, proxy).await;
        let of_phase = trial.phases().iter().rev().find(|record| record.name.replace('-', "_") == phase);
        let took_s = of_phase.map(|record| record.took_s).filter(|took| *took > 0.0);
        let yardstick_s = of_phase.and_then(|record| record.yardstick_ms).map(|ms| ms / 1e3).filter(|s| *s > 0.0);
        let each = |value: Option<f64>| value.map(|value| value / tenants.max(1) as f64);
        let mut put = |what: &str, value: Option<f64>| {
            if let Some(value) = value {
                trial.metric(&format!("{phase}_{what}"), value);
            }
        };
        // An operator that was started again has spent everything since.
        let cpu_s = now.cpu_s.map(|cpu| cpu - self.cpu_s.filter(|was| *was <= cpu).unwrap_or(0.0));
        put("operator_cpu_s_per_tcp", each(cpu_s));
        put("operator_yardsticks_per_tcp", each(cpu_s.zip(yardstick_s).map(|(cpu, yardstick)| cpu / yardstick)));
        put("operator_mcpu", cpu_s.zip(took_s).map(|(cpu, took)| cpu * 1e3 / took));
        let none = Figures::default();
        let (was, is) = (self.operator.as_ref().unwrap_or(&none), now.operator.as_ref().unwrap_or(&none));
        let since = |name: &str| is.since(was, name).or_else(|| is.get(name));
        put("operator_api_requests_per_tcp", each(since("api_requests")));
        put("tenant_requests_per_tcp", each(since("tenant_requests")));
        put("reconciles_per_tcp", each(since("reconciles")));
        put("reconcile_s_per_tcp", each(since("reconcile_s")));
        put("reconcile_errors", since("reconcile_errors"));
        put(
            "reconciles_per_tcp_per_minute",
            each(since("reconciles")).zip(took_s).map(|(count, took)| count * 60.0 / took),
        );
        put("queue_wait_s_per_tcp", each(since("queue_wait_s")));
        let waits = since("queue_wait_s").zip(since("queue_waits").filter(|waits| *waits > 0.0));
        put("queue_wait_mean_s", waits.map(|(seconds, waits)| seconds / waits));
        let stores = |figure: fn(&StoreFigures) -> f64| {
            self.stores.as_ref().zip(now.stores.as_ref()).map(|(was, is)| figure(is) - figure(was))
        };
        put("datastore_puts_per_tcp", each(stores(|figures| figures.puts)));
        put("datastore_wal_bytes_per_tcp", each(stores(|figures| figures.wal_bytes)));
        put("datastore_db_bytes", now.stores.as_ref().map(|figures| figures.db_bytes));
        for gauge in ["goroutines", "fds", "rss_bytes", "active_workers"] {
            put(&format!("operator_{gauge}"), is.get(gauge));
        }
        let (asked, unanswered) = (now.asked.0 - self.asked.0, now.asked.1 - self.asked.1);
        put("connections_to_tenants_per_tcp", each(Some(asked as f64)));
        put("connections_refused_per_s", took_s.map(|took| unanswered as f64 / took));
        let harness_s = now.harness_cpu_s - self.harness_cpu_s;
        put("harness_cpu_s", Some(harness_s));
        put("harness_cpu_share_of_operator", cpu_s.filter(|cpu| *cpu > 0.0).map(|cpu| harness_s / cpu));
        spent.operator_s += cpu_s.unwrap_or(0.0);
        spent.harness_s += harness_s;
        for (handler, seconds) in is.handlers_since(was).into_iter().take(NAMED) {
            trial.note(format!("{phase}: handler {handler} took {seconds:.2} s"));
        }
    }
}

impl Spent {
    /// What the harness used for each second of the operator.
    pub(crate) fn harness_share(&self) -> Option<f64> {
        (self.operator_s > 0.0).then(|| self.harness_s / self.operator_s)
    }
}

fn cpu_s(process: Process) -> Option<f64> {
    Some(process.usage()?.cpu_s)
}
