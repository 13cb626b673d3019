//! An OCI image layout: a directory with blobs by digest, and an index of the images.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use oci_spec::distribution::Reference;
use oci_spec::image::{Descriptor, Digest, ImageIndex, ImageManifest, MediaType};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tempfile::NamedTempFile;

use crate::digest::Hashed;
use crate::error::{Error, Result};
use crate::image::{Image, configuration, layer_type, manifest};
use crate::layer;
use crate::spec::Spec;

/// What containerd calls an image by when it imports it.
pub(crate) const NAME: &str = "io.containerd.image.name";
const BUFFER: usize = 256 * 1024;

/// A directory of images.
#[derive(Clone, Debug)]
pub struct Layout {
    directory: PathBuf,
}

impl Layout {
    /// The layout in `directory`, an empty one when nothing is there.
    ///
    /// # Errors
    /// When it cannot be written, or holds something else.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self> {
        let layout = Self { directory: directory.into() };
        let doing = format!("make the image layout {}", layout.directory.display());
        fs::create_dir_all(layout.directory.join("blobs/sha256")).map_err(Error::io(doing))?;
        if !layout.index_json().exists() {
            layout.write_index(&[])?;
        }
        layout.images()?;
        Ok(layout)
    }

    /// Makes an image and puts it in, in place of one of the same name.
    ///
    /// # Errors
    /// When a file of the spec cannot be read, or the disk is full.
    pub fn add(&self, reference: &Reference, spec: &Spec) -> Result<Image> {
        let (mut layers, mut diff_ids) = (Vec::new(), Vec::new());
        for layer in &spec.layers {
            let mut file = self.temporary()?;
            let out = BufWriter::with_capacity(BUFFER, file.as_file_mut());
            let written = layer::write(spec, layer, out).map_err(Error::io(format!("make a layer of {reference}")))?;
            let descriptor = descriptor(layer_type(spec.compression), &written.digest, written.bytes)?;
            self.keep(file, &descriptor)?;
            layers.push(descriptor);
            diff_ids.push(written.diff_id);
        }
        let invalid = |error: oci_spec::OciSpecError| Error::Spec(format!("{reference} cannot be described: {error}"));
        let configuration = configuration(spec, diff_ids).map_err(invalid)?;
        let config = self.put(MediaType::ImageConfig, &configuration)?;
        let document = manifest(config.clone(), layers.clone()).map_err(invalid)?;
        let manifest = self.put(MediaType::ImageManifest, &document)?;
        let image = Image { reference: reference.clone(), manifest, config, layers };
        let others = self.images()?.into_iter().filter(|other| other.reference != *reference);
        let images: Vec<_> = others.chain([image.clone()]).collect();
        self.write_index(&images)?;
        Ok(image)
    }

    /// The images, in the order in which they were added.
    ///
    /// # Errors
    /// When the directory holds something else.
    pub fn images(&self) -> Result<Vec<Image>> {
        let index: ImageIndex = read(&self.index_json())?;
        index.manifests().iter().map(|manifest| self.image(manifest)).collect()
    }

    /// The file of a blob or a manifest.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.directory.join("blobs").join(digest.algorithm().as_ref()).join(digest.digest())
    }

    fn image(&self, manifest: &Descriptor) -> Result<Image> {
        let name = manifest.annotations().as_ref().and_then(|annotations| annotations.get(NAME));
        let nameless = |why: String| Error::Layout { path: self.index_json().display().to_string(), why };
        let name = name.ok_or_else(|| nameless(format!("{} has no name", manifest.digest())))?;
        let reference = name.parse().map_err(|error| nameless(format!("{name}: {error}")))?;
        let document: ImageManifest = read(&self.blob(manifest.digest()))?;
        let manifest = Descriptor::new(manifest.media_type().clone(), manifest.size(), manifest.digest().clone());
        Ok(Image { reference, manifest, config: document.config().clone(), layers: document.layers().clone() })
    }

    fn index_json(&self) -> PathBuf {
        self.directory.join("index.json")
    }

    fn write_index(&self, images: &[Image]) -> Result<()> {
        self.write("oci-layout", oci_layout().as_bytes())?;
        self.write("index.json", index(images).as_bytes())
    }

    fn put(&self, media_type: MediaType, document: &impl Serialize) -> Result<Descriptor> {
        let mut hashed = Hashed::new(self.temporary()?);
        let text = serde_json::to_vec(document).map_err(|error| Error::Spec(error.to_string()))?;
        hashed.write_all(&text).map_err(Error::io("write a document of an image"))?;
        let (file, digest, bytes) = hashed.finish();
        let descriptor = descriptor(media_type, &digest, bytes)?;
        self.keep(file, &descriptor)?;
        Ok(descriptor)
    }

    fn keep(&self, file: NamedTempFile, descriptor: &Descriptor) -> Result<()> {
        let path = self.blob(descriptor.digest());
        let kept = file.persist(&path).map_err(|error| error.error);
        kept.map(drop).map_err(Error::io(format!("write {}", path.display())))
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.directory.join(name);
        let mut file = self.temporary()?;
        let written = file.write_all(content).and_then(|()| file.persist(&path).map_err(|error| error.error));
        written.map(drop).map_err(Error::io(format!("write {}", path.display())))
    }

    fn temporary(&self) -> Result<NamedTempFile> {
        let doing = format!("write into {}", self.directory.display());
        NamedTempFile::new_in(&self.directory).map_err(Error::io(doing))
    }
}

/// The text of `oci-layout`.
pub(crate) fn oci_layout() -> String {
    json!({"imageLayoutVersion": "1.0.0"}).to_string()
}

/// The text of `index.json`.
pub(crate) fn index<'a>(images: impl IntoIterator<Item = &'a Image>) -> String {
    let manifests = images.into_iter().map(|image| {
        let (name, tag) = (image.reference.whole(), image.reference.tag().unwrap_or_default());
        json!({
            "mediaType": image.manifest.media_type(),
            "digest": image.manifest.digest(),
            "size": image.manifest.size(),
            "annotations": {NAME: name, "org.opencontainers.image.ref.name": tag},
        })
    });
    let manifests: Vec<_> = manifests.collect();
    json!({"schemaVersion": 2, "mediaType": MediaType::ImageIndex, "manifests": manifests}).to_string()
}

fn descriptor(media_type: MediaType, digest: &str, bytes: u64) -> Result<Descriptor> {
    let digest: Digest = digest.parse().map_err(|error| Error::Spec(format!("{digest}: {error}")))?;
    Ok(Descriptor::new(media_type, bytes, digest))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).map_err(Error::io("read an image layout"))?;
    serde_json::from_slice(&text)
        .map_err(|error| Error::Layout { path: path.display().to_string(), why: error.to_string() })
}
