//! Durations as Go prints them: in the URLs of client-go and in the reports of tools that are written in Go.

use std::time::Duration;

/// A duration as Go's `time.Duration.String` prints it: `1m0s`, `367.139837ms`, `1.5s`, `0s`.
pub fn go_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let small = [(1_000, 1, "ns"), (1_000_000, 1_000, "µs"), (1_000_000_000, 1_000_000, "ms")];
    if let Some((_, unit, name)) = small.into_iter().find(|(below, ..)| nanos > 0 && nanos < *below) {
        return format!("{}{name}", decimal(nanos, unit));
    }
    let (hours, minutes) = (duration.as_secs() / 3600, duration.as_secs() / 60 % 60);
    let rest = decimal(nanos % 60_000_000_000, 1_000_000_000);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

/// `nanos / unit` with as many digits as it has.
fn decimal(nanos: u128, unit: u128) -> String {
    let width = unit.ilog10() as usize;
    let digits = format!("{}.{:0width$}", nanos / unit, nanos % unit);
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::zero(0, "0s")]
    #[case::nanoseconds(7, "7ns")]
    #[case::microseconds(1_100, "1.1µs")]
    #[case::milliseconds(367_139_837, "367.139837ms")]
    #[case::half_a_second(500_000_000, "500ms")]
    #[case::seconds(1_500_000_000, "1.5s")]
    #[case::ten_seconds(10_000_000_000, "10s")]
    #[case::a_minute(60_000_000_000, "1m0s")]
    #[case::a_minute_and_more(100_200_000_000, "1m40.2s")]
    #[case::hours(3_723_000_000_000, "1h2m3s")]
    fn a_duration_reads_as_in_go(#[case] nanos: u64, #[case] text: &str) {
        assert_eq!(go_duration(Duration::from_nanos(nanos)), text);
    }
}
