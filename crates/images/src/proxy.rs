//! A reverse proxy that records what goes through it, and breaks it when it is told to.

mod body;
mod fault;
mod forward;
mod target;
mod wire;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

pub use self::fault::{Fault, Faults, Rule};
pub use self::target::Kind;

use self::forward::Forward;
use self::wire::{Counted, Wire};
use crate::error::{Error, Result};
use crate::ledger::Ledger;

/// A proxy on a thread of its own, which ends with it.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    /// What went through it.
    pub ledger: Ledger,
    /// What it does to it.
    pub faults: Faults,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy that listens on `listen`, loopback or the address of the fixture's own network, before the registry at
    /// `upstream`. Port 0 is any that is free.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub fn start(listen: SocketAddr, upstream: SocketAddr) -> Result<Self> {
        let bound = TcpListener::bind(listen).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, listener))
        });
        let (address, listener) = bound.map_err(Error::io(format!("listen on {listen} for the registry's proxy")))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::io("start the registry's proxy"))?;
        let (ledger, faults, stop) = (Ledger::new(), Faults::default(), CancellationToken::new());
        let forward = Arc::new(Forward::new(upstream, ledger.clone(), faults.clone()));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            runtime.block_on(stopped.run_until_cancelled(accept(listener, forward)));
            // With the runtime go the connections, and with them their open entries into the ledger.
        });
        Ok(Self { address, ledger, faults, stop, thread: Some(thread) })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

async fn accept(listener: TcpListener, forward: Arc<Forward>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    loop {
        match listener.accept().await {
            Ok((stream, client)) => drop(tokio::spawn(serve(stream, client, Arc::clone(&forward)))),
            // Out of file descriptors, or a client that is gone already: neither ends the proxy.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}

async fn serve(stream: TcpStream, client: SocketAddr, forward: Arc<Forward>) {
    stream.set_nodelay(true).ok();
    let wire = Arc::new(Wire::new(forward.ledger().clone()));
    let io = TokioIo::new(Counted::new(stream, Arc::clone(&wire)));
    let service = service_fn(move |request| {
        let (forward, wire) = (Arc::clone(&forward), Arc::clone(&wire));
        async move { forward.serve(request, client.ip(), wire).await }
    });
    // How a connection ended is in the ledger, request by request.
    http1::Builder::new().serve_connection(io, service).await.ok();
}
