//! Results in the forms of upstream's tools, which are read as well as written.
//!
//! | form | keys | written by |
//! | --- | --- | --- |
//! | old | `Name`, `Benchmarks`: the first is create, the second update | `benchmark` of the document |
//! | new | `name`, `benchmarks` by cell (`10MB-4`), each with `create` and `update` | `suite` of the newer tool |
//! | one | `create` and `update` alone | `measure` of the newer tool |

mod old;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Results of one arm, in the new form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Suite {
    /// The version of the cluster.
    #[serde(default)]
    pub kubernetes_version: String,
    /// What was measured: the arm.
    pub name: String,
    /// When, RFC 3339.
    #[serde(default)]
    pub timestamp: String,
    /// By cell.
    pub benchmarks: BTreeMap<String, Cell>,
    /// The nodes.
    #[serde(default)]
    pub nodes: Vec<Node>,
}

/// Both steps of one pair of images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// All nodes at once.
    pub create: Measurements,
    /// One after the other.
    pub update: Measurements,
}

/// The pulls of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measurements {
    /// The image.
    pub image: String,
    /// Each pull.
    #[serde(default)]
    pub samples: Vec<Sample>,
}

/// A pull.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// When it began, RFC 3339.
    pub start: String,
    /// When it ended.
    pub stop: String,
    /// How long it took, in nanoseconds.
    #[serde(rename = "duration")]
    pub duration_ns: u64,
}

/// A node that pulled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// What its cloud calls its size.
    #[serde(default)]
    pub instance_type: String,
    /// Bytes.
    #[serde(default)]
    pub memory: u64,
    /// CPUs.
    #[serde(default)]
    pub cpu: u64,
}

/// Why a file is not of these forms.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It is no JSON, or a field of it is wrong.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        source: serde_json::Error,
    },
    /// It is of another form.
    #[error("{} has neither `benchmarks`, nor `Benchmarks`, nor `create` and `update`: no tool of Spegel's benchmark wrote it", .0.display())]
    Form(PathBuf),
    /// The old form has an entry for each of its two steps.
    #[error("{}: `Benchmarks` has {found} entries, where the first is create and the second is update", path.display())]
    Steps {
        /// The file.
        path: PathBuf,
        /// Entries.
        found: usize,
    },
}

impl Suite {
    /// The results of one cell.
    pub fn of_one(name: &str, cell: String, create: Measurements, update: Measurements) -> Self {
        let timestamp = Timestamp::now().to_string();
        let benchmarks = [(cell, Cell { create, update })].into();
        Self { name: name.to_owned(), timestamp, benchmarks, ..Self::default() }
    }

    /// Reads a file of any of the forms. What a form does not say is taken from the file's name.
    ///
    /// # Errors
    /// When it is of none, with the file, and the line where it is JSON.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs_err::read_to_string(path)?;
        let json = |source| Error::Json { path: path.to_owned(), source };
        let value: Value = serde_json::from_str(&text).map_err(json)?;
        let has = |key: &str| value.get(key).is_some();
        if has("Benchmarks") {
            let old: old::Results = serde_json::from_str(&text).map_err(json)?;
            let found = old.benchmarks.len();
            return old.into_suite().ok_or_else(|| Error::Steps { path: path.to_owned(), found });
        }
        if has("benchmarks") {
            return serde_json::from_str(&text).map_err(json);
        }
        if has("create") && has("update") {
            let Cell { create, update } = serde_json::from_str(&text).map_err(json)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            return Ok(Self {
                timestamp: String::new(),
                ..Self::of_one(&name, repository(&create.image), create, update)
            });
        }
        Err(Error::Form(path.to_owned()))
    }

    /// The same in the old form, an entry for each step of each cell.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn to_old(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec_pretty(&old::Results::from(self))
    }
}

impl Sample {
    /// A pull that began at a time, in microseconds since 1970; none when that is no time.
    pub fn new(began_us: u64, took: Duration) -> Option<Self> {
        let at = |us: u64| Timestamp::from_microsecond(i64::try_from(us).ok()?).ok().map(|time| time.to_string());
        let start = at(began_us)?;
        Some(Self { start, stop: at(began_us + took.as_micros() as u64)?, duration_ns: took.as_nanos() as u64 })
    }

    /// How long it took, in seconds.
    pub fn seconds(&self) -> f64 {
        self.duration_ns as f64 / 1e9
    }
}

/// What the newer tool calls a pair of images: `10MB-4`, where 1MB is 1024 x 1024 bytes.
pub fn cell(bytes: u64, layers: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)];
    let unit = UNITS.iter().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit));
    match unit {
        Some((name, unit)) => format!("{}{name}-{layers}", bytes / unit),
        None => format!("{bytes}B-{layers}"),
    }
}

/// What an image is called without its registry, its path and its tag.
pub(crate) fn repository(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split([':', '@']).next().unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(10 << 20, 4, "10MB-4")]
    #[case(1 << 30, 1, "1GB-1")]
    #[case(16_663_315, 7, "16663315B-7")]
    fn a_cell_is_called_as_the_newer_tool_does(#[case] bytes: u64, #[case] layers: u64, #[case] wanted: &str) {
        assert_eq!(cell(bytes, layers), wanted);
    }

    #[test]
    fn an_image_is_known_by_its_repository() {
        assert_eq!(repository("registry.example/mirrorshub/docker/nginx:1.24-alpine"), "nginx");
        assert_eq!(repository("origin.test:5000/a@sha256:1"), "a");
    }

    #[test]
    fn a_sample_ends_when_its_time_is_over() {
        let sample = Sample::new(1_700_000_000_000_000, Duration::from_millis(1_500)).unwrap();
        assert_eq!((sample.start.as_str(), sample.stop.as_str()), ("2023-11-14T22:13:20Z", "2023-11-14T22:13:21.5Z"));
        assert_eq!(sample.duration_ns, 1_500_000_000);
    }
}
