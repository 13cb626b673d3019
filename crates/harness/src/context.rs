//! What a test process is told by the setup script and by nextest, read once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cluster::{Descriptor, Fixtures, Leave};
use record::ArmRun;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Variable with the overrides of `--set`, a JSON object.
pub const SUITE_SETS: &str = "KUBEDYNO_SET";

/// Variable with what the user gave leave for on a cluster of others: `nodes`, `load`, or both with a comma between.
pub const LEAVE: &str = "KUBEDYNO_ALLOW";

/// Variable with the run of a comparison that this is, a JSON object.
pub const ARM: &str = "KUBEDYNO_ARM";

/// Variable with a kubeconfig that a row uses instead of its cluster's own.
pub const KUBECONFIG: &str = "KUBEDYNO_KUBECONFIG";

/// Variable with the component whose CPU profile is wanted.
pub const PROFILE: &str = "KUBEDYNO_PROFILE";

/// Variable that says that the run is one session of nextest, opened by its setup script.
pub const SESSION: &str = "KUBEDYNO_SESSION";

/// The run that a test belongs to.
#[derive(Clone, Debug)]
pub struct Context {
    /// The run's id.
    pub run_id: String,
    /// The run's directory.
    pub results: PathBuf,
    /// The nextest profile.
    pub profile: String,
    /// Overrides of parameters.
    pub sets: BTreeMap<String, String>,
    /// What the user gave leave for on a cluster of others.
    pub leave: Leave,
    /// The run of a comparison that this is.
    pub arm: Option<ArmRun>,
    /// The component whose CPU profile is kept with the record.
    pub profile_of: Option<String>,
    /// The way to the apiserver, where it is not the cluster's own.
    pub kubeconfig: Option<PathBuf>,
    /// Whether the run is one session of nextest, of which nobody knows beforehand whether it has rows.
    pub is_session: bool,
}

impl Context {
    /// Reads the context from the environment.
    ///
    /// # Errors
    /// When the test was not started by nextest with its setup script.
    pub fn from_env() -> Result<Self> {
        let sets = json(SUITE_SETS)?.unwrap_or_default();
        let leave = std::env::var(LEAVE).unwrap_or_default();
        let may = |what| leave.split(',').any(|allowed| allowed == what);
        Ok(Self {
            leave: Leave { nodes: may("nodes"), load: may("load") },
            run_id: variable("KUBEDYNO_RUN_ID")?,
            results: variable("KUBEDYNO_RESULTS")?.into(),
            profile: std::env::var("NEXTEST_PROFILE").unwrap_or_else(|_| "default".to_owned()),
            sets,
            arm: json(ARM)?,
            profile_of: std::env::var(PROFILE).ok().filter(|component| !component.is_empty()),
            kubeconfig: std::env::var_os(KUBECONFIG).filter(|path| !path.is_empty()).map(PathBuf::from),
            is_session: std::env::var_os(SESSION).is_some(),
        })
    }
}

/// The cluster whose descriptor the variable `name` points at, among the fixtures of its machine.
///
/// # Errors
/// When the variable is not set, or the cluster is gone.
pub fn fixture(name: &str) -> Result<(Descriptor, Fixtures)> {
    let path = PathBuf::from(variable(name)?);
    let gone =
        || Error::Environment(format!("{} is gone: `cargo xtask cluster up` makes the cluster again", path.display()));
    let descriptor = Descriptor::read(&path)?.ok_or_else(gone)?;
    let state = path.ancestors().nth(3).ok_or_else(gone)?;
    Ok((descriptor, Fixtures::new(state)))
}

/// A variable that holds JSON; `None` when it is not set or empty.
pub(crate) fn json<T: DeserializeOwned>(name: &str) -> Result<Option<T>> {
    let text = std::env::var(name).unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    serde_json::from_str(&text).map(Some).map_err(|error| Error::Environment(format!("{name}: {error}")))
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).map_err(|_| {
        Error::Environment(format!(
            "{name} is not set: nextest's setup script sets it. Run `cargo nextest run -p SUITE` or `cargo xtask run SUITE`, \
             not `cargo test`"
        ))
    })
}
