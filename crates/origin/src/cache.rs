//! A pull-through cache of the registry: the same program in a container of its own, its egress shaped apart, and before it a
//! proxy that accounts for every byte by node, as before the registry itself.

use std::net::SocketAddr;

use cluster::Process;
use images::{Entry, Proxy};
use testcontainers::{ContainerAsync, GenericImage};

use crate::error::{Error, Result};
use crate::{Origin, container, docker, settled, shape};

/// The setting by which the registry becomes a cache of another one.
const REMOTE: &str = "REGISTRY_PROXY_REMOTEURL";

/// A cache of an [`Origin`], empty when it starts; it ends with this value, and what a killed process leaves goes with the
/// next registry beside the same cluster.
#[derive(Debug)]
pub struct Cache {
    proxy: Proxy,
    address: SocketAddr,
    container: ContainerAsync<GenericImage>,
    node_image: String,
}

impl Cache {
    /// Starts one. No node is told of it: [`Origin::mirrored`] does.
    ///
    /// # Errors
    /// When Docker has no image of the registry, or it does not start.
    pub async fn start(origin: &Origin) -> Result<Self> {
        let remote = format!("http://{}", origin.proxy().address);
        let container = container::start(&origin.network, &[(REMOTE, &remote)]).await?;
        let address = container::listens(&container).await?;
        container::wait_ready(address).await?;
        let proxy = Proxy::start(SocketAddr::new(origin.proxy().address.ip(), 0), address)?;
        Ok(Self { proxy, address, container, node_image: origin.node_image.clone() })
    }

    /// Lets it send no more than so many megabits a second, to all nodes together.
    ///
    /// # Errors
    /// When the kernel has no token bucket filter.
    pub async fn shape(&self, mbit_per_second: u32) -> Result<()> {
        shape::shape(self.container.id(), &self.node_image, mbit_per_second).await
    }

    /// What went through its proxy since it was asked the last time, once all of it has ended.
    ///
    /// # Errors
    /// When requests stay open.
    pub async fn account(&self) -> Result<Vec<Entry>> {
        settled(&self.proxy.ledger).await
    }

    /// Its process, as this machine sees it.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn process(&self) -> Result<Process> {
        let pid = docker(&["inspect", "--format", "{{.State.Pid}}", self.container.id()]).await?;
        let process = pid.trim().parse::<i32>().ok().filter(|pid| *pid > 0).and_then(Process::of_pid);
        process.ok_or_else(|| {
            Error::Name(format!("the cache does not run: look at `docker logs {}`", self.container.id()))
        })
    }

    /// Its proxy, which is where nodes ask it.
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Its own address, by which the registry's ledger knows it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
