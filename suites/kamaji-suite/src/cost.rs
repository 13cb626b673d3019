//! Figures of cost, the document's way and ours.

use std::time::Duration;

use cluster::Usage;

/// The window over which the document's CPU figure is taken to be a mean: what dashboards of its kind show
/// (`rate(container_cpu_usage_seconds_total[30s])` and longer).
pub const WINDOW: Duration = Duration::from_secs(30);

/// The largest mean of CPU over any window that is not shorter than `window`, in thousandths of a core. Windows begin and
/// end at looks; one that a start of another process lies in counts from that start.
pub fn peak_mcpu(series: &[(Duration, Usage)], window: Duration) -> Option<f64> {
    let mut begin = 0;
    let mut peak: Option<f64> = None;
    for end in 0..series.len() {
        if end > 0 && series[end].1.cpu_s < series[end - 1].1.cpu_s {
            begin = end;
        }
        // The latest beginning that still makes a whole window.
        while begin + 1 < end && series[end].0 - series[begin + 1].0 >= window {
            begin += 1;
        }
        let took = series[end].0 - series[begin].0;
        if took >= window {
            let mcpu = (series[end].1.cpu_s - series[begin].1.cpu_s) * 1e3 / took.as_secs_f64();
            peak = Some(peak.map_or(mcpu, |peak| peak.max(mcpu)));
        }
    }
    peak
}

/// The largest memory of any look, in MiB.
pub fn peak_mib(series: &[(Duration, Usage)]) -> Option<f64> {
    series.iter().map(|(_, usage)| usage.rss_bytes).max().map(|bytes| bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(cpu: &[f64]) -> Vec<(Duration, Usage)> {
        let usage = |(i, cpu_s): (usize, &f64)| {
            (Duration::from_secs(i as u64), Usage { cpu_s: *cpu_s, rss_bytes: (i as u64) << 20 })
        };
        cpu.iter().enumerate().map(usage).collect()
    }

    #[test]
    fn the_peak_is_that_of_the_busiest_window() {
        // A second of a whole core, in windows of two seconds.
        let peak = peak_mcpu(&series(&[0.0, 0.1, 1.1, 1.2, 1.3]), Duration::from_secs(2));
        assert!(peak.is_some_and(|peak| (peak - 550.0).abs() < 1e-9), "{peak:?}");
        assert_eq!(peak_mib(&series(&[0.0, 0.0, 0.0])), Some(2.0));
    }

    #[test]
    fn a_process_that_was_started_again_begins_at_zero() {
        let peak = peak_mcpu(&series(&[5.0, 6.0, 0.0, 0.1, 0.2]), Duration::from_secs(2));
        assert!(peak.is_some_and(|peak| (peak - 100.0).abs() < 1e-9), "{peak:?}");
    }

    #[test]
    fn what_is_shorter_than_a_window_has_no_peak() {
        assert_eq!(peak_mcpu(&series(&[0.0, 1.0]), WINDOW), None);
    }
}
