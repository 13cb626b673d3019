//! Images as files: what is in a layout and in an archive is what OCI's own types say.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

use std::collections::BTreeMap;
use std::io::Read;

use fs_err as fs;
use images::{Architecture, Compression, Error, Image, Layout, Preset, Reference, Spec, archive, nginx};
use oci_spec::image::{ImageConfiguration, ImageIndex, ImageManifest, MediaType, OciLayout};
use rstest::rstest;
use tempfile::TempDir;

fn layout() -> (TempDir, Layout) {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::open(dir.path()).unwrap();
    (dir, layout)
}

fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

fn small() -> Spec {
    Spec::even(1, 300_000, 3).unwrap().random(50).architecture(Architecture::Amd64)
}

fn archived(layout: &Layout, images: &[Image]) -> Vec<u8> {
    let mut bytes = Vec::new();
    archive(layout, images, &mut bytes).unwrap();
    bytes
}

fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().display().to_string(), content)
    });
    entries.collect()
}

/// As with the digests of layers: a changed one makes another image of every image of every record.
#[rstest]
#[case(Compression::None, "sha256:6c9abf57d335cdfcd6a88246da098fa0de6efff1ac502d7c937ec4353a5e1b7e")]
#[case(Compression::Gzip, "sha256:4a351bd26b42447a0641365d28b165c361fdd6cbb5016f719c65e346f7643b43")]
#[case(Compression::Zstd, "sha256:7e011ab69fd9601f9fcfb43ac0e2ab0c7b6d71cd64adbdfb6bb0c98e93b76010")]
fn the_digests_of_an_image_are_known(#[case] compression: Compression, #[case] digest: &str) {
    let (_dir, layout) = layout();
    let image = layout.add(&name("registry:5000/app:1"), &small().compressed(compression)).unwrap();
    assert_eq!(image.manifest.digest().as_ref(), digest);
}

#[test]
fn an_image_is_described_by_its_documents() {
    let (_dir, layout) = layout();
    let spec = small().over(Vec::new(), &["/bin/pause", "-v"]).compressed(Compression::Zstd);
    let image = layout.add(&name("registry:5000/a/b:v1"), &spec).unwrap();
    let manifest = ImageManifest::from_file(layout.blob(image.manifest.digest())).unwrap();
    assert_eq!((manifest.config(), manifest.layers()), (&image.config, &image.layers));
    assert!(image.layers.iter().all(|layer| *layer.media_type() == MediaType::ImageLayerZstd));
    let config = ImageConfiguration::from_file(layout.blob(image.config.digest())).unwrap();
    assert_eq!(config.rootfs().diff_ids().len(), 4);
    let run = config.config().clone().unwrap();
    assert_eq!(run.entrypoint().clone().unwrap(), ["/bin/pause", "-v"]);
    let on_disk = |blob: &oci_spec::image::Descriptor| fs::metadata(layout.blob(blob.digest())).unwrap().len();
    assert!(image.blobs().chain([&image.manifest]).all(|blob| on_disk(blob) == blob.size()));
    assert_eq!(image.transfer_bytes(), image.blobs().map(on_disk).sum::<u64>() + on_disk(&image.manifest));
}

#[test]
fn a_layout_is_opened_again_and_an_image_is_replaced_by_its_name() {
    let (dir, layout) = layout();
    let (one, two) = (name("registry:5000/app:1"), name("registry:5000/app:2"));
    layout.add(&one, &small()).unwrap();
    let second = layout.add(&two, &small()).unwrap();
    let first = layout.add(&one, &small().version(2, 0)).unwrap();
    let again = Layout::open(dir.path()).unwrap();
    assert_eq!(again.images().unwrap(), [second, first]);
}

#[test]
fn versions_share_blobs_on_disk() {
    let (_dir, layout) = layout();
    let (one, two) = (name("registry:5000/app:1"), name("registry:5000/app:2"));
    let (one, two) = (layout.add(&one, &small()).unwrap(), layout.add(&two, &small().version(2, 2)).unwrap());
    assert_eq!(one.layers[..2], two.layers[..2]);
    assert_ne!(one.layers[2], two.layers[2]);
    // Three layers, one more, two configurations, two manifests.
    assert_eq!(fs::read_dir(layout.blob(one.config.digest()).parent().unwrap()).unwrap().count(), 8);
}

#[test]
fn an_archive_holds_what_oci_and_docker_read() {
    let (_dir, layout) = layout();
    let names = ["registry:5000/app:1", "registry:5000/app:2"].map(name);
    layout.add(&names[0], &small()).unwrap();
    layout.add(&names[1], &small().version(2, 1)).unwrap();
    let images = layout.images().unwrap();
    let bytes = archived(&layout, &images);
    assert!(bytes == archived(&layout, &images), "the same images make the same bytes");

    let files = files(&bytes);
    let blob = |path: &str| &files[path];
    let oci: OciLayout = serde_json::from_slice(blob("oci-layout")).unwrap();
    assert_eq!(oci.image_layout_version(), "1.0.0");
    let index: ImageIndex = serde_json::from_slice(blob("index.json")).unwrap();
    let docker: serde_json::Value = serde_json::from_slice(blob("manifest.json")).unwrap();
    for (n, descriptor) in index.manifests().iter().enumerate() {
        let path = |digest: &oci_spec::image::Digest| format!("blobs/{}/{}", digest.algorithm(), digest.digest());
        let manifest: ImageManifest = serde_json::from_slice(blob(&path(descriptor.digest()))).unwrap();
        let paths: Vec<_> = manifest.layers().iter().map(|layer| path(layer.digest())).collect();
        assert_eq!(docker[n]["Config"], path(manifest.config().digest()));
        assert_eq!(docker[n]["Layers"], serde_json::json!(paths));
        assert_eq!(docker[n]["RepoTags"][0], names[n].whole());
        assert_eq!(descriptor.annotations().as_ref().unwrap()["io.containerd.image.name"], names[n].whole());
        assert!(manifest.layers().iter().all(|layer| blob(&path(layer.digest())).len() as u64 == layer.size()));
    }
}

#[test]
fn a_preset_travels_as_the_bytes_that_its_source_says() {
    let (_dir, layout) = layout();
    let Preset { layer_bytes, .. } = nginx();
    let image = layout.add(&name("registry:5000/nginx:1"), &nginx().spec(1, 1)).unwrap();
    for (layer, bytes) in image.layers.iter().zip(layer_bytes) {
        let more = layer.size() - bytes;
        assert!(more < 2_048 + bytes / 1_000, "{} instead of {bytes}", layer.size());
    }
}

#[test]
fn a_directory_of_something_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("index.json"), "{}").unwrap();
    let error = Layout::open(dir.path()).unwrap_err();
    assert!(matches!(&error, Error::Layout { path, .. } if path.ends_with("index.json")), "{error}");
}
