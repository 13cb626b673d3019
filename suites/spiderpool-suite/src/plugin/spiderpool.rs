//! Spiderpool: one real agent a node, asked over its unix socket as the CNI program asks it, or by that program itself, and
//! a real controller with its webhooks.

mod agent;
mod certificate;
mod controller;
mod metrics;
mod objects;
mod subnets;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cluster::Component;
use futures_util::future::{BoxFuture, join_all, try_join_all};
use harness::{Error, Program, Service, Supervisor, until_ready};
use kube::Client;

use crate::automatic::AutomaticPool;
use crate::cni::Cni;
use crate::plugin::{Failure, Figures, Plugin, Records, Sandbox};
use crate::pool::Pool;

use agent::Agent;
pub use objects::KINDS;

/// What Spiderpool is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Directory of its configurations, sockets and logs.
    pub directory: PathBuf,
    /// The cluster's kubeconfig.
    pub kubeconfig: PathBuf,
    /// The trial's namespace, in which it believes to run.
    pub namespace: String,
    /// Labels of everything that it is given.
    pub labels: BTreeMap<String, String>,
    /// The nodes.
    pub nodes: Vec<String>,
    /// The pools.
    pub pools: Vec<Pool>,
    /// Whether they are SpiderSubnets, out of which the controller makes a pool for each Deployment.
    pub automatic: bool,
    /// The CNI program, where requests go through it.
    pub cni: Option<Cni>,
    /// The agent's program.
    pub agent: Program,
    /// The controller's program.
    pub controller: Program,
    /// The process that has a gops agent, and its port.
    pub gops: Option<(&'static str, u16)>,
}

impl Settings {
    /// The port of a process's gops agent, as it takes it; empty where it has none.
    fn gops_of(&self, name: &str) -> String {
        let own = self.gops.filter(|(of, _)| *of == name);
        own.map(|(_, port)| port.to_string()).unwrap_or_default()
    }
}

/// Spiderpool on every node.
pub struct Spiderpool {
    settings: Settings,
    client: Client,
    supervisor: Arc<Supervisor>,
    controller: Mutex<Service>,
    agents: Mutex<Vec<Agent>>,
}

impl std::fmt::Debug for Spiderpool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Spiderpool({:?})", self.settings.nodes)
    }
}

impl Spiderpool {
    /// Starts the controller, registers its webhooks, makes the pools through them, and starts the agents.
    ///
    /// # Errors
    /// When something does not start, or the pools are refused.
    pub async fn start(settings: Settings, client: &Client, supervisor: &Arc<Supervisor>) -> Result<Self, Error> {
        let certificate = certificate::self_signed(&settings.directory)?;
        let config = settings.directory.join("conf.yml");
        write(&config, &objects::config(&settings, None))?;
        let (controller, webhooks) = controller::start(&settings, &config, &certificate, supervisor).await?;
        objects::make_webhooks(client, &settings, webhooks, &certificate).await?;
        objects::make_pools(client, &settings).await?;
        let plugin = Self {
            settings,
            client: client.clone(),
            supervisor: Arc::clone(supervisor),
            controller: Mutex::new(controller),
            agents: Mutex::new(Vec::new()),
        };
        plugin.start_agents().await?;
        Ok(plugin)
    }

    async fn start_agents(&self) -> Result<(), Error> {
        let mut agents = Vec::new();
        for (n, node) in self.settings.nodes.iter().enumerate() {
            let config = self.settings.directory.join(format!("agent-{n}.yml"));
            write(&config, &objects::config(&self.settings, Some(&self.socket(n))))?;
            agents.push(agent::start(&self.settings, n, node, &config, &self.supervisor)?);
        }
        *lock(&self.agents) = agents;
        try_join_all((0..self.settings.nodes.len()).map(|n| self.agent_ready(n))).await.map(drop)
    }

    async fn agent_ready(&self, n: usize) -> Result<(), Error> {
        let socket = self.socket(n);
        let log = self.settings.directory.join(format!("agent-{n}.log"));
        until_ready(&format!("spiderpool-agent {n}"), &log, || agent::is_healthy(&socket)).await
    }

    fn socket(&self, n: usize) -> PathBuf {
        self.settings.directory.join(format!("agent-{n}.sock"))
    }

    /// Where the CNI program writes.
    fn log(&self) -> PathBuf {
        self.settings.directory.join("cni.log")
    }

    fn socket_of(&self, sandbox: &Sandbox) -> Result<PathBuf, Failure> {
        let n = self.settings.nodes.iter().position(|node| *node == sandbox.node);
        n.map(|n| self.socket(n)).ok_or_else(|| Failure::Unreachable(format!("no node {}", sandbox.node)))
    }
}

impl Plugin for Spiderpool {
    fn add<'a>(&'a self, sandbox: &'a Sandbox) -> BoxFuture<'a, Result<Vec<IpAddr>, Failure>> {
        Box::pin(async move {
            let socket = self.socket_of(sandbox)?;
            match &self.settings.cni {
                Some(cni) => cni.add(sandbox, &objects::network(&socket, &self.log())).await,
                None => agent::add(&socket, sandbox).await,
            }
        })
    }

    fn del<'a>(&'a self, sandbox: &'a Sandbox) -> BoxFuture<'a, Result<Option<Failure>, Failure>> {
        Box::pin(async move {
            let socket = self.socket_of(sandbox)?;
            match &self.settings.cni {
                // What the agent refuses, the program hides from us as well: it is in its log.
                Some(cni) => cni.del(sandbox, &objects::network(&socket, &self.log())).await.map(|()| None),
                None => agent::del(&socket, sandbox).await,
            }
        })
    }

    fn records(&self) -> BoxFuture<'_, Result<Records, Error>> {
        Box::pin(objects::records(&self.client, &self.settings.namespace))
    }

    fn annotations(&self) -> BTreeMap<String, String> {
        if self.settings.automatic { subnets::annotations(&self.settings.pools) } else { BTreeMap::new() }
    }

    fn automatic_pools(&self) -> BoxFuture<'_, Result<Option<Vec<AutomaticPool>>, Error>> {
        Box::pin(async {
            if !self.settings.automatic {
                return Ok(None);
            }
            subnets::automatic_pools(&self.client, &self.settings.namespace).await.map(Some)
        })
    }

    fn processes(&self) -> Vec<Component> {
        let controller = lock(&self.controller).component().clone();
        let agents = lock(&self.agents);
        std::iter::once(controller).chain(agents.iter().map(|agent| agent.service.component().clone())).collect()
    }

    fn figures(&self) -> BoxFuture<'_, Figures> {
        Box::pin(async {
            let ports: Vec<u16> = lock(&self.agents).iter().map(|agent| agent.metrics).collect();
            let mut all = Figures::default();
            for Figures { counters, gauges } in join_all(ports.into_iter().map(metrics::read)).await {
                counters.into_iter().for_each(|(name, value)| *all.counters.entry(name).or_insert(0.0) += value);
                gauges.into_iter().for_each(|(name, value)| *all.gauges.entry(name).or_insert(0.0) += value);
            }
            all
        })
    }

    fn power_off(&self) {
        lock(&self.agents).iter_mut().for_each(|agent| agent.service.kill());
    }

    fn power_on(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.start_agents())
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// JSON, which is YAML.
fn write(path: &Path, value: &serde_json::Value) -> Result<(), Error> {
    Ok(cluster::Shell::real().write(path, value.to_string().as_bytes())?)
}
