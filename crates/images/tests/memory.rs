//! A layer of any size takes the memory of its buffers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

use images::{Compression, Layout, Spec};
use procfs::process::Process;

/// Bytes of the layer.
const LAYER: u64 = 512 << 20;
/// KiB that the most memory may grow by while it is made: a sixteenth of it.
const GROWTH_KIB: u64 = 32 << 10;

fn peak_kib() -> u64 {
    Process::myself().unwrap().status().unwrap().vmhwm.unwrap()
}

#[test]
fn a_large_layer_never_lies_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::open(dir.path()).unwrap();
    let before = peak_kib();
    let spec = Spec::even(1, LAYER, 1).unwrap().compressed(Compression::None);
    let image = layout.add(&"registry:5000/large:1".parse().unwrap(), &spec).unwrap();
    let mut archived = std::io::sink();
    images::archive(&layout, std::slice::from_ref(&image), &mut archived).unwrap();
    assert!(image.transfer_bytes() > LAYER);
    let growth = peak_kib() - before;
    assert!(growth < GROWTH_KIB, "{growth} KiB more");
}
