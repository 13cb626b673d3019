//! The cost of judging a gate by resampling: gates of 10 metrics and 10 pairs, drawn from a pool of 40 repeats.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use measure::Basis;
use measure::gate::resample::{Draw, Labels, rate};
use measure::gate::{Better, Metric, Rule};

/// Log-normal repeats by inversion of a golden-ratio sequence: spread as evenly as noise, and the same in every run.
fn pool() -> Vec<Metric> {
    let sample = |i: usize| {
        let sum: f64 =
            (1..=12).map(|k| (i as f64 * 0.618_033_988_75 * f64::from(k) + f64::from(k * k) * 0.3).fract()).sum();
        (0.05 * (sum - 6.0)).exp()
    };
    let metric = |m: usize| Metric {
        name: format!("metric_{m}_s"),
        better: Better::Lower,
        basis: Basis::Time,
        relevance: 1.1,
        base: (0..40).map(|i| sample(m * 1_000 + i)).collect(),
        head: (0..40).map(|i| sample(m * 1_000 + 500 + i)).collect(),
    };
    (0..10).map(metric).collect()
}

fn resampled(c: &mut Criterion) {
    let (pool, rule) = (pool(), Rule::default());
    let draw = Draw { gates: 10_000, pairs: 10, block: 2, labels: Labels::Exchanged, seed: 1 };
    let mut group = c.benchmark_group("gate");
    group.sample_size(10).throughput(Throughput::Elements(draw.gates as u64));
    group.bench_function("10,000 resampled gates, 10 metrics, 10 pairs", |b| {
        b.iter(|| {
            let rate = rate(&pool, &draw, &rule, |gate| gate.worse().next().is_some()).expect("a whole pool");
            assert_eq!(rate.of, 10_000);
            rate
        });
    });
    group.finish();
}

criterion_group!(benches, resampled);
criterion_main!(benches);
