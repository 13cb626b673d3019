//! What the system costs as a function of how many tenants there are: a look after each batch, and lines through the looks.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use harness::{Result, Trial};
use measure::stats::Slope;

use crate::management::Management;

/// Level of the intervals.
const CONFIDENCE: f64 = 0.95;

/// What is looked at, with its unit.
const FIGURES: [&str; 7] = [
    "operator_cpu_s",
    "operator_mib",
    "operator_goroutines",
    "operator_fds",
    "operator_api_requests",
    "datastore_puts",
    "datastore_db_bytes",
];

/// Looks at the system while tenants come.
#[derive(Debug, Default)]
pub(crate) struct Growth(Mutex<Vec<Look>>);

#[derive(Clone, Debug)]
struct Look {
    at: Duration,
    tenants: usize,
    figures: [Option<f64>; FIGURES.len()],
}

impl Growth {
    /// Looks now, when so many tenants are Ready.
    pub(crate) async fn add(&self, at: Duration, tenants: usize, management: &Management) {
        let usage = management.operator.component().process.usage();
        let operator = management.operator.figures().await.unwrap_or_default();
        let mut stores = (0.0, 0.0);
        for store in &management.datastores {
            let figures = store.figures().await.unwrap_or_default();
            stores = (stores.0 + figures.puts, stores.1 + figures.db_bytes);
        }
        let figures = [
            usage.map(|usage| usage.cpu_s),
            usage.map(|usage| usage.rss_bytes as f64 / f64::from(1 << 20)),
            operator.get("goroutines"),
            operator.get("fds"),
            operator.get("api_requests"),
            Some(stores.0),
            Some(stores.1),
        ];
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Look { at, tenants, figures });
    }

    /// Writes every look beside the record, and for each figure what one more tenant adds to it. Whether the CPU of a tenant
    /// grows with their number is told by the slope of what each batch cost: above zero, with its interval, it bends.
    pub(crate) fn record(&self, trial: &mut Trial) -> Result<()> {
        let looks = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if looks.is_empty() {
            return Ok(());
        }
        let mut csv = format!("t_s,tenants,{}\n", FIGURES.join(","));
        for look in &looks {
            let figures = look.figures.map(|figure| figure.map_or(String::new(), |figure| figure.to_string()));
            writeln!(csv, "{:.3},{},{}", look.at.as_secs_f64(), look.tenants, figures.join(",")).ok();
        }
        trial.attach("growth", &csv)?;
        for (i, name) in FIGURES.iter().enumerate() {
            let points: Vec<(f64, f64)> =
                looks.iter().filter_map(|look| Some((look.tenants as f64, look.figures[i]?))).collect();
            line(trial, &format!("{name}_per_tcp_by_regression"), &points);
        }
        let each = looks.windows(2).filter_map(|pair| {
            let tenants = (pair[1].tenants - pair[0].tenants) as f64;
            Some((pair[1].tenants as f64, (pair[1].figures[0]? - pair[0].figures[0]?) / tenants))
        });
        line(trial, "operator_cpu_s_per_tcp_growth_per_tcp", &each.collect::<Vec<_>>());
        Ok(())
    }
}

fn line(trial: &mut Trial, name: &str, points: &[(f64, f64)]) {
    match Slope::of(points, CONFIDENCE) {
        Ok(slope) => {
            trial.metric(name, slope.per_unit);
            trial.metric(&format!("{name}_low"), slope.interval.low);
            trial.metric(&format!("{name}_high"), slope.interval.high);
        }
        Err(why) => trial.note(format!("no {name}: {why}")),
    }
}
