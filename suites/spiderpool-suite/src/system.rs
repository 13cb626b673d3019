//! The system under test of a row: which plugin, with which pools, started from which programs.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use harness::{Error, Program, Trial, free_port, make_kinds, read_kinds};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::cni::Cni;
use crate::plugin::{
    DEFINITION_KIND, HostLocal, Plugin, SPIDERPOOL_KINDS, Slices, Spiderpool, SpiderpoolSettings, WHEREABOUTS_KINDS,
    Whereabouts,
};
use crate::pool::{Family, Pool};
use crate::start;

/// kubelet waits for a sandbox for twice its `runtimeRequestTimeout` of 2 minutes.
const PATIENCE: Duration = Duration::from_secs(240);

/// Spiderpool's CNI program wants a network namespace that it can open, and announces addresses in it. It takes any file of
/// this file system for one; entering this one fails, which it logs, and nothing is sent anywhere.
const NO_NETNS: &str = "/proc/version";

/// Puts something between the kubelets and their plugin, for showing that each check can fail.
pub type Interpose = Box<dyn FnOnce(Arc<dyn Plugin>) -> Arc<dyn Plugin> + Send>;

/// A plugin that a row can be about, and how it is asked or set up where there are several ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginName {
    /// The floor.
    HostLocal,
    /// A comparator.
    Whereabouts,
    /// The same with node slices.
    WhereaboutsNodeSlice,
    /// The subject, asked over its agents' sockets.
    Spiderpool,
    /// The same, asked through its CNI program.
    SpiderpoolExec,
    /// The same, with a pool of its own for each Deployment out of a SpiderSubnet.
    SpiderpoolSubnet,
}

/// The families that every pod gets an address of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Families {
    /// IPv4.
    V4,
    /// IPv4 and IPv6.
    Dual,
}

/// What a plugin is started with.
#[derive(Clone, Debug)]
pub struct System {
    /// The plugin.
    pub plugin: PluginName,
    /// The families.
    pub families: Families,
    /// Addresses of each family that can be given; on host-local, of each node.
    pub addresses: u32,
    /// Programs of a plugin that run at once on this machine.
    pub execs_at_once: usize,
    /// The nodes.
    pub nodes: Vec<String>,
}

impl PluginName {
    /// Whether it is Spiderpool, however it is asked or set up.
    pub fn is_subject(self) -> bool {
        matches!(self, Self::Spiderpool | Self::SpiderpoolExec | Self::SpiderpoolSubnet)
    }

    /// Whether it is measured and reported, and not judged.
    pub fn is_comparator(self) -> bool {
        matches!(self, Self::Whereabouts | Self::WhereaboutsNodeSlice)
    }
}

impl Families {
    /// As a list.
    pub fn all(self) -> &'static [Family] {
        match self {
            Self::V4 => &[Family::V4],
            Self::Dual => &[Family::V4, Family::V6],
        }
    }
}

impl System {
    /// Every pool that addresses may come from.
    pub fn pools(&self) -> Vec<Pool> {
        match self.plugin {
            PluginName::HostLocal => (0..self.nodes.len()).flat_map(|n| self.node_pools(n)).collect(),
            PluginName::WhereaboutsNodeSlice => {
                let slices = |family: &Family| Pool::of_slices(*family, self.nodes.len() as u32);
                self.families.all().iter().map(slices).collect()
            }
            _ => self.families.all().iter().map(|family| Pool::of(*family, self.addresses)).collect(),
        }
    }

    fn node_pools(&self, n: usize) -> Vec<Pool> {
        self.families.all().iter().map(|family| Pool::of_node(*family, n as u32, self.addresses)).collect()
    }

    /// Starts the plugin with its processes and objects, all of them the trial's own, and has the processes observed; what
    /// is `interpose`d stands before it.
    ///
    /// # Errors
    /// When a program is not there, something does not start, or the apiserver refuses.
    pub async fn start(&self, trial: &mut Trial, interpose: Option<Interpose>) -> Result<Arc<dyn Plugin>, Error> {
        let directory = trial.scratch()?;
        let plugin = match self.plugin {
            PluginName::HostLocal => self.host_local(trial, &directory).await?,
            PluginName::Whereabouts | PluginName::WhereaboutsNodeSlice => self.whereabouts(trial, &directory).await?,
            PluginName::Spiderpool | PluginName::SpiderpoolExec | PluginName::SpiderpoolSubnet => {
                self.spiderpool(trial, &directory).await?
            }
        };
        let plugin = match interpose {
            Some(interpose) => interpose(plugin),
            None => plugin,
        };
        plugin.processes().iter().for_each(|component| trial.observe(component));
        Ok(plugin)
    }

    async fn host_local(&self, trial: &mut Trial, directory: &Path) -> Result<Arc<dyn Plugin>, Error> {
        let cni = self.cni(trial, "host-local", directory).await?.0;
        let nodes = self.nodes.iter().enumerate().map(|(n, node)| (node.clone(), self.node_pools(n)));
        Ok(Arc::new(HostLocal::new(cni, &directory.join("networks"), &nodes.collect::<Vec<_>>())))
    }

    async fn whereabouts(&self, trial: &mut Trial, directory: &Path) -> Result<Arc<dyn Plugin>, Error> {
        let (cni, program) = self.cni(trial, "whereabouts", directory).await?;
        let mut kinds = read_kinds(&program.module, &WHEREABOUTS_KINDS)?;
        let sliced = self.plugin == PluginName::WhereaboutsNodeSlice;
        if sliced {
            kinds.extend(read_kinds(&Program::of("spiderpool-agent")?.module, &DEFINITION_KIND)?);
        }
        make_kinds(trial.client(), &trial.cluster_labels(), kinds).await?;
        let (client, kubeconfig) = (trial.client(), trial.kubeconfig());
        let plugin = Whereabouts::new(cni, directory, &self.pools(), client, kubeconfig, trial.namespace())?;
        if !sliced {
            return Ok(Arc::new(plugin));
        }
        let controller = self::program(trial, "whereabouts-node-slice-controller")?;
        let supervisor = trial.supervisor()?;
        let slices = Slices {
            controller: &controller,
            namespace: trial.namespace(),
            labels: &trial.labels(),
            nodes: &self.nodes,
            directory,
        };
        Ok(Arc::new(plugin.with_slices(&slices, trial.client(), &supervisor).await?))
    }

    async fn spiderpool(&self, trial: &mut Trial, directory: &Path) -> Result<Arc<dyn Plugin>, Error> {
        let [agent, controller] = ["spiderpool-agent", "spiderpool-controller"].map(|name| program(trial, name));
        let (agent, controller) = (agent?, controller?);
        let labels = trial.cluster_labels();
        let kinds = read_kinds(&agent.module, &SPIDERPOOL_KINDS)?;
        make_kinds(trial.client(), &labels, kinds).await?;
        let cni = match self.plugin {
            PluginName::SpiderpoolExec => {
                let cni = self.cni(trial, "spiderpool", directory).await?.0;
                Some(Cni { netns: Some(NO_NETNS.into()), ..cni })
            }
            _ => None,
        };
        // A process whose profile is wanted has a gops agent. No other has one: it would be measured as well.
        let wanted =
            ["spiderpool-agent-0", "spiderpool-controller"].into_iter().find(|name| trial.wants_profile_of(name));
        let gops = wanted.map(|name| Ok::<_, Error>((name, free_port()?))).transpose()?;
        if let Some((name, port)) = gops {
            trial.profiled_at(name, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        }
        let settings = SpiderpoolSettings {
            gops,
            directory: directory.to_owned(),
            kubeconfig: trial.kubeconfig().to_owned(),
            namespace: trial.namespace().to_owned(),
            labels,
            nodes: self.nodes.clone(),
            pools: self.pools(),
            automatic: self.plugin == PluginName::SpiderpoolSubnet,
            cni,
            agent,
            controller,
        };
        let supervisor = trial.supervisor()?;
        let plugin = Spiderpool::start(settings, trial.client(), &supervisor).await?;
        Ok(Arc::new(plugin))
    }

    /// A plugin's program; what it costs to start it is part of the record.
    async fn cni(&self, trial: &mut Trial, name: &str, directory: &Path) -> Result<(Cni, Program), Error> {
        let program = program(trial, name)?;
        let cni = Cni {
            program: program.used.path.clone(),
            supervisor: trial.supervisor()?,
            at_once: Arc::new(Semaphore::new(self.execs_at_once)),
            patience: PATIENCE,
            netns: None,
        };
        start::record(trial, &cni, directory).await?;
        Ok((cni, program))
    }
}

/// A program, recorded as part of the trial.
fn program(trial: &mut Trial, name: &str) -> Result<Program, Error> {
    let program = Program::of(name)?;
    trial.program(&program);
    Ok(program)
}
