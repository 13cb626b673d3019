//! What a row is run on: the registry beside the cluster, the image in it, and the workers that will pull it.

use std::time::SystemTime;

use cluster::KindNode;
use harness::{Error, Result, Trial, fixture};
use images::Image;
use origin::Origin;
use pulls::{Account, Held, Pull, Pulled, broken, image_seed};

use crate::parameters::PullTest;
use crate::row::FIXTURE;

/// What a pod of the document runs, with the libraries that it needs.
const PROGRAMS: [&str; 2] = ["/usr/bin/sleep", "/usr/bin/true"];

pub(crate) struct Rig {
    pub(crate) origin: Origin,
    pub(crate) workers: Vec<KindNode>,
    pub(crate) image: Image,
    /// Bytes a second that one client gets of the registry, measured before the trial.
    pub(crate) goodput: f64,
}

impl Rig {
    /// Starts the registry, pushes the image, measures what comes through, and takes the image off every worker.
    pub(crate) async fn start(trial: &mut Trial, row: &PullTest) -> Result<Self> {
        let row = &PullTest { seed: image_seed(row.seed), ..row.clone() };
        trial.seed("image", row.seed);
        let (descriptor, fixtures) = fixture(FIXTURE)?;
        let (directory, scratch) = (fixtures.directory(&descriptor.name), trial.scratch()?);
        let origin = Origin::start(&descriptor, &directory, &scratch).await.map_err(broken)?;
        let nodes = KindNode::all(&directory)?;
        let workers: Vec<KindNode> = nodes.into_iter().filter(|node| !node.control_plane).collect();
        let worker = workers.first().ok_or_else(|| Error::Environment("the cluster has no workers".to_owned()))?;
        let files = origin::program_files(worker, &PROGRAMS, &scratch).map_err(broken)?;
        let image = origin.push("image-pull:1", &row.spec()?.over(files, &[])).await.map_err(broken)?;
        origin.shape(row.egress_mbit).await.map_err(broken)?;
        let goodput = origin.goodput(&image).await.map_err(broken)?;
        for worker in &workers {
            origin::forget(worker).map_err(broken)?;
        }
        Ok(Self { origin, workers, image, goodput })
    }

    /// The name of the image in a pod.
    pub(crate) fn image(&self) -> String {
        self.image.reference.whole()
    }

    /// The names of the workers.
    pub(crate) fn names(&self) -> Vec<String> {
        self.workers.iter().map(|worker| worker.name.clone()).collect()
    }

    /// Every pull since a moment that some kubelet has told of, with the registry's account of that time.
    pub(crate) async fn pulls(&self, events: Vec<Pulled>, since: SystemTime) -> Result<(Vec<Pull>, Account)> {
        let entries = self.origin.account().await.map_err(broken)?;
        let account = Account::new(&self.origin.proxy().ledger, entries);
        Ok((pulls::of_nodes(&self.workers, &self.image(), &events, since, &account)?, account))
    }

    /// What the workers hold of the image now.
    pub(crate) fn held(&self) -> Result<Held> {
        Held::of(&self.workers, &self.image)
    }
}
