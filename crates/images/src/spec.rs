//! What an image is made of.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// What an image is made of. Equal specs make images of equal digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The layers, the lowest first.
    pub layers: Vec<Layer>,
    /// How each layer is compressed.
    pub compression: Compression,
    /// Percent of the generated content that is random, so that no compression makes it smaller. The rest is one byte.
    pub random_percent: u8,
    /// What the image says that it runs on.
    pub architecture: Architecture,
    /// The program that a container of the image runs, with its arguments.
    pub entrypoint: Vec<String>,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// One file of generated content, as in the images that Spegel's benchmark generates.
    Generated {
        /// Bytes of the file.
        bytes: u64,
        /// What its content is drawn from.
        seed: u64,
    },
    /// These files.
    Files(Vec<File>),
}

/// A file of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is in the image, without a leading `/`.
    pub path: PathBuf,
    /// What it is.
    pub source: Source,
}

/// Where a file of a layer comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A copy of a program of this machine, executable.
    Program(PathBuf),
    /// A plain file with this content.
    Content(Vec<u8>),
    /// A symbolic link to this target.
    Link(PathBuf),
}

/// How a layer is compressed. The levels are fixed: they are part of the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// A plain tar.
    None,
    /// gzip, level 1.
    Gzip,
    /// zstd, level 3.
    Zstd,
}

/// The CPU that an image says that it runs on, as Go spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
}

impl Spec {
    /// An image of generated content: `layers` layers that hold `bytes` in all, as equal as can be.
    ///
    /// # Errors
    /// When there are no layers.
    pub fn even(seed: u64, bytes: u64, layers: u64) -> Result<Self> {
        if layers == 0 {
            return Err(Error::Spec("an image of 0 layers holds nothing\nfix: ask for 1 layer or more".to_owned()));
        }
        let size = |n| bytes / layers + u64::from(n < bytes % layers);
        Ok(Self::of_sizes(seed, &(0..layers).map(size).collect::<Vec<_>>()))
    }

    /// An image of generated content with a layer of each size, in bytes. Incompressible, gzip, for this machine.
    pub fn of_sizes(seed: u64, sizes: &[u64]) -> Self {
        let layer = |(n, bytes): (usize, &u64)| Layer::Generated { bytes: *bytes, seed: derived(seed, n as u64) };
        Self {
            layers: sizes.iter().enumerate().map(layer).collect(),
            compression: Compression::Gzip,
            random_percent: 100,
            architecture: Architecture::host(),
            entrypoint: Vec::new(),
        }
    }

    /// The same, compressed otherwise.
    #[must_use]
    pub fn compressed(self, compression: Compression) -> Self {
        Self { compression, ..self }
    }

    /// The same with this share of random bytes, in percent; more than 100 is 100.
    #[must_use]
    pub fn random(self, percent: u8) -> Self {
        Self { random_percent: percent.min(100), ..self }
    }

    /// The same for another CPU.
    #[must_use]
    pub fn architecture(self, architecture: Architecture) -> Self {
        Self { architecture, ..self }
    }

    /// The same with these files as its lowest layer, and a program to run.
    #[must_use]
    pub fn over(mut self, files: Vec<File>, entrypoint: &[&str]) -> Self {
        self.layers.insert(0, Layer::Files(files));
        self.entrypoint = entrypoint.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Another version of the image: the lowest `shared` layers are the same, the generated ones above them are of the
    /// same sizes with other content. Versions of different numbers share nothing more.
    #[must_use]
    pub fn version(mut self, number: u64, shared: usize) -> Self {
        for layer in self.layers.iter_mut().skip(shared) {
            if let Layer::Generated { seed, .. } = layer {
                // The first version is the image itself; the top bit keeps the others apart from its layers' numbers.
                *seed = derived(*seed, number | 1 << 63);
            }
        }
        self
    }

    /// Bytes of generated content, before compression.
    pub fn generated_bytes(&self) -> u64 {
        let bytes = |layer: &Layer| if let Layer::Generated { bytes, .. } = layer { *bytes } else { 0 };
        self.layers.iter().map(bytes).sum()
    }
}

impl Architecture {
    /// The CPU of this machine.
    pub fn host() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Arm64 } else { Self::Amd64 }
    }
}

/// The seed of a part.
fn derived(seed: u64, part: u64) -> u64 {
    let sha256 = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(part.to_le_bytes()).finalize();
    sha256.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seeds(spec: &Spec) -> Vec<u64> {
        let seed = |layer: &Layer| if let Layer::Generated { seed, .. } = layer { Some(*seed) } else { None };
        spec.layers.iter().filter_map(seed).collect()
    }

    proptest! {
        #[test]
        fn the_layers_of_an_even_image_add_up(seed: u64, bytes in 0..u64::MAX, layers in 1..200_u64) {
            let spec = Spec::even(seed, bytes, layers).unwrap();
            prop_assert_eq!(spec.layers.len() as u64, layers);
            prop_assert_eq!(spec.generated_bytes(), bytes);
            let sizes = spec.layers.iter().map(|layer| match layer {
                Layer::Generated { bytes, .. } => *bytes,
                Layer::Files(_) => unreachable!(),
            });
            prop_assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
        }

        #[test]
        fn versions_share_their_lowest_layers_and_no_others(seed: u64, shared in 0..9_usize, a in 2..99_u64, b in 2..99_u64) {
            prop_assume!(a != b);
            let image = Spec::even(seed, 8_000, 8).unwrap();
            let (one, two) = (seeds(&image.clone().version(a, shared)), seeds(&image.version(b, shared)));
            let same = one.iter().zip(&two).take_while(|(one, two)| one == two).count();
            prop_assert_eq!(same, shared.min(8));
            prop_assert!(one[same..].iter().all(|seed| !two.contains(seed)));
        }
    }

    #[test]
    fn an_image_of_no_layers_is_refused() {
        assert!(Spec::even(1, 10, 0).unwrap_err().to_string().contains("ask for 1 layer"));
    }
}
