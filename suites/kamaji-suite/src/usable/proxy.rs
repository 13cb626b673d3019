//! The operator's way to its tenants. It dials `NAME.NAMESPACE.svc`, which is an address in its management cluster and
//! nowhere else, so it is given a proxy that knows where each tenant's apiserver listens.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use harness::Error;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::tenant::{PORT, Tenant};

/// How long a tenant without an apiserver is waited for, where it is: longer than the operator's own limit of 10 s.
const HELD: Duration = Duration::from_secs(30);
/// How often it is tried meanwhile.
const TRIED_EVERY: Duration = Duration::from_millis(100);
/// Lines of a request that are read.
const LINES: usize = 32;

/// A running proxy (CONNECT of RFC 9110); it ends when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    addresses: HashMap<String, Ipv4Addr>,
    state: watch::Sender<State>,
    asked: AtomicU64,
    unanswered: AtomicU64,
}

/// What becomes of a connection to a tenant that does not take it.
#[derive(Debug, Default)]
struct State {
    /// It is refused at once.
    refuses: bool,
    /// Tenants whose apiservers have been started: only these are tried, because hundreds of connections wait.
    started: HashSet<String>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Proxy {
    /// Starts on loopback. Tenants without an apiserver are waited for, as for a Service whose packets nobody answers.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(tenants: &[Tenant]) -> Result<Self, Error> {
        let failed = |error: std::io::Error| Error::Environment(format!("cannot listen on loopback: {error}"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let url = format!("http://{}", listener.local_addr().map_err(failed)?);
        let addresses = tenants.iter().map(|tenant| (tenant.name.clone(), tenant.address)).collect();
        let (asked, unanswered) = (AtomicU64::new(0), AtomicU64::new(0));
        let shared = Arc::new(Shared { addresses, state: watch::Sender::default(), asked, unanswered });
        let serving = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let shared = Arc::clone(&shared);
                    tokio::spawn(async move { shared.serve(stream).await.ok() });
                }
            }
        });
        Ok(Self { url, shared, serving })
    }

    /// Its address, for `HTTPS_PROXY`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether tenants without an apiserver are refused at once, as a Service without endpoints is.
    pub fn refuse(&self, refuse: bool) {
        self.shared.state.send_modify(|state| state.refuses = refuse);
    }

    /// The apiserver of a tenant has been started.
    pub fn started(&self, tenant: &str) {
        self.shared.state.send_modify(|state| {
            state.started.insert(tenant.to_owned());
        });
    }

    /// Connections that the operator asked for, and those of them that no tenant took.
    pub fn asked(&self) -> (u64, u64) {
        (self.shared.asked.load(Ordering::Relaxed), self.shared.unanswered.load(Ordering::Relaxed))
    }
}

impl Shared {
    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut request = String::new();
        stream.read_line(&mut request).await?;
        for _ in 0..LINES {
            let mut header = String::new();
            if stream.read_line(&mut header).await? == 0 || header == "\r\n" {
                break;
            }
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        let Some(mut tenant) = self.connect(host(&request).unwrap_or_default(), &mut stream).await else {
            self.unanswered.fetch_add(1, Ordering::Relaxed);
            return stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
        };
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        copy_bidirectional(&mut stream, &mut tenant).await.map(drop)
    }

    /// A connection to the tenant's apiserver; none when it has none for too long, or the operator gives up.
    async fn connect(&self, tenant: &str, operator: &mut BufReader<TcpStream>) -> Option<TcpStream> {
        let address = *self.addresses.get(tenant)?;
        let until = tokio::time::Instant::now() + HELD;
        let mut changed = self.state.subscribe();
        loop {
            let (refuses, started) = {
                let state = changed.borrow_and_update();
                (state.refuses, state.started.contains(tenant))
            };
            if started && let Ok(stream) = TcpStream::connect((address, PORT)).await {
                return Some(stream);
            }
            if refuses || tokio::time::Instant::now() > until {
                return None;
            }
            let next = if started { tokio::time::Instant::now() + TRIED_EVERY } else { until + TRIED_EVERY };
            tokio::select! {
                // The operator sends nothing before it is answered: whatever comes is its end.
                _ = operator.fill_buf() => return None,
                _ = changed.changed() => {}
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }
}

/// The first label of the host in `CONNECT NAME.NAMESPACE.svc:PORT HTTP/1.1`.
fn host(request: &str) -> Option<&str> {
    let authority = request.strip_prefix("CONNECT ")?.split(' ').next()?;
    let (host, _) = authority.rsplit_once(':')?;
    let mut labels = host.split('.');
    let name = labels.next().filter(|name| !name.is_empty())?;
    (labels.nth(1) == Some("svc")).then_some(name)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::tenant::tenants;

    #[test]
    fn only_services_are_known() {
        assert_eq!(host("CONNECT a-1.ns.svc:6443 HTTP/1.1\r\n"), Some("a-1"));
        assert_eq!(host("CONNECT example.com:443 HTTP/1.1\r\n"), None);
        assert_eq!(host("GET / HTTP/1.1\r\n"), None);
    }

    async fn ask(proxy: &Proxy, name: &str) -> TcpStream {
        let mut stream = TcpStream::connect(proxy.url().trim_start_matches("http://")).await.unwrap();
        stream.write_all(format!("CONNECT {name}.ns.svc:6443 HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
        stream
    }

    #[tokio::test]
    async fn a_tenant_without_an_apiserver_is_refused_or_waited_for() {
        let all = tenants(["a".to_owned()], 1, 251);
        let proxy = Proxy::start(&all).await.unwrap();
        proxy.refuse(true);
        let mut answer = String::new();
        ask(&proxy, "a").await.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
        assert_eq!(proxy.asked(), (1, 1));

        proxy.refuse(false);
        proxy.started("a");
        let mut held = ask(&proxy, "a").await;
        let listener = TcpListener::bind((all[0].address, PORT)).await.unwrap();
        let (mut tenant, _) = listener.accept().await.unwrap();
        tenant.write_all(b"hello").await.unwrap();
        drop(tenant);
        answer.clear();
        held.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
        assert_eq!(proxy.asked(), (2, 1));
    }
}
