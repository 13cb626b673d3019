//! A real registry behind the proxy: what is pushed is pulled back, and the ledger has every byte of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use images::{
    Compression, Ending, Entry, Error, Fault, Image, Kind, Layout, Ledger, Proxy, Pushed, RegistryConfig, Rule, Spec,
    push,
};
use oci_spec::image::{Descriptor, MediaType};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// A registry with a proxy before it, and a layout with two versions of an image that share a layer.
struct Rig {
    proxy: Proxy,
    layout: Layout,
    images: [Image; 2],
    registry: Child,
    _dir: TempDir,
}

impl Rig {
    /// Over images of so many bytes.
    fn start(bytes: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = RegistryConfig::write(&dir.path().join("registry")).unwrap();
        let log = File::create(dir.path().join("registry.log")).unwrap();
        let mut command = Command::new(program());
        command
            .args(config.args())
            .envs(config.env())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let registry = command.spawn().unwrap();
        let layout = Layout::open(dir.path().join("layout")).unwrap();
        let spec = Spec::even(1, bytes, 3).unwrap().compressed(Compression::Zstd);
        let image = |tag: &str, spec: &Spec| layout.add(&format!("registry:5000/app:{tag}").parse().unwrap(), spec);
        let images = [image("1", &spec).unwrap(), image("2", &spec.clone().version(2, 2)).unwrap()];
        let proxy = Proxy::start("127.0.0.1:0".parse().unwrap(), config.address).unwrap();
        let rig = Self { proxy, layout, images, registry, _dir: dir };
        config.wait_ready(PATIENCE).unwrap();
        rig
    }

    fn url(&self) -> String {
        format!("http://{}", self.proxy.address)
    }

    fn push(&self, image: &Image) -> Pushed {
        push(&self.layout, image, &self.url()).unwrap()
    }

    fn get(&self, path: &str) -> Result<Vec<u8>, ureq::Error> {
        // Without saying that it takes OCI manifests, a client gets none.
        let accept = MediaType::ImageManifest.to_string();
        let mut answer = ureq::get(format!("{}/v2/app/{path}", self.url())).header("accept", accept).call()?;
        let mut body = Vec::new();
        answer.body_mut().as_reader().read_to_end(&mut body)?;
        Ok(body)
    }

    /// What went through the proxy since it was asked the last time.
    fn account(&self) -> Vec<Entry> {
        assert!(self.proxy.ledger.settles_within(PATIENCE), "{} are open", self.proxy.ledger.open());
        self.proxy.ledger.take()
    }

    /// Pulls as a node does that has nothing: the manifest by its tag, the rest by digest.
    fn pull(&self, image: &Image) -> u64 {
        let manifest = self.get(&format!("manifests/{}", image.reference.tag().unwrap())).unwrap();
        assert_is(&image.manifest, &manifest);
        let blobs = image.blobs().map(|blob| {
            let body = self.get(&format!("blobs/{}", blob.digest())).unwrap();
            assert_is(blob, &body);
            body.len() as u64
        });
        blobs.sum::<u64>() + manifest.len() as u64
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.registry.kill().ok();
        self.registry.wait().ok();
    }
}

/// The registry that nextest's setup script has got.
fn program() -> PathBuf {
    let text = std::env::var("KUBEDYNO_PROGRAM_REGISTRY").expect("nextest's setup script sets it");
    let program: serde_json::Value = serde_json::from_str(&text).unwrap();
    program["used"]["path"].as_str().unwrap().into()
}

fn assert_is(blob: &Descriptor, body: &[u8]) {
    let hex: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((format!("sha256:{hex}"), body.len() as u64), (blob.digest().to_string(), blob.size()));
}

#[test]
fn what_is_pushed_is_pulled_back_and_the_ledger_has_every_byte() {
    let rig = Rig::start(9_000_000);
    let [one, two] = &rig.images;
    let uploaded: u64 = one.blobs().map(Descriptor::size).sum();
    let first = rig.push(one);
    assert_eq!(first, Pushed { blobs: 4, bytes: uploaded + one.manifest.size(), present: 0 });
    let pushes = rig.account();
    assert_eq!(pushes.iter().map(|entry| entry.received_bytes).sum::<u64>(), first.bytes);

    let got = rig.pull(one);
    assert_eq!(got, one.transfer_bytes());
    let pulls = rig.account();
    assert!(pulls.iter().all(|entry| entry.ending == Ending::Complete && entry.status == 200 && entry.fault.is_none()));
    let client = IpAddr::from([127, 0, 0, 1]);
    let of_each = |blob: &Descriptor| ((client, blob.digest().to_string()), blob.size());
    let wanted: BTreeMap<_, _> = one.blobs().chain([&one.manifest]).map(of_each).collect();
    let seen = Ledger::tallies(&pulls).into_iter().map(|(key, tally)| (key, tally.sent_bytes));
    assert_eq!(seen.collect::<BTreeMap<_, _>>(), wanted);

    // The second version brings what it does not share: a layer, its configuration and its manifest.
    let second = rig.push(two);
    assert_eq!((second.blobs, second.present), (2, 2));
    assert_eq!(rig.pull(two), two.transfer_bytes());
}

#[test]
fn a_layer_that_is_reset_is_resumed_by_range_and_counted_once() {
    let rig = Rig::start(9_000_000);
    let image = &rig.images[0];
    rig.push(image);
    rig.account();
    let layer = &image.layers[2];
    let digest = Some(layer.digest().to_string());
    let fault = Fault::Reset { after_bytes: 1_000_000 };
    rig.proxy.faults.inject(Rule { times: Some(1), kind: Some(Kind::Blob), digest, ..Rule::every(fault) });
    let path = format!("blobs/{}", layer.digest());
    assert!(rig.get(&path).is_err());
    let rest = ureq::get(format!("{}/v2/app/{path}", rig.url())).header("range", "bytes=1000000-").call().unwrap();
    assert_eq!(rest.status(), 206);
    assert_eq!(rest.into_body().read_to_vec().unwrap().len() as u64, layer.size() - 1_000_000);
    let entries = rig.account();
    let endings: Vec<_> = entries.iter().map(|entry| (entry.status, entry.ending)).collect();
    assert_eq!(endings, [(200, Ending::BrokenOff), (206, Ending::Complete)]);
    assert_eq!(entries[1].range.as_deref(), Some("bytes=1000000-"));
    assert_eq!(entries.iter().map(|entry| entry.sent_bytes).sum::<u64>(), layer.size());
}

#[test]
fn a_registry_that_is_killed_in_mid_pull_is_in_the_ledger() {
    let mut rig = Rig::start(120_000_000);
    let image = rig.images[0].clone();
    rig.push(&image);
    rig.account();
    // Too much for the buffers on the way, and slow enough to be in the middle when the registry goes.
    rig.proxy.faults.inject(Rule::every(Fault::Slow { bytes_per_second: 20_000_000 }));
    let (url, path) = (rig.url(), format!("/v2/app/blobs/{}", image.layers[0].digest()));
    let pull = std::thread::spawn(move || {
        let mut body = ureq::get(url + &path).call().unwrap().into_body();
        std::io::copy(&mut body.as_reader(), &mut std::io::sink())
    });
    std::thread::sleep(Duration::from_millis(300));
    rig.registry.kill().unwrap();
    assert!(pull.join().unwrap().is_err());
    let entry = rig.account().remove(0);
    assert_eq!(entry.ending, Ending::BrokenOff);
    assert!(entry.sent_bytes > 0 && entry.sent_bytes < image.layers[0].size(), "{entry:?}");
    assert!(entry.fault.unwrap().contains("the registry broke off"));
    assert!(matches!(push(&rig.layout, &image, &rig.url()), Err(Error::Refused { status: 502, .. })));
}
