//! The registry that the nodes of a kind cluster pull from: a real one in a container on their own network, its egress
//! shaped, and before it a proxy in which every byte is accounted for by node.
//!
//! The proxy listens on the network's gateway, which is this machine, so that it sees each node by the node's own address.
//! What is shaped is the way from the registry to the proxy: with the registry's container everything of it is gone.

mod cache;
mod container;
mod error;
mod nodes;
mod shape;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use cluster::{Descriptor, KindNode, docker_cluster};
use images::{Entry, Image, Layout, Ledger, Proxy, Reference, Spec};
use tempfile::TempDir;
use testcontainers::{ContainerAsync, GenericImage};

pub use crate::cache::Cache;
pub use crate::error::{Error, Result};
pub use crate::nodes::{forget, held_by, program_files};

/// The name by which the nodes know the registry. It has no port, because containerd's labels of content have none, and it
/// need not resolve: the nodes are told where it is.
pub const HOST: &str = "origin.test";

/// How long the last entries of the ledger may take to close once the clients are done.
const SETTLES_WITHIN: Duration = Duration::from_secs(10);

/// A registry with its ledger; it ends with this value, and what a killed process leaves goes with the cluster.
#[derive(Debug)]
pub struct Origin {
    proxy: Proxy,
    container: ContainerAsync<GenericImage>,
    layout: Layout,
    /// Its files go with it.
    directory: TempDir,
    /// The cluster's, in Docker.
    network: String,
    node_image: String,
}

impl Origin {
    /// Starts a registry beside the cluster of a fixture, and tells every node where it is. `scratch` is for the images that
    /// are pushed.
    ///
    /// # Errors
    /// When Docker has no image of the registry, it does not start, or a node cannot be told.
    pub async fn start(descriptor: &Descriptor, fixture: &Path, scratch: &Path) -> Result<Self> {
        let network = docker_cluster(fixture);
        container::remove_left(&network).await?;
        let container = container::start(&network, &[]).await?;
        let upstream = container::listens(&container).await?;
        container::wait_ready(upstream).await?;
        let gateway = container::gateway(&network).await?;
        let proxy = Proxy::start(SocketAddr::new(gateway, 0), upstream)?;
        let directory = TempDir::new_in(scratch).map_err(Error::io("make a directory in", scratch))?;
        let layout = Layout::open(directory.path().join("images"))?;
        let nodes = KindNode::all(fixture)?;
        nodes::tell(&nodes, proxy.address, |_| None, directory.path())?;
        let node_image = descriptor.versions.get("node-image").cloned().unwrap_or_default();
        Ok(Self { proxy, container, layout, directory, network, node_image })
    }

    /// Makes an image and pushes it as `origin.test/NAME`. What is pushed is not in the ledger.
    ///
    /// # Errors
    /// When the name is none, or the registry refuses.
    pub async fn push(&self, name: &str, spec: &Spec) -> Result<Image> {
        let reference = format!("{HOST}/{name}");
        let reference: Reference = reference.parse().map_err(|error| Error::Name(format!("{reference}: {error}")))?;
        let (layout, spec, url) = (self.layout.clone(), spec.clone(), format!("http://{}", self.proxy.address));
        let image = blocking(move || {
            let image = layout.add(&reference, &spec)?;
            images::push(&layout, &image, &url)?;
            Ok(image)
        });
        let image = image.await?;
        self.account().await?;
        Ok(image)
    }

    /// Lets the registry send no more than so many megabits a second, to all nodes together.
    ///
    /// # Errors
    /// When the kernel has no token bucket filter.
    pub async fn shape(&self, mbit_per_second: u32) -> Result<()> {
        shape::shape(self.container.id(), &self.node_image, mbit_per_second).await
    }

    /// Bytes a second that come through to one client which asks for this image's largest layer, measured now. The account
    /// begins anew.
    ///
    /// # Errors
    /// When the layer does not come whole.
    pub async fn goodput(&self, image: &Image) -> Result<f64> {
        let layer = image.layers.iter().max_by_key(|layer| layer.size());
        let layer = layer.ok_or_else(|| Error::Name(format!("{} has no layers", image.reference)))?;
        let path = format!("{}/blobs/{}", image.reference.repository(), layer.digest());
        let url = format!("http://{}/v2/{path}", self.proxy.address);
        blocking(move || shape::fetch(&url)).await?;
        let entries = self.account().await?;
        shape::rate(&entries).ok_or_else(|| Error::Incomplete(path))
    }

    /// What went through the proxy since it was asked the last time, once all of it has ended.
    ///
    /// # Errors
    /// When requests stay open.
    pub async fn account(&self) -> Result<Vec<Entry>> {
        settled(&self.proxy.ledger).await
    }

    /// Tells nodes which mirror each is to ask before this registry, by a `hosts.toml` that containerd reads at each pull;
    /// none takes away what it was told.
    ///
    /// # Errors
    /// When a node cannot be told.
    pub fn mirrored(&self, nodes: &[KindNode], mirror: impl Fn(&KindNode) -> Option<SocketAddr>) -> Result<()> {
        nodes::tell(nodes, self.proxy.address, mirror, self.directory.path())
    }

    /// The proxy, for its faults and for the origin of its stamps.
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// The registry's container.
    pub fn container(&self) -> &str {
        self.container.id()
    }
}

/// Takes out of a ledger what has ended, once nothing is open.
async fn settled(ledger: &Ledger) -> Result<Vec<Entry>> {
    let ledger = ledger.clone();
    let taken = move || {
        if ledger.settles_within(SETTLES_WITHIN) { Ok(ledger.take()) } else { Err(Error::Open(ledger.open())) }
    };
    blocking(taken).await
}

/// Runs what blocks its thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::Name(error.to_string())),
    }
}

/// What `docker` prints.
async fn docker(args: &[&str]) -> Result<String> {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    blocking(move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        Ok(cluster::Shell::real().output(Path::new("docker"), &args)?)
    })
    .await
}

/// An address that Docker prints.
fn address(text: &str, of: &str) -> Result<IpAddr> {
    text.trim().parse().map_err(|_| Error::Name(format!("{of} has no address: `{}`", text.trim())))
}
