//! An image as OCI describes it: the manifest and the configuration over its layers.

use oci_spec::OciSpecError;
use oci_spec::distribution::Reference;
use oci_spec::image::{
    Arch, Config, ConfigBuilder, Descriptor, ImageConfiguration, ImageConfigurationBuilder, ImageManifest,
    ImageManifestBuilder, MediaType, Os, RootFsBuilder,
};

use crate::spec::{Architecture, Compression, Spec};

/// An image of a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// What it is called.
    pub reference: Reference,
    /// Its manifest.
    pub manifest: Descriptor,
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers, the lowest first.
    pub layers: Vec<Descriptor>,
}

impl Image {
    /// Its blobs: the configuration and the layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.config).chain(&self.layers)
    }

    /// What a node that has nothing of it downloads, in bytes: the manifest and every blob once.
    pub fn transfer_bytes(&self) -> u64 {
        let mut seen = std::collections::BTreeSet::new();
        let blobs = self.blobs().filter(|blob| seen.insert(blob.digest().to_string()));
        blobs.map(Descriptor::size).sum::<u64>() + self.manifest.size()
    }
}

/// The configuration of an image with these layers.
pub(crate) fn configuration(spec: &Spec, diff_ids: Vec<String>) -> Result<ImageConfiguration, OciSpecError> {
    ImageConfigurationBuilder::default()
        .created("1970-01-01T00:00:00Z")
        .architecture(match spec.architecture {
            Architecture::Amd64 => Arch::Amd64,
            Architecture::Arm64 => Arch::ARM64,
        })
        .os(Os::Linux)
        .config(run(spec)?)
        .rootfs(RootFsBuilder::default().typ("layers").diff_ids(diff_ids).build()?)
        .build()
}

/// The manifest over a configuration and layers.
pub(crate) fn manifest(config: Descriptor, layers: Vec<Descriptor>) -> Result<ImageManifest, OciSpecError> {
    ImageManifestBuilder::default()
        .schema_version(2_u32)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(layers)
        .build()
}

/// The media type of a layer.
pub(crate) fn layer_type(compression: Compression) -> MediaType {
    match compression {
        Compression::None => MediaType::ImageLayer,
        Compression::Gzip => MediaType::ImageLayerGzip,
        Compression::Zstd => MediaType::ImageLayerZstd,
    }
}

fn run(spec: &Spec) -> Result<Config, OciSpecError> {
    let config = ConfigBuilder::default().env(["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()]);
    match spec.entrypoint.is_empty() {
        true => config.build(),
        false => config.entrypoint(spec.entrypoint.clone()).build(),
    }
}
