//! Series as CSV: the progress curve, the components over time, and the whole ledger, for whoever checks.

use std::fmt::Write as _;
use std::time::Duration;

use measure::{Ledger, Seen};

use crate::observe::Observer;

/// Points of a curve; more would not be seen.
const POINTS: usize = 1000;

/// `t_s,done`: the progress curve, thinned to a thousand points with its first and last kept.
pub(crate) fn curve(stamps: &[Duration], start: Duration) -> String {
    let step = stamps.len().div_ceil(POINTS).max(1);
    let last = stamps.len().saturating_sub(1);
    let mut csv = String::from("t_s,done\n");
    for (i, at) in stamps.iter().enumerate().filter(|(i, _)| i % step == 0 || *i == last) {
        writeln!(csv, "{:.4},{}", at.saturating_sub(start).as_secs_f64(), i + 1).ok();
    }
    csv
}

/// `t_s,component,cpu_s,rss_bytes`: every look of the observer. An absent component has empty fields.
pub(crate) fn components(observer: &Observer) -> String {
    let mut csv = String::from("t_s,component,cpu_s,rss_bytes\n");
    for sample in observer.samples() {
        for (name, usage) in observer.names().zip(&sample.usage) {
            let usage = usage.map_or(",".to_owned(), |usage| format!("{:.2},{}", usage.cpu_s, usage.rss_bytes));
            writeln!(csv, "{:.3},{name},{usage}", sample.at.as_secs_f64()).ok();
        }
    }
    csv
}

/// A row an object: its name, its cohort, and for each stage its offset in seconds, with `~` before one that came late
/// and `?` before one that only a list showed.
pub(crate) fn ledger(ledger: &Ledger) -> String {
    let mut csv = format!("name,cohort,{}\n", ledger.stages().join(","));
    for (name, cohort, stamps) in ledger.rows() {
        write!(csv, "{name},{cohort}").ok();
        for stamp in stamps {
            match stamp {
                Some((at, Seen::Event)) => write!(csv, ",{:.6}", at.as_secs_f64()).ok(),
                Some((at, Seen::Late)) => write!(csv, ",~{:.6}", at.as_secs_f64()).ok(),
                Some((at, Seen::Relist)) => write!(csv, ",?{:.6}", at.as_secs_f64()).ok(),
                None => write!(csv, ",").ok(),
            };
        }
        csv.push('\n');
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_keeps_its_first_and_its_last_point() {
        let stamps: Vec<Duration> = (0..12_345).map(Duration::from_millis).collect();
        let csv = curve(&stamps, Duration::ZERO);
        let lines: Vec<&str> = csv.lines().collect();
        assert!(lines.len() <= POINTS + 3);
        assert_eq!(lines[1], "0.0000,1");
        assert_eq!(lines[lines.len() - 1], "12.3440,12345");
    }

    #[test]
    fn a_stamp_that_only_a_list_gave_is_marked() {
        let mut account = Ledger::new(&["observed", "running"]);
        let web = account.cohort("web", 1);
        account.mark("web-1", web, 0, Duration::from_millis(1500), Seen::Relist);
        assert_eq!(ledger(&account), "name,cohort,observed,running\nweb-1,web,?1.500000,\n");
    }
}
