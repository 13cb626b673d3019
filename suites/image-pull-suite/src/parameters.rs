//! Parameters of rows on real and on simulated nodes, and the image that follows from them.

use harness::{Error, Result};
use images::{Preset, Spec, nginx, plex, pytorch};
use serde::{Deserialize, Serialize};

/// The shape of an image's layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Layers of equal size.
    Even,
    /// Spegel's small image.
    Nginx,
    /// Spegel's large image.
    Plex,
    /// The document's own image.
    Pytorch,
}

/// Parameters of a row on real nodes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullTest {
    /// The shape of the image.
    pub image: Shape,
    /// Bytes of its layers in all. They are incompressible, so that this is what travels.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub image_bytes: u64,
    /// Layers of an `even` image; the other shapes have their own.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub layers: u64,
    /// What the image's content is drawn from, with the moment of the trial.
    pub seed: u64,
    /// Deployments.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub deployments: u32,
    /// Pods of each.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub replicas: u32,
    /// Deployments that are created a second.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub qps: u32,
    /// What the registry may send to all nodes together, in Mbit/s.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub egress_mbit: u32,
    /// Whether the Deployments come a second time, with the image on the nodes.
    pub again: bool,
    /// Seconds without progress after which a phase is stalled.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub stalled_after_s: u64,
    /// Seconds after which a phase is over even if it moves: the document's limit for all Deployments.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub phase_limit_s: u64,
}

/// Parameters of a row on simulated nodes, which pull nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simulated {
    /// Nodes, which are made for the row.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub nodes: u32,
    /// Deployments.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub deployments: u32,
    /// Pods of each.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub replicas: u32,
    /// Deployments that are created a second.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub qps: u32,
    /// Seconds without progress after which a phase is stalled.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub stalled_after_s: u64,
    /// Seconds after which a phase is over even if it moves: the document's limit for all Deployments.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub phase_limit_s: u64,
}

/// The document's three settings: how much is created, and how fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Deployments.
    pub deployments: u32,
    /// Pods of each.
    pub replicas: u32,
    /// Deployments that are created a second.
    pub qps: u32,
}

impl Scale {
    /// Pods in all.
    pub fn pods(&self) -> usize {
        (self.deployments as usize).saturating_mul(self.replicas as usize)
    }
}

impl Simulated {
    /// How much it creates, and how fast.
    pub fn scale(&self) -> Scale {
        Scale { deployments: self.deployments, replicas: self.replicas, qps: self.qps }
    }
}

impl PullTest {
    /// How much it creates, and how fast.
    pub fn scale(&self) -> Scale {
        Scale { deployments: self.deployments, replicas: self.replicas, qps: self.qps }
    }

    /// What the image is made of, without the programs that its pods run.
    ///
    /// # Errors
    /// When it has no layers.
    pub fn spec(&self) -> Result<Spec> {
        let of = |preset: Preset| preset.scaled_to(self.image_bytes).spec(self.seed, 1);
        match self.image {
            Shape::Even => Spec::even(self.seed, self.image_bytes, self.layers)
                .map_err(|error| Error::Environment(format!("layers = {}: {error}", self.layers))),
            Shape::Nginx => Ok(of(nginx())),
            Shape::Plex => Ok(of(plex())),
            Shape::Pytorch => Ok(of(pytorch())),
        }
    }
}
