//! The fixture beside kwokctl, which it is built on.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cluster::{Fixtures, NodeShape, PROGRAMS, Process, Shell, State, create_nodes, node};
use harness::{Change, Object, Sink, Watch, WatchSpec};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use measure::Seen;

use super::paired::{self, Figure, Limit, Side};
use crate::ctx::{Ctx, say};
use crate::exit::Failure;

/// Nodes that both tools make.
const NODES: usize = 500;
/// Given up when nodes are not Ready by then.
const PATIENCE: Duration = Duration::from_secs(300);

pub(super) async fn measure(ctx: &Ctx, pairs: u32) -> Result<Vec<Figure>, Failure> {
    let scratch = Scratch::new(ctx)?;
    let provider = ctx.kwok()?;
    let programs = ctx.thirdparty().ensure_all(&PROGRAMS)?;
    let kwokctl = &programs["kwokctl"].path;
    let mut up = Figure::new("cluster up, against kwokctl create cluster", "s", Limit::RatioAtMost(1.2));
    let mut adopt = Figure::new("cluster up that adopts", "s", Limit::AtMost(0.3));
    let ready = "nodes Ready per second, against kwokctl scale node";
    let mut ready = Figure::new(ready, "per s", Limit::RatioAtLeast(1.5));
    for pair in 0..pairs {
        for side in paired::order(pair) {
            let who = if side == Side::Ours { "cluster up" } else { "kwokctl" };
            say(&format!("pair {}/{pairs}: {who}", pair + 1));
            if side == Side::Ours {
                let state = scratch.path().join("ours");
                up.ours.push(xtask_up(&state)?);
                adopt.ours.extend([xtask_up(&state)?, xtask_up(&state)?, xtask_up(&state)?]);
                let fixtures = Fixtures::new(&state);
                fixtures.down("default", true, &Shell::real())?;
            } else {
                // The same configuration as `cluster up` gives to kwokctl.
                let directory = scratch.path().join("theirs");
                Shell::real().make_dir(&directory)?;
                let config = directory.join("kwokctl.yaml");
                Shell::real().write(&config, provider.config().to_string().as_bytes())?;
                let config = config.display().to_string();
                let workdir = directory.join("kwok").display().to_string();
                let kubeconfig = directory.join("kubeconfig").display().to_string();
                let create = [
                    "create",
                    "cluster",
                    "--name",
                    "bench",
                    "--config",
                    &config,
                    "--kubeconfig",
                    &kubeconfig,
                    "--wait",
                    "120s",
                ];
                up.theirs.push(timed(kwokctl, &create, &workdir)?);
                let client = cluster::connect_to(Path::new(&kubeconfig)).await?;
                // Both on one cluster, and none of the other's nodes there.
                for side in paired::order(pair) {
                    match side {
                        Side::Ours => ready.ours.push(nodes_of_ours(&client).await?),
                        Side::Theirs => ready.theirs.push(nodes_of_kwokctl(&client, kwokctl, &workdir).await?),
                    }
                    remove_nodes(&client).await?;
                }
                timed(kwokctl, &["delete", "cluster", "--name", "bench"], &workdir)?;
            }
        }
    }
    Ok(vec![up, adopt, ready])
}

/// A directory that goes away with its clusters; those of a bench that was killed go with `gc`.
pub(super) struct Scratch(std::path::PathBuf);

/// Who made a scratch directory.
const OWNER: &str = "owner.json";

/// Removes the directories, and ends the clusters, of benches that were killed; returns how many there were.
pub(crate) fn sweep(ctx: &Ctx, shell: &Shell) -> usize {
    let entries = std::fs::read_dir(&ctx.state).into_iter().flatten().flatten();
    let mut swept = 0;
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("bench-")) {
        let owner = std::fs::read(entry.path().join(OWNER)).ok();
        let owner: Option<Process> = owner.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let alive = owner.is_some_and(|owner| owner.state() != State::Dead);
        if !alive && shell.doing(format!("remove {}, which a killed bench left", entry.path().display())) {
            drop(Scratch(entry.path()));
            swept += 1;
        }
    }
    swept
}

impl Scratch {
    pub(super) fn new(ctx: &Ctx) -> Result<Self, Failure> {
        let path = ctx.state.join(format!("bench-{}", std::process::id()));
        Shell::real().make_dir(&path)?;
        let owner = serde_json::to_vec(&Process::this()).unwrap_or_default();
        Shell::real().write(&path.join(OWNER), &owner)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let ours = self.0.join("ours/fixtures/default");
        for (name, directory) in [("default", ours), ("bench", self.0.join("theirs"))] {
            if let Err(error) = cluster::remove(name, &directory, &Shell::real()) {
                say(&error.to_string());
            }
        }
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// The built binary as people call it: its start is part of the figure.
pub(super) fn xtask_up(state: &Path) -> Result<f64, Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::environment(error.to_string()))?;
    let started = Instant::now();
    let status = Command::new(program)
        .args(["cluster", "up"])
        .env("KUBEDYNO_STATE", state)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    succeeded("cluster up", status)?;
    Ok(started.elapsed().as_secs_f64())
}

fn timed(program: &Path, args: &[&str], workdir: &str) -> Result<f64, Failure> {
    let started = Instant::now();
    let status = Command::new(program)
        .args(args)
        .env("KWOK_WORKDIR", workdir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    succeeded(&args.join(" "), status)?;
    Ok(started.elapsed().as_secs_f64())
}

pub(super) fn succeeded(what: &str, status: std::io::Result<std::process::ExitStatus>) -> Result<(), Failure> {
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::environment(format!("{what} failed ({status})"))),
        Err(error) => Err(Failure::environment(format!("{what} did not start: {error}"))),
    }
}

/// Counts the nodes that are Ready, and says when the last one was.
#[derive(Clone, Default)]
struct Ready(Arc<Mutex<(BTreeSet<String>, Duration)>>);

impl Sink for Ready {
    fn change(&mut self, _: Change, object: &Object<'_>, at: Duration, _: Seen) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if object.is("Ready") && seen.0.insert(object.metadata.name.to_string()) {
            seen.1 = at;
        }
    }

    fn listed(&mut self, _: &[String], _: Duration) {}
}

async fn nodes_of_ours(client: &kube::Client) -> Result<f64, Failure> {
    let nodes = (0..NODES).map(|i| node(&format!("bench-{i}"), &NodeShape::default(), &[], &[]));
    let create = async { create_nodes(client, nodes, |_| {}).await.map(drop).map_err(Failure::from) };
    rate(client, create).await
}

async fn nodes_of_kwokctl(client: &kube::Client, kwokctl: &Path, workdir: &str) -> Result<f64, Failure> {
    let scale = async {
        let (kwokctl, workdir) = (kwokctl.to_owned(), workdir.to_owned());
        let replicas = NODES.to_string();
        let args = ["scale", "node", "--replicas", &replicas, "--name", "bench"].map(str::to_owned);
        tokio::task::spawn_blocking(move || timed(&kwokctl, &args.each_ref().map(String::as_str), &workdir))
            .await
            .map_err(|error| Failure::environment(error.to_string()))?
            .map(drop)
    };
    rate(client, scale).await
}

/// Removes all nodes, and waits until they are gone.
async fn remove_nodes(client: &kube::Client) -> Result<(), Failure> {
    let nodes: Api<Node> = Api::all(client.clone());
    let failed = |error: kube::Error| Failure::environment(format!("cannot remove the nodes: {error}"));
    nodes.delete_collection(&DeleteParams::default(), &ListParams::default()).await.map_err(failed)?;
    let started = Instant::now();
    while !nodes.list_metadata(&ListParams::default().limit(1)).await.map_err(failed)?.items.is_empty() {
        if started.elapsed() > PATIENCE {
            return Err(Failure::environment("nodes are still there 5 minutes after they were deleted"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Nodes Ready per second from the start of `create` until the last of them.
async fn rate(client: &kube::Client, create: impl Future<Output = Result<(), Failure>>) -> Result<f64, Failure> {
    let (ready, clock) = (Ready::default(), Instant::now());
    let spec = WatchSpec { path: "/api/v1/nodes".to_owned(), selector: String::new(), tamper: None };
    let watch = Watch::start(client, None, clock, spec, ready.clone()).await;
    let _watch = watch.map_err(|error| Failure::environment(error.to_string()))?;
    let started = clock.elapsed();
    create.await?;
    loop {
        let (count, last) = {
            let seen = ready.0.lock().unwrap_or_else(PoisonError::into_inner);
            (seen.0.len(), seen.1)
        };
        if count >= NODES {
            return Ok(NODES as f64 / last.saturating_sub(started).as_secs_f64());
        }
        if clock.elapsed() > PATIENCE {
            return Err(Failure::environment(format!("only {count} of {NODES} nodes are Ready after 5 minutes")));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
