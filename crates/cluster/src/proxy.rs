//! A way to an apiserver that can be slow or cut: a small TCP proxy on loopback. TLS passes through as it is.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use kube::config::Kubeconfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::descriptor::Descriptor;
use crate::error::{Error, Result};
use crate::shell::Shell;

/// Bytes that are read at once.
const PIECE: usize = 16 << 10;
/// Pieces under way in one direction of a connection: 16 MiB a second at a delay of 250 ms and more below.
const UNDER_WAY: usize = 256;

/// What the network does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Weather {
    /// Every byte comes so much later, in either direction.
    delay: Duration,
    /// Open connections break, and new ones are closed at once.
    cut: bool,
}

/// A running proxy; its connections end when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    accepting: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

impl Proxy {
    /// A proxy on a free port of loopback, in front of `target`, a host and port.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn start(target: &str) -> Result<Self> {
        let failed = |error: std::io::Error| Error::Failed(format!("cannot listen on loopback: {error}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (weather, seen) = watch::channel(Weather::default());
        let accepting = tokio::spawn(accept(listener, target.to_owned(), seen));
        Ok(Self { address, weather, accepting })
    }

    /// A proxy in front of a cluster's apiserver, with a kubeconfig at `kubeconfig` that leads through it.
    ///
    /// # Errors
    /// When no port can be opened, or the cluster's kubeconfig cannot be read or the new one written.
    pub async fn of_apiserver(descriptor: &Descriptor, kubeconfig: &Path) -> Result<Self> {
        let target = descriptor.apiserver.trim_start_matches("https://");
        let proxy = Self::start(target).await?;
        let bad = |error: String| Error::Failed(format!("cannot use {}: {error}", descriptor.kubeconfig.display()));
        let mut config = Kubeconfig::read_from(&descriptor.kubeconfig).map_err(|error| bad(error.to_string()))?;
        for cluster in config.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
            cluster.server = Some(format!("https://{}", proxy.address));
        }
        // JSON is YAML.
        let text = serde_json::to_vec(&config).map_err(|error| bad(error.to_string()))?;
        Shell::real().write(kubeconfig, &text)?;
        Ok(proxy)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on every byte comes so much later, in either direction: a round trip takes twice as much longer.
    pub fn delay(&self, delay: Duration) {
        self.weather.send_modify(|weather| weather.delay = delay);
    }

    /// Breaks every connection and lets none through.
    pub fn cut(&self) {
        self.weather.send_modify(|weather| weather.cut = true);
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.weather.send_modify(|weather| weather.cut = false);
    }
}

async fn accept(listener: TcpListener, target: String, weather: watch::Receiver<Weather>) {
    while let Ok((client, _)) = listener.accept().await {
        if !weather.borrow().cut {
            tokio::spawn(connection(client, target.clone(), weather.clone()));
        }
    }
}

/// Carries one connection until a side ends it or the network is cut.
async fn connection(client: TcpStream, target: String, weather: watch::Receiver<Weather>) {
    let Ok(server) = TcpStream::connect(&target).await else { return };
    // What is delayed on purpose must not be delayed by the kernel as well.
    let quick = client.set_nodelay(true).is_ok() && server.set_nodelay(true).is_ok();
    let mut cut = weather.clone();
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let both = async {
        tokio::join!(carry(from_client, to_server, weather.clone()), carry(from_server, to_client, weather.clone()))
    };
    if quick {
        tokio::select! {
            _ = both => {}
            _ = cut.wait_for(|weather| weather.cut) => {}
        }
    }
}

/// One direction: a delay line, so that a delay costs no throughput.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, weather: watch::Receiver<Weather>) {
    let (pieces, mut under_way) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let read = async move {
        let mut buffer = vec![0; PIECE];
        while let Ok(n @ 1..) = from.read(&mut buffer).await {
            let due = Instant::now() + weather.borrow().delay;
            if pieces.send((due, buffer[..n].to_vec())).await.is_err() {
                break;
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = under_way.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        to.shutdown().await.ok();
    };
    tokio::join!(read, write);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await.ok();
                });
            }
        });
        address
    }

    async fn round_trip(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<Duration> {
        let started = Instant::now();
        let mut answer = vec![0; bytes.len()];
        stream.write_all(bytes).await?;
        stream.read_exact(&mut answer).await?;
        assert_eq!(answer, bytes);
        Ok(started.elapsed())
    }

    #[tokio::test]
    async fn bytes_pass_later_when_it_is_slow_and_not_at_all_when_it_is_cut() {
        let proxy = Proxy::start(&echo().await.to_string()).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        round_trip(&mut stream, &[7; 100_000]).await.unwrap();
        proxy.delay(Duration::from_millis(100));
        let slow = round_trip(&mut stream, b"slow").await.unwrap();
        assert!(slow >= Duration::from_millis(200), "there and back took {slow:?}");
        proxy.cut();
        assert!(round_trip(&mut stream, b"cut").await.is_err());
        let refused = async { round_trip(&mut TcpStream::connect(proxy.address()).await?, b"new").await };
        assert!(refused.await.is_err());
        proxy.delay(Duration::ZERO);
        proxy.mend();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        round_trip(&mut stream, b"mended").await.unwrap();
    }

    #[tokio::test]
    async fn a_target_that_is_not_there_ends_the_connection() {
        let proxy = Proxy::start("127.0.0.1:1").await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(round_trip(&mut stream, b"hello").await.is_err());
    }
}
