//! What nodes hold of an image: none of it is the proof that a pull is cold, and all of it is what a pull has brought.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use cluster::KindNode;
use harness::Result;
use images::Image;

use crate::broken;

/// The digests of an image that each node's content store holds, by the node's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Sizes of the image's blobs and of its manifest, by digest.
    pub sizes: BTreeMap<String, u64>,
    /// Digests that are there.
    pub nodes: BTreeMap<IpAddr, BTreeSet<String>>,
}

impl Held {
    /// Asks every node.
    ///
    /// # Errors
    /// When a node does not run.
    pub fn of(nodes: &[KindNode], image: &Image) -> Result<Self> {
        let blobs = image.blobs().chain([&image.manifest]);
        let sizes = blobs.map(|blob| (blob.digest().to_string(), blob.size())).collect();
        let held = |node: &KindNode| {
            let held = origin::held_by(node, image).map_err(broken)?;
            Ok((node.address, held.into_iter().collect()))
        };
        Ok(Self { sizes, nodes: nodes.iter().map(held).collect::<Result<_>>()? })
    }

    /// Digests, each once on each node.
    pub fn digests(&self) -> usize {
        self.nodes.values().map(BTreeSet::len).sum()
    }

    /// Bytes, in the same way.
    pub fn bytes(&self) -> u64 {
        let size = |digest: &String| self.sizes.get(digest).copied().unwrap_or(0);
        self.nodes.values().flatten().map(size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_nodes_hold_counts_on_each() {
        let sizes = BTreeMap::from([("sha256:a".to_owned(), 10), ("sha256:b".to_owned(), 5)]);
        let of = |last: u8, digests: &[&str]| -> (IpAddr, BTreeSet<String>) {
            (IpAddr::from([10, 0, 0, last]), digests.iter().map(|digest| (*digest).to_owned()).collect())
        };
        let nodes = [of(1, &["sha256:a", "sha256:b"]), of(2, &["sha256:a"])];
        let held = Held { sizes, nodes: nodes.into() };
        assert_eq!((held.digests(), held.bytes()), (3, 25));
    }
}
