//! What every request costs on its way through the engine: pacing, picking, recording, and the skim of its answer.

use std::time::Duration;

use apiload::{Ended, Mix, Record, Recorder, items};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use measure::{Arrivals, Rate, Schedule, Until};

const REQUESTS: u64 = 10_000;
const PODS: usize = 1_000;

fn pacing(c: &mut Criterion) {
    let mut group = c.benchmark_group("pacing");
    group.throughput(Throughput::Elements(REQUESTS));
    let rate = Rate::Ramp { from_per_second: 10.0, to_per_second: 5_000.0, over: Duration::from_secs(2) };
    for (name, arrivals) in [("even", Arrivals::Even(rate.clone())), ("poisson", Arrivals::Poisson { rate, seed: 1 })] {
        let schedule = Schedule::new(arrivals, Until::Total(REQUESTS)).expect("a schedule");
        group.bench_function(name, |b| b.iter(|| assert_eq!(schedule.offsets().count() as u64, REQUESTS)));
    }
    group.finish();
}

fn picking(c: &mut Criterion) {
    let mut group = c.benchmark_group("picking");
    group.throughput(Throughput::Elements(REQUESTS));
    group.bench_function("three requests", |b| {
        b.iter_batched_ref(
            || Mix::new(&[1_000, 100, 100], 1).expect("shares"),
            |mix| (0..REQUESTS).filter(|_| mix.draw().operation == 0).count(),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn recording(c: &mut Criterion) {
    let records: Vec<Record> = (0..REQUESTS)
        .map(|i| {
            let intended = Duration::from_micros(i * 200);
            Record {
                operation: (i % 3) as usize,
                intended,
                slip: Some(Duration::from_micros(i % 200)),
                sent: Some(intended + Duration::from_micros(60)),
                first_byte: Some(intended + Duration::from_micros(500)),
                first_object: None,
                last_object: None,
                done: intended + Duration::from_micros(600 + i * 7_919 % 100_000),
                body_bytes: 1_000,
                objects: None,
                ended: Ended::Completed,
            }
        })
        .collect();
    let mut group = c.benchmark_group("recording");
    group.throughput(Throughput::Elements(REQUESTS));
    let mut recorder = Recorder::new(3);
    group.bench_function("a request", |b| b.iter(|| records.iter().for_each(|record| recorder.record(record))));
    group.finish();
}

fn skim(c: &mut Criterion) {
    let pod = r#"{"metadata":{"name":"deployment-6d8f9c7b5f-00001","labels":{"app":"web"}},"spec":{"nodeName":"node-1","containers":[{"name":"c","image":"pause"}]},"status":{"phase":"Running","podIP":"10.0.0.1"}}"#;
    let json = format!(r#"{{"kind":"PodList","metadata":{{}},"items":[{}]}}"#, vec![pod; PODS].join(","));
    // A list of 1,000 objects of 128 bytes (field 2, length as a varint of two bytes) as the raw content of an `Unknown`.
    let list = [&[0x12, 0x80, 0x01][..], &[0; 128]].concat().repeat(PODS);
    let mut length = list.len();
    let mut protobuf = b"k8s\0\x12".to_vec();
    while length >= 0x80 {
        protobuf.push(length as u8 | 0x80);
        length >>= 7;
    }
    protobuf.push(length as u8);
    protobuf.extend(list);
    let mut group = c.benchmark_group("skim");
    for (name, body) in [("json", json.into_bytes()), ("protobuf", protobuf)] {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |b| b.iter(|| assert_eq!(items(&body), Some(PODS as u64))));
    }
    group.finish();
}

criterion_group!(benches, pacing, picking, recording, skim);
criterion_main!(benches);
