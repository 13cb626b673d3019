//! IPAM plugins behind one trait, each with its real processes.

mod host_local;
mod spiderpool;
mod whereabouts;

use std::collections::BTreeMap;
use std::net::IpAddr;

use cluster::Component;
use futures_util::future::BoxFuture;
use harness::Error;

use crate::addresses::Record;
use crate::automatic::AutomaticPool;

pub use host_local::HostLocal;
pub use spiderpool::{KINDS as SPIDERPOOL_KINDS, Settings as SpiderpoolSettings, Spiderpool};
pub use whereabouts::{DEFINITION_KIND, KINDS as WHEREABOUTS_KINDS, Slices, Whereabouts};

/// The name of the only interface of a pod.
pub const INTERFACE: &str = "eth0";
/// The name of the only network.
pub const NETWORK: &str = "net";

/// A sandbox of a pod, as a container runtime names it to its plugins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// The node.
    pub node: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's uid.
    pub uid: String,
    /// The container id: 64 hexadecimal digits, another one for each sandbox.
    pub container: String,
}

/// Why a plugin did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The plugin refused, in its own words.
    #[error("{0}")]
    Refused(String),
    /// It said something that is no answer.
    #[error("no answer that can be understood: {0}")]
    Garbage(String),
    /// It did not answer in time.
    #[error("no answer within {0} s")]
    Silent(u64),
    /// It could not be reached or started.
    #[error("{0}")]
    Unreachable(String),
}

/// A plugin with everything that it needs, on every node.
pub trait Plugin: Send + Sync + 'static {
    /// Gives a sandbox its addresses.
    fn add<'a>(&'a self, sandbox: &'a Sandbox) -> BoxFuture<'a, Result<Vec<IpAddr>, Failure>>;

    /// Takes them back. A failure beside success is one that the plugin hides from the container runtime, as Spiderpool's
    /// CNI program does: the sandbox is over, and somebody has to collect its addresses later.
    fn del<'a>(&'a self, sandbox: &'a Sandbox) -> BoxFuture<'a, Result<Option<Failure>, Failure>>;

    /// What the plugin itself has on record.
    fn records(&self) -> BoxFuture<'_, Result<Records, Error>>;

    /// What a Deployment's pods are annotated with.
    fn annotations(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// The pools that it has made for Deployments by itself; none of a plugin that makes none.
    fn automatic_pools(&self) -> BoxFuture<'_, Result<Option<Vec<AutomaticPool>>, Error>> {
        Box::pin(async { Ok(None) })
    }

    /// Its long-lived processes as they are now.
    fn processes(&self) -> Vec<Component> {
        Vec::new()
    }

    /// What it counts by itself, as figures for the record.
    fn figures(&self) -> BoxFuture<'_, Figures> {
        Box::pin(async { Figures::default() })
    }

    /// All nodes lose power: what runs on them dies.
    fn power_off(&self) {}

    /// Power is back: what runs on the nodes starts, and is ready when this returns.
    fn power_on(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}

/// What a plugin counts by itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// What only grows: a phase's share is a difference.
    pub counters: BTreeMap<String, f64>,
    /// What is as it is.
    pub gauges: BTreeMap<String, f64>,
}

/// A plugin's own records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Every address on record, some of them in several places.
    pub records: Vec<Record>,
    /// What contradicts itself in them.
    pub contradictions: Vec<String>,
}
