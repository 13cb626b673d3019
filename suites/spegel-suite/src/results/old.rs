//! The form of the document's own tool, whose keys are Go's.

use serde::{Deserialize, Serialize};

use super::{Cell, Measurements, Sample, Suite, repository};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Results {
    name: String,
    pub(super) benchmarks: Vec<Benchmark>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Benchmark {
    image: String,
    // Go writes a slice without entries as null.
    measurements: Option<Vec<Measurement>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Measurement {
    start: String,
    stop: String,
    /// Nanoseconds.
    duration: u64,
}

impl Results {
    /// None when there is not one entry for each step.
    pub(super) fn into_suite(self) -> Option<Suite> {
        let [create, update]: [Benchmark; 2] = self.benchmarks.try_into().ok()?;
        let cell = repository(&create.image);
        let [create, update] = [create, update].map(Measurements::from);
        Some(Suite { name: self.name, benchmarks: [(cell, Cell { create, update })].into(), ..Suite::default() })
    }
}

impl From<&Suite> for Results {
    fn from(suite: &Suite) -> Self {
        let steps = suite.benchmarks.values().flat_map(|cell| [&cell.create, &cell.update]);
        Self { name: suite.name.clone(), benchmarks: steps.map(Benchmark::from).collect() }
    }
}

impl From<Benchmark> for Measurements {
    fn from(benchmark: Benchmark) -> Self {
        let sample = |of: Measurement| Sample { start: of.start, stop: of.stop, duration_ns: of.duration };
        let measurements = benchmark.measurements.unwrap_or_default();
        Self { image: benchmark.image, samples: measurements.into_iter().map(sample).collect() }
    }
}

impl From<&Measurements> for Benchmark {
    fn from(step: &Measurements) -> Self {
        let measurement = |sample: &Sample| Measurement {
            start: sample.start.clone(),
            stop: sample.stop.clone(),
            duration: sample.duration_ns,
        };
        Self { image: step.image.clone(), measurements: Some(step.samples.iter().map(measurement).collect()) }
    }
}
