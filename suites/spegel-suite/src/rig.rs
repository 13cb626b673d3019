//! What a row is run on: the registry beside the cluster, both versions of the image in it, the mirror before it, and the
//! workers that will pull.

use cluster::KindNode;
use harness::{Error, Result, Trial};
use images::Image;
use origin::Origin;
use pulls::{Account, Held, broken, image_seed};

use crate::mirror::{self, Mirror, Served};
use crate::parameters::Benchmark;

/// What a pod of both versions runs, with the libraries that it needs.
const PROGRAM: &str = "/usr/bin/sleep";
const FOREVER: &str = "86400";

/// What a row is run on.
pub struct Rig {
    /// The registry.
    pub origin: Origin,
    /// The nodes that get pods.
    pub workers: Vec<KindNode>,
    /// Both versions of the image.
    pub images: [Image; 2],
    mirror: Box<dyn Mirror>,
    /// Bytes a second that one client gets of the registry, measured before the trial.
    pub(crate) goodput: f64,
}

impl std::fmt::Debug for Rig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rig({} workers)", self.workers.len())
    }
}

impl Rig {
    /// Starts the registry and the mirror, pushes both versions, measures what comes through, and takes everything of the
    /// registry off every worker.
    pub(crate) async fn start(trial: &mut Trial, row: &Benchmark) -> Result<Self> {
        let row = &Benchmark { seed: image_seed(row.seed), ..row.clone() };
        trial.seed("images", row.seed);
        let (directory, scratch) = (trial.fixture_directory(), trial.scratch()?);
        let origin = Origin::start(trial.cluster(), &directory, &scratch).await.map_err(broken)?;
        let mut workers = KindNode::all(&directory)?;
        workers.retain(|node| !node.control_plane);
        let worker = workers.first().ok_or_else(|| Error::Environment("the cluster has no workers".to_owned()))?;
        let programs = origin::program_files(worker, &[PROGRAM], &scratch).map_err(broken)?;
        let push = async |version: u64| {
            let spec = row.spec(version, programs.clone(), &[PROGRAM, FOREVER])?;
            origin.push(&format!("spegel-benchmark:v{version}"), &spec).await.map_err(broken)
        };
        let images = [push(1).await?, push(2).await?];
        for worker in &workers {
            origin::forget(worker).map_err(broken)?;
        }
        let mirror = mirror::start(trial, row, &origin, &workers, &images).await?;
        origin.shape(row.origin_mbit).await.map_err(broken)?;
        let goodput = origin.goodput(&images[0]).await.map_err(broken)?;
        Ok(Self { origin, workers, images, mirror, goodput })
    }

    /// The names of both versions in pods.
    pub(crate) fn image_names(&self) -> [String; 2] {
        [0, 1].map(|version| self.images[version].reference.whole())
    }

    /// What can be done to what the mirror serves, where it stands behind a proxy.
    pub fn mirror_faults(&self) -> Option<&images::Faults> {
        self.mirror.faults()
    }

    /// The names of the workers.
    pub(crate) fn names(&self) -> Vec<String> {
        self.workers.iter().map(|worker| worker.name.clone()).collect()
    }

    /// What workers hold of a version now.
    pub(crate) fn held(&self, version: usize) -> Result<Held> {
        Held::of(&self.workers, &self.images[version])
    }

    /// What the registry and the mirror have sent since they were asked the last time.
    pub(crate) async fn served(&self) -> Result<(Account, Served)> {
        let entries = self.origin.account().await.map_err(broken)?;
        let registry = Account::new(&self.origin.proxy().ledger, entries);
        let served = self.mirror.served(&registry).await?;
        Ok((registry, served))
    }

    /// Takes the mirror away from the nodes.
    pub(crate) async fn end(&self, trial: &Trial) -> Result<()> {
        self.origin.mirrored(&self.workers, |_| None).map_err(broken)?;
        self.mirror.end(trial).await
    }
}
