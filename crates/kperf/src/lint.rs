//! `kperf profile lint`: what a profile will do, before it does it.

mod predict;
mod probe;

use std::path::PathBuf;

use apiload::Target;
use measure::{Schedule, human};

use crate::access::access;
use crate::columns::columns;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::print;
use crate::profile::{Arrivals, LoadProfile};
pub use predict::{Kind, Prediction};
pub use probe::Probe;

/// What is to be looked at.
#[derive(Debug)]
pub struct Lint {
    /// The profile.
    pub profile: PathBuf,
    /// The cluster that is asked as well.
    pub kubeconfig: Option<PathBuf>,
}

/// Prints the prediction.
///
/// # Errors
/// When the profile is refused, or cannot work; when the cluster cannot be reached.
pub async fn lint(asked: &Lint) -> Result<Exit> {
    let profile = LoadProfile::read(&asked.profile)?;
    let target = match &asked.kubeconfig {
        Some(kubeconfig) => Some(Target::new(&access(Some(kubeconfig.clone())).await?).await?),
        None => None,
    };
    let mut problems = Vec::new();
    let mut text = String::new();
    for (index, spec) in profile.specs().iter().enumerate() {
        spec.schedule(Arrivals::Even, 0).map(|_: Schedule| ())?;
        let probes = match &target {
            Some(target) => probe::all(target, spec).await?,
            None => Vec::new(),
        };
        let prediction = Prediction::of(spec, &probes);
        text.push_str(&describe(index, &prediction));
        problems.extend(prediction.problems.into_iter().map(|problem| format!("spec {index}: {problem}")));
    }
    print(&text)?;
    if problems.is_empty() { Ok(Exit::Done) } else { Err(Error::Refused(problems)) }
}

/// The prediction of a phase, as text.
pub(crate) fn describe(index: usize, prediction: &Prediction) -> String {
    let unknown = || "unknown".to_owned();
    let rows: Vec<[String; 6]> = prediction
        .kinds
        .iter()
        .map(|kind| {
            [
                kind.label.clone(),
                format!("{:.1} %", kind.share * 100.0),
                kind.requests.map_or_else(unknown, |n| format!("{n:.0}")),
                kind.bytes.map_or_else(unknown, bytes),
                kind.written.map_or_else(unknown, |n| format!("{n:.0}")),
                kind.etcd_bytes.map_or_else(unknown, bytes),
            ]
        })
        .collect();
    let header = ["REQUEST", "SHARE", "REQUESTS", "BYTES RECEIVED", "OBJECTS WRITTEN", "ETCD GROWTH"];
    let table = columns(header, &rows);
    let requests = prediction.requests.map_or_else(|| "as many as it carries".to_owned(), |n| n.to_string());
    let duration = prediction.duration.map_or_else(|| "as long as it takes".to_owned(), human);
    format!(
        "spec {index}: requests {requests}, duration {duration}, {} clients on {} connections\n{table}",
        prediction.clients, prediction.sockets
    )
}

fn bytes(bytes: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let steps = if bytes < 1.0 { 0 } else { ((bytes.log10() / 3.0) as usize).min(units.len() - 1) };
    let value = bytes / 1e3_f64.powi(steps as i32);
    if steps == 0 { format!("{value:.0} B") } else { format!("{value:.1} {}", units[steps]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::none(0.0, "0 B")]
    #[case::few(999.0, "999 B")]
    #[case::more(285_645.0, "285.6 kB")]
    #[case::many(38.5e9, "38.5 GB")]
    fn bytes_are_written_as_people_read_them(#[case] n: f64, #[case] text: &str) {
        assert_eq!(bytes(n), text);
    }
}
