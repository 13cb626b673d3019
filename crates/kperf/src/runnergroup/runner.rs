//! One runner of a group, the same in a Pod and as a process: takes the profile from the cluster, runs it, and leaves what
//! it found there.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use apiload::Control;
use kube::Client;

use super::store::{self, RunnerResult};
use crate::access::access;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::profile::{Arrivals, Sending};
use crate::report::Part;
use crate::runner::load;
use crate::say;

/// The variable in which the Job controller gives a Pod its number.
const INDEX: &str = "JOB_COMPLETION_INDEX";
/// How long an apiserver may be away before what a runner found is lost.
const PATIENCE: Duration = Duration::from_secs(300);
/// The same for one that was told to end: its group may be gone, and its kubelet kills it after 30 s.
const LAST_WORDS: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_secs(1);

/// Runs runner `index` of a group; of a Pod's variable where none is given.
///
/// # Errors
/// When there is no such group, the load cannot begin, or its result cannot be left.
pub async fn run_one(kubeconfig: Option<PathBuf>, group: &str, index: Option<u32>) -> Result<Exit> {
    let given = || std::env::var(INDEX).ok().and_then(|index| index.parse().ok());
    let index = index.or_else(given).ok_or_else(|| Error::Usage(format!("neither --index nor {INDEX} is given")))?;
    let config = access(kubeconfig).await?;
    let client = Client::try_from(config.clone()).map_err(Error::api("cannot set up TLS"))?;
    let until = Instant::now() + PATIENCE;
    // A Pod may be there before the profile is.
    let profile = loop {
        match store::profile(&client, group).await {
            Err(Error::Api { .. }) if Instant::now() < until => tokio::time::sleep(AGAIN).await,
            read => break read?,
        }
    };
    let sending = Sending {
        seed: u64::from(index) + 1,
        arrivals: Arrivals::Even,
        user_agent: None,
        prefix: Some(format!("{group}-{index}")),
    };
    let outcome = load(&config, &profile, &sending, &Control::new()).await?;
    let phases = outcome.phases.iter().map(|phase| Part::of(&outcome.target, phase, false)).collect();
    let result = RunnerResult { index, target: outcome.target, phases };
    let until = Instant::now() + if outcome.stopped { LAST_WORDS } else { PATIENCE };
    while let Err(error) = store::publish(&client, group, &result).await {
        if Instant::now() > until {
            return Err(error);
        }
        say(&format!("warning: {error}; trying again"));
        tokio::time::sleep(AGAIN).await;
    }
    Ok(if outcome.stopped { Exit::NotMeasured } else { Exit::Done })
}
