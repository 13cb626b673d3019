//! An archive that `docker load` and `ctr images import` take: an OCI image layout in a tar, with the `manifest.json` of
//! `docker save` beside its index.

use std::collections::BTreeSet;
use std::io::{self, Write};

use fs_err as fs;
use oci_spec::image::{Descriptor, Digest};
use serde_json::json;
use tar::{Builder, Header};

use crate::error::{Error, Result};
use crate::image::Image;
use crate::layout::{Layout, index, oci_layout};

/// Writes an archive of some images of a layout. The same images make the same bytes.
///
/// # Errors
/// When a blob is not there, or `out` cannot be written.
pub fn archive(layout: &Layout, images: &[Image], out: impl Write) -> Result<()> {
    write(layout, images, out).map_err(Error::io("write an archive of images"))
}

fn write(layout: &Layout, images: &[Image], out: impl Write) -> io::Result<()> {
    let mut tar = Builder::new(out);
    append(&mut tar, "oci-layout", oci_layout().as_bytes())?;
    append(&mut tar, "index.json", index(images).as_bytes())?;
    append(&mut tar, "manifest.json", docker_manifest(images).as_bytes())?;
    let mut seen = BTreeSet::new();
    for blob in images.iter().flat_map(|image| image.blobs().chain([&image.manifest])) {
        if seen.insert(blob.digest().to_string()) {
            let file = fs::File::open(layout.blob(blob.digest()))?;
            tar.append_data(&mut header(blob.size()), path(blob.digest()), file)?;
        }
    }
    tar.into_inner()?.flush()
}

/// What Docker reads, which knows images by their configuration.
fn docker_manifest(images: &[Image]) -> String {
    let paths = |layers: &[Descriptor]| layers.iter().map(|layer| path(layer.digest())).collect::<Vec<_>>();
    let images = images.iter().map(|image| {
        json!({
            "Config": path(image.config.digest()),
            "RepoTags": [image.reference.whole()],
            "Layers": paths(&image.layers),
        })
    });
    json!(images.collect::<Vec<_>>()).to_string()
}

fn append(tar: &mut Builder<impl Write>, name: &str, content: &[u8]) -> io::Result<()> {
    tar.append_data(&mut header(content.len() as u64), name, content)
}

fn header(bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(bytes);
    header.set_mtime(0);
    header
}

fn path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.digest())
}
