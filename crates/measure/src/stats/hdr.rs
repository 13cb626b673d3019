//! Durations counted in a High Dynamic Range histogram: constant memory however many there are, and merging loses
//! nothing.
//!
//! Gil Tene's HdrHistogram, with three significant digits: a quantile is off by at most 0.1 %, or half a microsecond
//! where that is more. Histograms of several threads, repeats or runs are merged by their counts; percentiles are never
//! averaged.

use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};

use super::quantile::{Quantiles, millis, samples_to_carry};

/// What is told apart, in nanoseconds: below it, durations share a count.
const LOWEST: u64 = 1_000;
/// The longest duration that is counted as itself, in nanoseconds: an hour.
const HIGHEST: u64 = 3_600_000_000_000;

/// A histogram of durations from a microsecond to an hour; about 90 KiB. A count of more than four billion at one value
/// stays there.
#[derive(Clone, Debug)]
pub struct Hdr(Histogram<u32>);

/// One line of an interval log.
#[derive(Clone, Copy, Debug)]
pub struct LogLine<'a> {
    /// What was measured: a phase or a request. Without spaces and commas, which would end it.
    pub tag: &'a str,
    /// When the interval began, since the start of the trial.
    pub start: Duration,
    /// How long it was.
    pub took: Duration,
    /// What was counted in it.
    pub hdr: &'a Hdr,
}

impl Default for Hdr {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(LOWEST, HIGHEST, 3).expect("the bounds are constants that a test has tried"))
    }
}

impl Hdr {
    /// Counts one duration; one of more than an hour counts as an hour.
    pub fn record(&mut self, duration: Duration) {
        self.0.saturating_record(u64::try_from(duration.as_nanos()).unwrap_or(HIGHEST));
    }

    /// Adds what `other` counted, as if it had been counted here.
    pub fn merge(&mut self, other: &Self) {
        for counted in other.0.iter_recorded() {
            self.0.saturating_record_n(counted.value_iterated_to(), counted.count_at_value());
        }
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The mean of those that were counted.
    pub fn mean(&self) -> Option<Duration> {
        (self.count() > 0).then(|| Duration::from_nanos(self.0.mean() as u64))
    }

    /// The nearest-rank quantile where all are known: see [`Hdr::quantile_of`].
    pub fn quantile(&self, p: f64) -> Option<Duration> {
        self.quantile_of(p, 0)
    }

    /// The nearest-rank quantile among these and `unknown` more, which may have been longer than all of these. Where that
    /// would decide it, or where the samples cannot carry it (`1 / (1 - p)` are needed), there is none: leaving out those
    /// that did worst makes the rest look good.
    pub fn quantile_of(&self, p: f64, unknown: u64) -> Option<Duration> {
        let n = self.count() + unknown;
        if (n as f64) < samples_to_carry(p) {
            return None;
        }
        self.nearest_rank(p, unknown)
    }

    /// The same however few the samples are, for formats of others that have a p99 of ten requests.
    pub fn nearest_rank(&self, p: f64, unknown: u64) -> Option<Duration> {
        let n = self.count() + unknown;
        let rank = ((n as f64 * p).ceil() as u64).max(1);
        let mut seen = 0;
        let mut counted = self.0.iter_recorded();
        counted.find_map(|value| {
            seen += u64::from(value.count_at_value());
            (seen >= rank).then(|| Duration::from_nanos(value.value_iterated_to()))
        })
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// The histogram as bytes that [`Hdr::decode`] reads on any machine: HdrHistogram's V2 format, compressed.
    ///
    /// # Errors
    /// What the serializer reports.
    pub fn encode(&self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let written = V2DeflateSerializer::new().serialize(&self.0, &mut bytes);
        written.map(|_| bytes).map_err(|error| std::io::Error::other(format!("{error:?}")))
    }

    /// The histogram that was encoded.
    ///
    /// # Errors
    /// When the bytes are no histogram.
    pub fn decode(bytes: &[u8]) -> std::io::Result<Self> {
        let read: Histogram<u32> = Deserializer::new()
            .deserialize(&mut &bytes[..])
            .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{error:?}")))?;
        // Into one of our own bounds, whatever bounds the bytes name.
        let mut own = Self::default();
        own.merge(&Self(read));
        Ok(own)
    }

    /// The quantiles that records hold.
    pub fn quantiles(&self) -> Quantiles {
        let at = |p: f64| self.quantile(p).map(millis);
        let n = usize::try_from(self.count()).unwrap_or(usize::MAX);
        Quantiles { n, p50_ms: at(0.5), p90_ms: at(0.9), p99_ms: at(0.99), max_ms: at(1.0) }
    }
}

/// An interval log (`*.hlog`) as HdrHistogram's own tools read it: values in nanoseconds, V2 deflate, the readable
/// maximum in ms.
///
/// # Errors
/// A tag that is empty or has a space, a comma or a line break in it; what the writer reports otherwise.
pub fn interval_log<'a>(lines: impl IntoIterator<Item = LogLine<'a>>) -> std::io::Result<String> {
    let mut log = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment("durations in nanoseconds, starts in seconds since the start of the trial")
        .with_max_value_divisor(1e6)
        .begin_log_with(&mut log, &mut serializer)?;
    for LogLine { tag, start, took, hdr } in lines {
        let tag = Tag::new(tag).filter(|_| !tag.is_empty()).ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::InvalidInput, format!("`{tag}` cannot be a tag of an interval log"))
        })?;
        writer
            .write_histogram(&hdr.0, start, took, Some(tag))
            .map_err(|error| std::io::Error::other(format!("{error:?}")))?;
    }
    String::from_utf8(log).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::quantile;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
    use proptest::prelude::*;

    fn of(micros: &[u64]) -> Hdr {
        let mut hdr = Hdr::default();
        micros.iter().for_each(|n| hdr.record(Duration::from_micros(*n)));
        hdr
    }

    /// The log's histograms are in base64.
    fn decoded(text: &str) -> Vec<u8> {
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digits: Vec<u32> = text.chars().filter_map(|c| alphabet.find(c)).map(|i| i as u32).collect();
        let bytes = digits.chunks(4).flat_map(|four| {
            let bits = four.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - four.len()));
            bits.to_be_bytes()[1..four.len()].to_vec()
        });
        bytes.collect()
    }

    #[test]
    fn a_percentile_that_the_count_cannot_carry_is_absent() {
        let hdr = of(&(1..=99).map(|n| n * 1_000).collect::<Vec<_>>());
        let quantiles = hdr.quantiles();
        assert_eq!((quantiles.n, quantiles.p99_ms), (99, None));
        assert!(quantiles.p90_ms.is_some_and(|p90| (p90 / 90.0 - 1.0).abs() < 1e-3));
        assert_eq!(Hdr::default().quantiles(), Quantiles::default());
    }

    #[test]
    fn unknown_durations_take_the_quantiles_that_they_could_decide() {
        let hdr = of(&(1..=980).map(|n| n * 1_000).collect::<Vec<_>>());
        let near = |p, expected: f64| hdr.quantile_of(p, 20).is_some_and(|at| (millis(at) - expected).abs() < 1.0);
        assert!(near(0.5, 500.0) && near(0.95, 950.0));
        assert_eq!((hdr.quantile_of(0.99, 20), hdr.quantile_of(1.0, 20)), (None, None));
    }

    #[test]
    fn the_nearest_rank_of_few_samples_is_there_for_formats_that_want_one() {
        let hdr = of(&(1..=10).map(|n| n * 1_000).collect::<Vec<_>>());
        let at = |p| hdr.nearest_rank(p, 0).map(|at| at.as_secs_f64().mul_add(1e3, 0.5) as u64);
        assert_eq!([0.0, 0.5, 0.9, 0.99, 1.0].map(at), [1, 5, 9, 10, 10].map(Some));
        assert_eq!((hdr.nearest_rank(0.9, 1), hdr.nearest_rank(1.0, 1)), (hdr.nearest_rank(1.0, 0), None));
        assert_eq!(Hdr::default().nearest_rank(0.5, 0), None);
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        assert!(Hdr::decode(b"").is_err() && Hdr::decode(b"histogram").is_err());
    }

    #[test]
    fn memory_does_not_grow_with_the_samples() {
        let mut hdr = Hdr::default();
        let empty = hdr.0.distinct_values();
        (0..100_000).for_each(|n| hdr.record(Duration::from_micros(n * 36_000)));
        hdr.record(Duration::from_secs(100_000));
        assert_eq!(hdr.0.distinct_values(), empty);
        assert!(empty * size_of::<u32>() < 128 * 1024, "{empty}");
        assert!(hdr.quantile(1.0).is_some_and(|max| max.as_secs_f64() < 3_604.0));
    }

    #[test]
    fn an_interval_log_is_read_back_as_it_was_counted() {
        let hdr = of(&[1_000, 2_000, 40_000]);
        let line = |tag| LogLine { tag, start: Duration::from_secs(2), took: Duration::from_secs(5), hdr: &hdr };
        let log = interval_log([line("create-pods")]).expect("written");
        let interval = IntervalLogIterator::new(log.as_bytes())
            .find_map(|entry| match entry {
                Ok(LogEntry::Interval(interval)) => Some(interval),
                _ => None,
            })
            .expect("one interval");
        let bytes = decoded(interval.encoded_histogram());
        let read: Histogram<u32> = Deserializer::new().deserialize(&mut bytes.as_slice()).expect("a histogram");
        assert_eq!(interval.tag().map(|tag| tag.as_str().to_owned()), Some("create-pods".to_owned()));
        assert_eq!((read.len(), read.max()), (3, hdr.0.max()));
        assert!(interval_log([line("create pods")]).is_err() && interval_log([line("")]).is_err());
    }

    proptest! {
        #[test]
        fn merging_is_counting_together(
            a in prop::collection::vec(1u64..3_600_000_000, 0..200),
            b in prop::collection::vec(1u64..3_600_000_000, 0..200),
        ) {
            let mut merged = of(&a);
            merged.merge(&of(&b));
            let together = of(&[a, b].concat());
            prop_assert_eq!(merged.count(), together.count());
            prop_assert!(merged.0.iter_recorded().map(|v| (v.value_iterated_to(), v.count_at_value()))
                .eq(together.0.iter_recorded().map(|v| (v.value_iterated_to(), v.count_at_value()))));
        }

        #[test]
        fn encoding_loses_nothing(micros in prop::collection::vec(1u64..3_600_000_000, 0..200)) {
            let hdr = of(&micros);
            let read = Hdr::decode(&hdr.encode().expect("encoded")).expect("decoded");
            prop_assert!(hdr.0 == read.0);
        }

        #[test]
        fn a_quantile_is_the_exact_one_within_its_digits(
            mut micros in prop::collection::vec(1u64..3_600_000_000, 100..400), p in 0.01f64..0.99,
        ) {
            let hdr = of(&micros);
            micros.sort_unstable();
            let exact = quantile(&micros, p).expect("enough") as f64 * 1e3;
            let counted = hdr.quantile(p).expect("enough").as_nanos() as f64;
            prop_assert!((counted - exact).abs() <= (exact * 1e-3).max(512.0), "{} {}", counted, exact);
        }
    }
}
