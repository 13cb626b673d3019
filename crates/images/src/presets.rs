//! The layer shapes of the images that the documents name.
//!
//! All content is incompressible, so that what travels is what is stated, up to 2 KB a layer and 1 in 1000. Real files
//! would take longer to unpack: a deviation that a suite states.

use crate::spec::Spec;

/// An image of a document, as sizes of layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// What the document calls it.
    pub image: &'static str,
    /// Bytes of each layer, the lowest first.
    pub layer_bytes: Vec<u64>,
    /// How many of the lowest layers the second version of the document shares with the first.
    pub shared_layers: usize,
    /// Where each figure comes from.
    pub source: &'static str,
}

/// Spegel's small image: "small and has a few layers".
pub fn nginx() -> Preset {
    Preset {
        image: "ghcr.io/mirrorshub/docker/nginx:1.24-alpine, 1.25-alpine",
        layer_bytes: vec![3_370_628, 1_799_089, 624, 957, 772, 1_404, 11_489_841],
        shared_layers: 0,
        source: "sizes: compressed layers of nginx:1.23-alpine (linux/amd64, 2023-01-09) in docker-library/repo-info at \
                 72e4be7, repos/nginx/remote/1.23-alpine.md, the release before the document's, of the same stages; \
                 shared layers: ours, a new release is built on a newer base",
    }
}

/// Spegel's large image: "a lot larger".
pub fn plex() -> Preset {
    Preset {
        image: "ghcr.io/linuxserver/plex:1.31.0, 1.32.0",
        layer_bytes: vec![28_000_000, 2_000, 20_000_000, 7_000, 45_000_000, 3_000, 207_000_000, 12_000],
        shared_layers: 0,
        source: "no source gives its sizes, the document only says \"a lot larger\": 300 MB, eighteen times the small \
                 image, in one large layer over a base and small ones, and the shared layers are ours",
    }
}

/// The image of the image pull test: "~15GB".
pub fn pytorch() -> Preset {
    Preset {
        image: "pytorch-large:2.0.0",
        layer_bytes: vec![30_000_000, 70_000_000, 900_000_000, 4_000_000_000, 10_000_000_000],
        shared_layers: 0,
        source: "total: the document (15 GB); number and shares of the layers are ours: a base, tools, and two layers \
                 that hold nearly everything",
    }
}

impl Preset {
    /// Bytes of all layers.
    pub fn bytes(&self) -> u64 {
        self.layer_bytes.iter().sum()
    }

    /// The same shape with `bytes` in all. Every layer keeps its share, rounded down; the largest takes the rest.
    #[must_use]
    pub fn scaled_to(mut self, bytes: u64) -> Self {
        let of = u128::from(self.bytes());
        for layer in &mut self.layer_bytes {
            // A share of `bytes` is no more than `bytes`.
            *layer = (u128::from(*layer) * u128::from(bytes) / of) as u64;
        }
        let rest = bytes - self.bytes();
        if let Some(largest) = self.layer_bytes.iter_mut().max() {
            *largest += rest;
        }
        self
    }

    /// A version of the image, the first by the number 1.
    pub fn spec(&self, seed: u64, version: u64) -> Spec {
        let first = Spec::of_sizes(seed, &self.layer_bytes);
        if version == 1 { first } else { first.version(version, self.shared_layers) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_presets_are_as_large_as_their_sources_say() {
        // "Total Size" of the same page.
        assert_eq!(nginx().bytes(), 16_663_315);
        assert_eq!(plex().bytes() / nginx().bytes(), 18);
        assert_eq!(pytorch().bytes(), 15_000_000_000);
    }

    #[test]
    fn the_versions_of_a_preset_are_two_images_of_one_shape() {
        let (one, two) = (nginx().spec(5, 1), nginx().spec(5, 2));
        assert_ne!(one, two);
        assert_eq!(one.generated_bytes(), two.generated_bytes());
    }

    proptest! {
        #[test]
        fn a_scaled_shape_is_exactly_as_large_as_asked(bytes: u64) {
            for preset in [nginx(), plex(), pytorch()] {
                let layers = preset.layer_bytes.len();
                let scaled = preset.scaled_to(bytes);
                prop_assert_eq!(scaled.bytes(), bytes);
                prop_assert_eq!(scaled.layer_bytes.len(), layers);
            }
        }
    }
}
