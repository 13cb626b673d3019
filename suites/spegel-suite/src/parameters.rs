//! Parameters of the rows, and the two versions of an image that follow from them.

use harness::{Arms, Error, Result};
use images::{File, Preset, Source, Spec, nginx, plex};
use serde::{Deserialize, Serialize};

/// The shape of an image's layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Layers of equal size, as the newer tool generates them.
    Even,
    /// The document's small image.
    Nginx,
    /// The document's large image.
    Plex,
}

/// What nodes ask before the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MirrorName {
    /// Nothing.
    None,
    /// A pull-through cache, the CNCF distribution registry.
    Cache,
    /// Spegel.
    Spegel,
}

/// Parameters of a row: the document's two steps, with one mirror or none.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Benchmark {
    /// What nodes ask before the registry.
    pub mirror: MirrorName,
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
    /// Pods that an update may replace at once.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub max_unavailable: u32,
    /// What the registry may send to everybody together, in Mbit/s.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub origin_mbit: u32,
    /// What the cache may send to all nodes together, or each peer to all others, in Mbit/s.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub mirror_mbit: u32,
    /// Seconds without progress after which a phase is stalled.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub stalled_after_s: u64,
    /// Seconds after which a phase is over even if it moves.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub phase_limit_s: u64,
}

/// Parameters of a row that runs the two steps without a mirror and with one, in turns.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// The mirror that is compared with none.
    pub mirror: MirrorName,
    /// Measured runs of each arm.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub repeats: usize,
    /// As in [`Benchmark`].
    pub image: Shape,
    /// As in [`Benchmark`].
    #[serde(deserialize_with = "harness::at_least_one")]
    pub image_bytes: u64,
    /// As in [`Benchmark`].
    #[serde(deserialize_with = "harness::at_least_one")]
    pub layers: u64,
    /// As in [`Benchmark`].
    pub seed: u64,
    /// As in [`Benchmark`].
    #[serde(deserialize_with = "harness::at_least_one")]
    pub max_unavailable: u32,
    /// As in [`Benchmark`].
    #[serde(deserialize_with = "harness::at_least_one")]
    pub origin_mbit: u32,
    /// As in [`Benchmark`].
    #[serde(deserialize_with = "harness::at_least_one")]
    pub mirror_mbit: u32,
    /// As in [`Benchmark`].
    #[serde(deserialize_with = "harness::at_least_one")]
    pub stalled_after_s: u64,
    /// As in [`Benchmark`].
    #[serde(deserialize_with = "harness::at_least_one")]
    pub phase_limit_s: u64,
}

/// Parameters of a row on simulated nodes: the rollout alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simulated {
    /// Nodes.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub nodes: u32,
    /// As in [`Benchmark`].
    #[serde(deserialize_with = "harness::at_least_one")]
    pub max_unavailable: u32,
    /// As in [`Benchmark`].
    #[serde(deserialize_with = "harness::at_least_one")]
    pub stalled_after_s: u64,
    /// As in [`Benchmark`].
    #[serde(deserialize_with = "harness::at_least_one")]
    pub phase_limit_s: u64,
}

impl MirrorName {
    /// The arm's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Cache => "cache",
            Self::Spegel => "spegel",
        }
    }
}

impl Benchmark {
    /// What a version of the image is made of, over the programs that its pods run, of which one is run unless a pod says
    /// otherwise. No two versions share a layer.
    ///
    /// # Errors
    /// When it has no layers.
    pub fn spec(&self, version: u64, programs: Vec<File>, entrypoint: &[&str]) -> Result<Spec> {
        let of = |preset: Preset| preset.scaled_to(self.image_bytes).spec(self.seed, version);
        let spec = match self.image {
            Shape::Even => {
                let first = Spec::even(self.seed, self.image_bytes, self.layers);
                let first = first.map_err(|error| Error::Environment(format!("layers = {}: {error}", self.layers)))?;
                if version == 1 { first } else { first.version(version, 0) }
            }
            Shape::Nginx => of(nginx()),
            Shape::Plex => of(plex()),
        };
        // The programs are the same in both: this file makes their layer another one.
        let content = format!("{} {version}", self.seed).into_bytes();
        let version = File { path: "version".into(), source: Source::Content(content) };
        Ok(spec.over([programs, vec![version]].concat(), entrypoint))
    }
}

impl Comparison {
    /// The arms, none first.
    pub fn arms(&self) -> Arms {
        let names: &[&str] = match self.mirror {
            MirrorName::Spegel => &["none", "spegel"],
            MirrorName::None | MirrorName::Cache => &["none", "cache"],
        };
        Arms { names, subjects: names, repeats: self.repeats, warm_up: 0 }
    }

    /// What an arm is run with.
    pub fn benchmark(&self, arm: &str) -> Benchmark {
        let Self { image, image_bytes, layers, seed, max_unavailable, .. } = *self;
        let Self { origin_mbit, mirror_mbit, stalled_after_s, phase_limit_s, .. } = *self;
        let mirror = if arm == "none" { MirrorName::None } else { self.mirror };
        Benchmark {
            mirror,
            image,
            image_bytes,
            layers,
            seed,
            max_unavailable,
            origin_mbit,
            mirror_mbit,
            stalled_after_s,
            phase_limit_s,
        }
    }
}
