//! The cost of stamping one object through its whole life, at 10,000 objects.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use measure::{Ledger, Seen};

fn mark(c: &mut Criterion) {
    let names: Vec<String> = (0..10_000).map(|i| format!("deployment-{:02}-6d8f9c7b5f-{i:05}", i / 200)).collect();
    let mut group = c.benchmark_group("ledger");
    group.throughput(Throughput::Elements(names.len() as u64));
    group.bench_function("10,000 objects, 6 stages", |b| {
        b.iter(|| {
            let mut ledger = Ledger::new(&["intended", "observed", "scheduled", "running", "deleting", "gone"]);
            let pods = ledger.cohort("pods", names.len());
            for name in &names {
                (0..6).for_each(|stage| {
                    ledger.mark(name, pods, stage, Duration::from_millis(1), Seen::Event);
                });
            }
            assert_eq!(ledger.count(&[pods], 5), names.len());
            ledger
        });
    });
    group.finish();
}

criterion_group!(benches, mark);
criterion_main!(benches);
