//! Runners as processes of this machine, where Pods would not really run.
//!
//! `run` leaves a supervisor behind, which starts the runners, writes what becomes of them into the status of the Job, and
//! ends them when the Job is deleted.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use kube::Client;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::JoinSet;

use super::{RunGroups, store};
use crate::error::{Error, Result};
use crate::say;

/// How often it is looked whether the group is still wanted.
const LOOK: Duration = Duration::from_secs(1);

/// Starts the supervisor of a group, which outlives this process.
pub(super) fn start(group: &str, asked: &RunGroups) -> Result<()> {
    let log = std::env::temp_dir().join(format!("kperf-{group}-{}.log", std::process::id()));
    let file = std::fs::File::create(&log).map_err(Error::write(&log))?;
    let copy = file.try_clone().map_err(Error::write(&log))?;
    let mut command = std::process::Command::new(program()?);
    command.args(["-v", &asked.verbosity.to_string(), "runnergroup"]);
    if let Some(kubeconfig) = &asked.kubeconfig {
        command.arg("--kubeconfig").arg(kubeconfig);
    }
    // A group of its own: Ctrl-C of the terminal that started it is not meant for it.
    command.args(["supervise", group]).stdin(Stdio::null()).stdout(file).stderr(copy).process_group(0);
    command
        .spawn()
        .map_err(|error| Error::Unsupported(format!("cannot start the runners of group {group}: {error}")))?;
    say(&format!(
        "group {group}: its runners are processes of this machine, which no affinity and no flow control of their own reach; \
         what they say is in {}",
        log.display()
    ));
    Ok(())
}

/// Starts the runners of a group, and waits for them.
///
/// # Errors
/// When there is no such group, or no process can be started.
pub async fn supervise(kubeconfig: Option<PathBuf>, group: &str, verbosity: u8) -> Result<()> {
    let client = crate::client(kubeconfig.clone()).await?;
    let count = store::one(&client, Some(group)).await?.count;
    let started = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut runners = JoinSet::new();
    for index in 0..count {
        let mut command = Command::new(program()?);
        command.args(["-v", &verbosity.to_string(), "runnergroup"]);
        if let Some(kubeconfig) = &kubeconfig {
            command.arg("--kubeconfig").arg(kubeconfig);
        }
        command.args(["runner", group, "--index", &index.to_string()]).stdin(Stdio::null()).kill_on_drop(true);
        let mut child = command
            .spawn()
            .map_err(|error| Error::Unsupported(format!("cannot start runner {index} of group {group}: {error}")))?;
        runners.spawn(async move { (index, child.wait().await.is_ok_and(|status| status.success())) });
    }
    let mut status = Status { count, started, succeeded: Vec::new(), failed: 0 };
    status.write(&client, group).await;
    loop {
        tokio::select! {
            over = runners.join_next() => match over {
                Some(Ok((index, true))) => status.succeeded.push(index),
                Some(_) => status.failed += 1,
                None => return Ok(()),
            },
            () = tokio::time::sleep(LOOK) => {
                // An apiserver that does not answer is no reason to end: only one that says that the group is gone.
                if matches!(store::one(&client, Some(group)).await, Err(Error::Usage(_))) {
                    runners.shutdown().await;
                    return Ok(());
                }
                continue;
            }
        }
        status.write(&client, group).await;
    }
}

/// What has become of the runners.
struct Status {
    count: u32,
    started: String,
    succeeded: Vec<u32>,
    failed: u32,
}

impl Status {
    /// Writes the status of the Job, again and again while the apiserver does not take it.
    async fn write(&self, client: &Client, group: &str) {
        let patch = json!({"status": self.value(&jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string())});
        let jobs = store::jobs(client);
        for _ in 0..300 {
            match jobs.patch_status(group, &PatchParams::default(), &Patch::Merge(&patch)).await {
                Ok(_) => return,
                Err(kube::Error::Api(status)) if status.code == 404 => return,
                Err(error) => say(&format!("warning: cannot write the status of group {group}: {error}; trying again")),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The status as the Job controller would write it.
    fn value(&self, now: &str) -> Value {
        let over = self.succeeded.len() as u32 + self.failed;
        let condition = |kind: &str, reason: &str| json!({"type": kind, "status": "True", "reason": reason, "lastProbeTime": now, "lastTransitionTime": now});
        let mut indexes = self.succeeded.clone();
        indexes.sort_unstable();
        let indexes: Vec<String> = indexes.iter().map(ToString::to_string).collect();
        let mut status = json!({
            "startTime": self.started,
            "active": self.count.saturating_sub(over),
            "ready": self.count.saturating_sub(over),
            "succeeded": self.succeeded.len(),
            "failed": self.failed,
            "completedIndexes": indexes.join(","),
        });
        if over >= self.count && self.failed == 0 {
            status["completionTime"] = now.into();
            status["conditions"] = json!([
                condition("SuccessCriteriaMet", "CompletionsReached"),
                condition("Complete", "CompletionsReached")
            ]);
        } else if over >= self.count {
            status["conditions"] =
                json!([condition("FailureTarget", "FailedIndexes"), condition("Failed", "FailedIndexes")]);
        }
        status
    }
}

fn program() -> Result<PathBuf> {
    std::env::current_exe().map_err(|error| Error::Unsupported(format!("kperf does not find itself: {error}")))
}
