//! Pages of metrics, read line by line: the operator's has 89,000 lines at 100 tenants, of which a few families are kept.

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::time::Duration;

use measure::promtext::{Sample, samples};

/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the operator has counted since its start, and what it is now. What its page does not have stays absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures(BTreeMap<String, f64>);

impl Figures {
    /// Reads the operator's page; `None` when it does not answer.
    pub(super) async fn read(url: String, apiserver: String) -> Option<Self> {
        let mut figures = BTreeMap::new();
        let read = move || {
            each(&url, &FAMILIES, |sample| {
                if let Some(name) = name_of(sample, &apiserver) {
                    *figures.entry(name).or_insert(0.0) += sample.value;
                }
            })?;
            Some(Self(figures))
        };
        tokio::task::spawn_blocking(read).await.ok().flatten()
    }

    /// A figure.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// A counter's difference to `before`; none when it fell, as that of an operator that was started again.
    pub fn since(&self, before: &Self, name: &str) -> Option<f64> {
        // A counter that nothing has raised yet is not on the page.
        let (now, was) = (self.get(name)?, before.get(name).unwrap_or(0.0));
        (now >= was).then_some(now - was)
    }

    /// The seconds that each handler took since `before`, longest first. Operators before the metric was introduced have
    /// none.
    pub fn handlers_since(&self, before: &Self) -> Vec<(String, f64)> {
        let named = self.0.keys().filter_map(|name| Some((name.strip_prefix(HANDLER)?, name)));
        let mut took: Vec<(String, f64)> = named
            .filter_map(|(handler, name)| Some((handler.to_owned(), self.since(before, name)?)))
            .filter(|(_, seconds)| *seconds > 0.0)
            .collect();
        took.sort_by(|a, b| b.1.total_cmp(&a.1));
        took
    }
}

/// What the lines begin with that figures are in.
const FAMILIES: [&str; 8] = [
    "controller_runtime_active_workers",
    "controller_runtime_reconcile_t",
    "workqueue_queue_duration_seconds_",
    "rest_client_requests_total",
    "go_goroutines",
    "process_open_fds",
    "process_resident_memory_bytes",
    "kamaji_handler_time_seconds_sum",
];
/// What the figure of a handler begins with.
const HANDLER: &str = "handler_s:";

/// Names of figures of ours, by family.
fn name_of(sample: &Sample<'_>, apiserver: &str) -> Option<String> {
    let of_controller = |label: &str| sample.label(label) == Some("tenantcontrolplane");
    let figure = match sample.name {
        "controller_runtime_reconcile_total" if of_controller("controller") => match sample.label("result") {
            Some("error") => "reconcile_errors",
            _ => "reconciles",
        },
        "controller_runtime_reconcile_time_seconds_sum" if of_controller("controller") => "reconcile_s",
        "workqueue_queue_duration_seconds_sum" if of_controller("name") => "queue_wait_s",
        "workqueue_queue_duration_seconds_count" if of_controller("name") => "queue_waits",
        "controller_runtime_active_workers" if of_controller("controller") => "active_workers",
        // The operator asks its tenants as well, each under its own name.
        "rest_client_requests_total" if sample.label("host") == Some(apiserver) => "api_requests",
        "rest_client_requests_total" => "tenant_requests",
        "go_goroutines" => "goroutines",
        "process_open_fds" => "fds",
        "process_resident_memory_bytes" => "rss_bytes",
        "kamaji_handler_time_seconds_sum" => return Some(format!("{HANDLER}{}", sample.label("handler")?)),
        _ => return None,
    };
    Some(figure.to_owned())
}

/// The sums of some families of a page; `None` when nobody answers.
pub(super) async fn sums(url: String, wanted: &[&str]) -> Option<BTreeMap<String, f64>> {
    let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
    let read = move || {
        let mut sums = BTreeMap::new();
        let families: Vec<&str> = wanted.iter().map(String::as_str).collect();
        each(&url, &families, |sample| {
            if wanted.iter().any(|name| name == sample.name) {
                *sums.entry(sample.name.to_owned()).or_insert(0.0) += sample.value;
            }
        })?;
        Some(sums)
    };
    tokio::task::spawn_blocking(read).await.ok().flatten()
}

/// Whether a page is served.
pub(super) async fn answers(url: String) -> bool {
    tokio::task::spawn_blocking(move || agent().get(url).call().is_ok()).await.unwrap_or(false)
}

/// The samples of the lines that begin with one of `families`: only these are taken apart.
fn each(url: &str, families: &[&str], mut take: impl FnMut(&Sample<'_>)) -> Option<()> {
    let mut body = std::io::BufReader::new(agent().get(url).call().ok()?.into_body().into_reader());
    let mut line = String::new();
    while body.read_line(&mut line).ok()? > 0 {
        if families.iter().any(|family| line.starts_with(family)) {
            samples(&line).for_each(|sample| take(&sample));
        }
        line.clear();
    }
    Some(())
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().proxy(None).timeout_global(Some(PATIENCE)).build();
    ureq::Agent::new_with_config(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"controller_runtime_reconcile_total{controller="tenantcontrolplane",result="success"} 5
controller_runtime_reconcile_total{controller="tenantcontrolplane",result="requeue"} 2
controller_runtime_reconcile_total{controller="tenantcontrolplane",result="error"} 1
controller_runtime_reconcile_total{controller="datastore",result="success"} 9
rest_client_requests_total{code="200",host="127.0.0.1:1",method="GET"} 3
rest_client_requests_total{code="200",host="t.ns.svc:6443",method="GET"} 4
kamaji_handler_time_seconds_sum{handler="ca"} 0.5
kamaji_handler_time_seconds_sum{handler="deployment"} 1.5
"#;

    fn figures(page: &str) -> Figures {
        let mut all = BTreeMap::new();
        for sample in samples(page) {
            if let Some(name) = name_of(&sample, "127.0.0.1:1") {
                *all.entry(name).or_insert(0.0) += sample.value;
            }
        }
        Figures(all)
    }

    #[test]
    fn what_the_operator_asks_its_tenants_is_told_apart() {
        let figures = figures(PAGE);
        let of = |name| figures.get(name);
        assert_eq!((of("reconciles"), of("reconcile_errors")), (Some(7.0), Some(1.0)));
        assert_eq!((of("api_requests"), of("tenant_requests"), of("fds")), (Some(3.0), Some(4.0), None));
    }

    #[test]
    fn handlers_are_sorted_by_what_they_took_since() {
        let before = figures(r#"kamaji_handler_time_seconds_sum{handler="deployment"} 1.25"#);
        let took = figures(PAGE).handlers_since(&before);
        assert_eq!(took, [("ca".to_owned(), 0.5), ("deployment".to_owned(), 0.25)]);
    }

    #[test]
    fn a_counter_that_fell_makes_no_difference() {
        assert_eq!(figures("go_goroutines 5\n").since(&figures("go_goroutines 7\n"), "goroutines"), None);
    }
}
