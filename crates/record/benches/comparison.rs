//! The cost of comparing two arms of 100 runs of five phases, from their files to the table. The limit is 1 s.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has failed, and says where")]

#[path = "../tests/sample/mod.rs"]
mod sample;

use std::collections::BTreeMap;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use measure::Budgets;
use measure::gate::Rule;
use record::{Arm, ArmRun, RunDir, compare, comparison_table};
use sample::{Ending, SUITE, write_run};

const BUDGETS: &str = "\
[[compare]]\nmetric = \"create_pods_s\"\nbetter = \"lower\"\nbasis = \"time\"\nrelevance = 1.15\nrows = [\"*\"]\n
[[compare]]\nmetric = \"create_pods_etcd_wal_bytes_per_object\"\nbetter = \"lower\"\nbasis = \"count\"\nrelevance = 1.05\nrows = [\"*\"]\n";

/// The same run a hundred times, with figures of its own.
fn write_arm(directory: &Path, arm: &str, factor: f64) {
    for repeat in 0..100 {
        let run_dir = RunDir::at(directory.join(format!("{repeat:03}")));
        write_run(&run_dir, &[("row", Ending::Passed)], 10);
        let mut trial = run_dir.trial(SUITE, "row").unwrap();
        let noise = factor * (1.0 + 0.01 * ((repeat * 37) % 11) as f64);
        trial.arm = Some(ArmRun { arm: arm.to_owned(), repeat, warm_up: false, position: 2 * repeat });
        trial.metrics = BTreeMap::from([
            ("create_pods_s".to_owned(), 10.0 * noise),
            ("create_pods_etcd_wal_bytes_per_object".to_owned(), 11_000.0 * noise),
        ]);
        run_dir.write_trial(&trial).unwrap();
    }
}

fn comparison(c: &mut Criterion) {
    let place = tempfile::tempdir().unwrap();
    let [base, head] = ["base", "head"].map(|arm| place.path().join(arm));
    write_arm(&base, "base", 1.0);
    write_arm(&head, "head", 1.2);
    let budgets = BTreeMap::from([(SUITE.to_owned(), Budgets::parse("budgets.toml", BUDGETS).unwrap())]);
    let mut group = c.benchmark_group("comparison");
    group.sample_size(10);
    group.bench_function("100 runs an arm", |b| {
        b.iter(|| {
            let (base, head) = (Arm::read(&base).unwrap(), Arm::read(&head).unwrap());
            let comparison = compare(&base, &head, &budgets, false, &Rule::default());
            assert!(comparison.rows[0].gate().is_some_and(|gate| gate.outcomes[0].pairs == 100));
            comparison_table(&comparison, 120)
        });
    });
    group.finish();
}

criterion_group!(benches, comparison);
criterion_main!(benches);
