//! The cost of the page of 100 rows of five phases of 1,000 pods each, from files to markup. The limit is 2 s.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has failed, and says where")]

#[path = "../tests/sample/mod.rs"]
mod sample;

use criterion::{Criterion, criterion_group, criterion_main};
use record::{RunDir, html_page};
use sample::{Ending, write_run};

fn page(c: &mut Criterion) {
    let place = tempfile::tempdir().unwrap();
    let directory = RunDir::at(place.path());
    let names: Vec<String> = (0..100).map(|i| format!("nodepool_{i}")).collect();
    let endings = [Ending::Passed, Ending::Missed, Ending::Stalled, Ending::Killed];
    let rows: Vec<_> =
        names.iter().zip(endings.into_iter().cycle()).map(|(name, ending)| (name.as_str(), ending)).collect();
    write_run(&directory, &rows, 1000);
    let mut group = c.benchmark_group("html");
    group.sample_size(10);
    group.bench_function("100 rows", |b| b.iter(|| html_page(&directory).unwrap()));
    group.finish();
}

criterion_group!(benches, page);
criterion_main!(benches);
