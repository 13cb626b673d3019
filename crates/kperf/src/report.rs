//! Results, in the forms that kperf has had and in our own.
//!
//! | form | errorStats | latencies by | several phases |
//! | --- | --- | --- | --- |
//! | `v0.1.5`, which document 003 shows | by four kinds | URL | added up |
//! | `v0.3.4` | one map | URL | added up |
//! | `v0.3.5` | one map | verb and URL | each, and added up |
//! | `full`, our own | one map by kind | operation, in both columns | each |
//!
//! (`api/types/metric.go` and `metrics/utils.go` of Azure/kperf at those versions.) kperf's forms have one latency. Here it
//! is the response time unless the service time is asked for, and `latency` says which. They count only what was answered
//! well; what was cancelled or never sent is in `counts`, which is ours.

mod errors;
mod flat;
mod part;

use apiload::Outcome;
use serde::Serialize;

use crate::profile::{Form, LoadProfile};
use flat::Flat;
pub use part::Part;

/// The form of a result.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Format {
    /// As kperf v0.1.5 and document 003 write it.
    #[value(name = "v0.1.5")]
    V015,
    /// As kperf v0.3.4 writes it.
    #[value(name = "v0.3.4")]
    V034,
    /// As kperf v0.3.5 writes it: phases, and all of them together.
    #[value(name = "v0.3.5")]
    V035,
    /// Our own: both latencies, all counts, connections, and the phase second by second.
    Full,
}

/// Which latency stands in kperf's forms.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Latency {
    /// From the intended send to the end, of all requests: what a user feels.
    #[default]
    Response,
    /// From the send to the end, of requests that were answered well: what kperf reports.
    Service,
}

/// A result with what it is a result of.
#[derive(Debug)]
pub struct Report<'a> {
    /// What was sent.
    pub profile: &'a LoadProfile,
    /// What came of it.
    pub outcome: &'a Outcome,
    /// The latency of kperf's forms.
    pub latency: Latency,
    /// Whether the first errors stand in kperf's forms, as with `--raw-data`.
    pub errors: bool,
}

impl Format {
    /// The form of the kperf that a profile was written for.
    pub fn of(profile: &LoadProfile) -> Self {
        match profile.form() {
            Form::Spec => Self::V015,
            Form::Specs => Self::V035,
        }
    }
}

impl Report<'_> {
    /// The result as JSON, with a line break at its end.
    pub fn json(&self, format: Format) -> Vec<u8> {
        let target = &self.outcome.target;
        let parts: Vec<Part> = self.outcome.phases.iter().map(|phase| Part::of(target, phase, self.errors)).collect();
        let flat = |parts: &[Part]| Flat::of(target, parts, format, self.latency);
        match format {
            Format::V015 | Format::V034 => text(&flat(&parts)),
            Format::V035 => text(&Phases {
                per_spec_results: parts.iter().map(|part| flat(std::slice::from_ref(part))).collect(),
                aggregated: flat(&parts),
            }),
            Format::Full => text(&Full {
                tool: concat!("kubedyno kperf ", env!("CARGO_PKG_VERSION")),
                profile: self.profile,
                outcome: self.outcome,
            }),
        }
    }
}

/// The result of a group, in one of kperf's forms: phases of runners that ran at the same time.
pub fn of_group(target: &str, runners: &[Vec<Part>], format: Format, latency: Latency) -> Vec<u8> {
    let phases = runners.iter().map(Vec::len).max().unwrap_or_default();
    let merged = (0..phases).map(|phase| {
        let mut merged = Part::default();
        runners.iter().filter_map(|runner| runner.get(phase)).for_each(|part| merged.add_beside(part));
        merged
    });
    text(&Flat::of(target, &merged.collect::<Vec<_>>(), format, latency))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Phases {
    per_spec_results: Vec<Flat>,
    aggregated: Flat,
}

#[derive(Serialize)]
struct Full<'a> {
    tool: &'static str,
    profile: &'a LoadProfile,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

fn text(report: &impl Serialize) -> Vec<u8> {
    let mut json = serde_json::to_vec_pretty(report).unwrap_or_default();
    json.push(b'\n');
    json
}
