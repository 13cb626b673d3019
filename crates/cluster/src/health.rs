//! Whether a cluster works: its processes, and whether its apiserver says that it is ready.

use std::time::Duration;

use crate::api::connect;
use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::process::{Process, State, boot_id};

/// How long the apiserver may take to say that it is ready before it counts as silent.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pauses between looks at a paused process; their lengths have no common rhythm.
const LOOKS: [Duration; 4] =
    [Duration::from_millis(7), Duration::from_millis(11), Duration::from_millis(13), Duration::from_millis(17)];

/// Whether a cluster works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Healthy,
    /// It does not, but its machine is the same: what is dead can be started again.
    Broken(Vec<String>),
    /// The machine was rebooted: nothing of it runs, and its pids mean nothing.
    Rebooted,
}

impl Health {
    /// Looks at the processes first, which costs microseconds and never hangs, then asks the apiserver.
    pub async fn of(descriptor: &Descriptor) -> Self {
        // A cluster of others does not run on this machine.
        if descriptor.boot_id != boot_id() && !descriptor.is_existing() {
            return Self::Rebooted;
        }
        let mut problems: Vec<String> = descriptor
            .components
            .iter()
            .filter_map(|component| match lasting_state(component.process) {
                State::Running if component.process.disk_is_full() => {
                    Some(format!("{}: its disk is full (fault)", component.name))
                }
                State::Running => None,
                State::Paused => Some(format!("{} ({}) is paused", component.name, component.process)),
                State::Dead => Some(format!("{} ({}) is not running", component.name, component.process)),
            })
            .collect();
        if problems.is_empty()
            && let Err(problem) = ready(descriptor).await
        {
            problems.push(format!("{} {problem}", descriptor.apiserver));
        }
        if problems.is_empty() { Self::Healthy } else { Self::Broken(problems) }
    }

    /// Why the cluster cannot be used, with the fix; `None` when it is healthy.
    pub fn error(&self, descriptor: &Descriptor) -> Option<Error> {
        let problems = self.problems();
        match *self {
            Self::Healthy => None,
            _ if descriptor.is_existing() => Some(Error::NotServing { server: descriptor.apiserver.clone(), problems }),
            _ => {
                let (name, provider) = (descriptor.name.clone(), descriptor.provider.clone());
                Some(Error::Unhealthy { name, provider, problems })
            }
        }
    }

    /// What is wrong, in words; empty when nothing is.
    pub fn problems(&self) -> Vec<String> {
        match self {
            Self::Healthy => Vec::new(),
            Self::Broken(problems) => problems.clone(),
            Self::Rebooted => vec!["the machine was rebooted since it was made".to_owned()],
        }
    }
}

/// Looks again at what is paused: what a slowdown stops goes on within milliseconds.
fn lasting_state(process: Process) -> State {
    let mut state = process.state();
    for look in LOOKS {
        if state != State::Paused {
            break;
        }
        std::thread::sleep(look);
        state = process.state();
    }
    state
}

async fn ready(descriptor: &Descriptor) -> Result<(), String> {
    let client = connect(descriptor).await.map_err(|error| error.to_string())?;
    let ask = async |path| {
        client.request_text(http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?).await
    };
    let asked = async {
        match ask("/readyz").await {
            // Who may not read /readyz on a cluster of others may read /version.
            Err(kube::Error::Api(status)) if status.code == 403 => ask("/version").await,
            answer => answer,
        }
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("is not ready: {error}")),
        Err(_) => Err(format!("does not answer within {} s", PATIENCE.as_secs())),
    }
}
