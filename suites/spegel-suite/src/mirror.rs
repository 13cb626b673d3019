//! What nodes ask before the registry: nothing, a pull-through cache, or Spegel, behind one trait.

mod cache;
mod proof;
mod spegel;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use cluster::KindNode;
use futures_util::future::LocalBoxFuture;
use harness::{Result, Trial};
use images::{Faults, Image};
use origin::Origin;
use pulls::Account;

use crate::parameters::{Benchmark, MirrorName};

pub use cache::PullThrough;
pub use spegel::{PROGRAM, REGISTRY_PORT, Spegel, instance};

/// What a mirror's process is called among the components; each of several has its node's name behind it.
pub(crate) const COMPONENT: &str = "mirror";

/// What a mirror has sent to nodes: by the node's address and the digest.
pub type Sent = BTreeMap<(IpAddr, String), Bytes>;

/// Bytes of one digest that a mirror has sent to one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// All of them.
    pub sent: u64,
    /// Those of them that it had to get from the registry meanwhile.
    pub missed: u64,
}

/// What a mirror has done since it was asked the last time.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// What it has sent.
    pub sent: Sent,
    /// Its requests, where a ledger has them.
    pub requests: Option<Account>,
    /// Bytes that it has sent since it was started, by its own counters, where attribution does not rest on a ledger.
    pub counted: Option<f64>,
    /// How long it took to say that it had not what was asked for, of each request, where it does not get that itself.
    pub misses: Vec<Duration>,
}

/// A mirror with everything that it needs, which nodes have been told of.
pub trait Mirror {
    /// What it has done since it was asked the last time. `registry` is the registry's account of the same time.
    fn served<'a>(&'a self, registry: &'a Account) -> LocalBoxFuture<'a, Result<Served>>;

    /// What can be done to its answers, where a proxy stands before it.
    fn faults(&self) -> Option<&Faults> {
        None
    }

    /// Ends it, and takes back what it has done to nodes.
    fn end<'a>(&'a self, trial: &'a Trial) -> LocalBoxFuture<'a, Result<()>>;
}

/// No mirror.
#[derive(Clone, Copy, Debug)]
pub struct Bare;

impl Mirror for Bare {
    fn served<'a>(&'a self, _: &'a Account) -> LocalBoxFuture<'a, Result<Served>> {
        Box::pin(async { Ok(Served::default()) })
    }

    fn end<'a>(&'a self, _: &'a Trial) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

/// Starts a row's mirror beside the registry, tells the workers of it, and proves that it works: one pull that nobody else can
/// serve.
///
/// # Errors
/// When it does not start, or does not work.
pub async fn start(
    trial: &mut Trial,
    row: &Benchmark,
    origin: &Origin,
    workers: &[KindNode],
    images: &[Image],
) -> Result<Box<dyn Mirror>> {
    // What a killed trial has left.
    workers.iter().try_for_each(spegel::unshape)?;
    let mirror: Box<dyn Mirror> = match row.mirror {
        MirrorName::None => return Ok(Box::new(Bare)),
        MirrorName::Cache => Box::new(PullThrough::start(trial, origin, workers, row.mirror_mbit).await?),
        MirrorName::Spegel => Box::new(Spegel::start(trial, origin, workers, images, row.mirror_mbit).await?),
    };
    match proof::only_the_mirror_can_serve(origin, workers).await {
        Ok(waited) => trial.metric("mirror_proof_s", waited.as_secs_f64()),
        Err(error) => {
            mirror.end(trial).await.ok();
            return Err(error);
        }
    }
    Ok(mirror)
}
