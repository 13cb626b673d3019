//! The operator: how it is started, and what its log says.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cluster::{Component, Shell};
use harness::{Error, Launch, Service, Supervisor, free_port, until_ready};
use rustix::process::Signal;

use super::keys::Keys;
use super::metrics::{Figures, answers};
use super::webhooks::PORT;

/// Bytes at the end of its log in which its complaints are looked for.
const TAIL: u64 = 1 << 20;
/// Characters of a complaint that are quoted.
const QUOTED: usize = 300;
/// How long it has to do nothing new to be at rest.
const REST: Duration = Duration::from_secs(1);
/// What it says of a tenant that it has nothing more to do for.
const RECONCILED: &str = " has been reconciled";

/// How long it may take to tell of its goroutines.
const QUITS_WITHIN: Duration = Duration::from_secs(10);
/// What Go's runtime begins that with.
const QUIT: &[u8] = b"SIGQUIT: quit";

/// What the operator is started with.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) program: PathBuf,
    pub(super) kubeconfig: PathBuf,
    /// The namespace that it believes to run in.
    pub(super) namespace: String,
    pub(super) directory: PathBuf,
    /// The DataStore of tenants that name none.
    pub(super) datastore: String,
    pub(super) reconciles: u32,
    /// Its way to whatever is not on loopback: its tenants' Services.
    pub(super) proxy: String,
}

/// A running operator.
#[derive(Debug)]
pub struct Operator {
    settings: Settings,
    service: Service,
    metrics: String,
    apiserver: String,
    starts: u32,
}

/// The tenants that the operator says to have reconciled, as its log grows.
#[derive(Debug)]
pub struct Reconciled {
    log: PathBuf,
    read: u64,
    partial: String,
}

impl Operator {
    pub(super) async fn start(settings: Settings, keys: &Keys, supervisor: &Supervisor) -> Result<Self, Error> {
        certificates(&settings.directory, keys)?;
        let apiserver = host_of(&settings.kubeconfig)?;
        let (service, metrics) = launch(&settings, 0, supervisor).await?;
        Ok(Self { settings, service, metrics, apiserver, starts: 1 })
    }

    /// Starts another one, which is ready when this returns.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_again(&mut self, supervisor: &Supervisor) -> Result<(), Error> {
        (self.service, self.metrics) = launch(&self.settings, self.starts, supervisor).await?;
        self.starts += 1;
        Ok(())
    }

    /// Ends it as a power failure does.
    pub fn kill(&mut self) {
        self.service.kill();
    }

    /// Its process.
    pub fn component(&self) -> &Component {
        self.service.component()
    }

    /// Where it serves its metrics.
    pub fn metrics(&self) -> &str {
        &self.metrics
    }

    /// What it has counted; none when it does not answer.
    pub async fn figures(&self) -> Option<Figures> {
        Figures::read(self.metrics.clone(), self.apiserver.clone()).await
    }

    /// The same once it has come to rest, with as many goroutines in one look as in the one before; or as it is after
    /// `patience`.
    pub async fn figures_at_rest(&self, patience: Duration) -> Option<Figures> {
        let began = Instant::now();
        let mut before = self.figures().await?;
        loop {
            tokio::time::sleep(REST).await;
            let now = self.figures().await?;
            if now.get("goroutines") == before.get("goroutines") || began.elapsed() > patience {
                return Some(now);
            }
            before = now;
        }
    }

    /// The error that it told of most often in the end of its log, in its own words.
    pub fn complaint(&self) -> Option<String> {
        let mut file = std::fs::File::open(self.service.log()).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(std::io::SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).ok()?;
        complaint(&String::from_utf8_lossy(&text))
    }

    /// Ends it by a signal upon which Go's runtime tells what every goroutine does and where it comes from; returns that.
    pub fn goroutines(&self) -> Option<Vec<u8>> {
        let process = self.component().process;
        process.signal(Signal::QUIT);
        process.gone_within(QUITS_WITHIN);
        let log = std::fs::read(self.service.log()).ok()?;
        let told = log.windows(QUIT.len()).rposition(|window| window == QUIT)?;
        Some(log[told..].to_vec())
    }

    /// Follows its log from its start.
    pub fn reconciled(&self) -> Reconciled {
        Reconciled { log: self.service.log().to_owned(), read: 0, partial: String::new() }
    }
}

impl Reconciled {
    /// The tenants that were named since the last look.
    pub fn next(&mut self) -> Vec<String> {
        let grown = || {
            let mut file = std::fs::File::open(&self.log)?;
            file.seek(std::io::SeekFrom::Start(self.read))?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            Ok::<_, std::io::Error>(text)
        };
        let text = grown().unwrap_or_default();
        self.read += text.len() as u64;
        self.partial.push_str(&String::from_utf8_lossy(&text));
        let whole = self.partial.rfind('\n').map_or(0, |end| end + 1);
        let lines: String = self.partial.drain(..whole).collect();
        lines.lines().filter_map(named).map(str::to_owned).collect()
    }
}

/// The tenant that a line of the log says to be reconciled: zap's console format has tabs between its fields.
fn named(line: &str) -> Option<&str> {
    line.split('\t').find_map(|field| field.strip_suffix(RECONCILED))
}

/// The most frequent error of a log in zap's console format, whose last field is JSON.
fn complaint(log: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Context {
        error: String,
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in log.lines().filter(|line| line.contains("\tERROR\t")) {
        let context = line.rsplit('\t').next().and_then(|context| serde_json::from_str::<Context>(context).ok());
        if let Some(Context { error }) = context {
            *counts.entry(error).or_default() += 1;
        }
    }
    let (error, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    Some(format!("{count} x {}", error.chars().take(QUOTED).collect::<String>()))
}

async fn launch(settings: &Settings, nth: u32, supervisor: &Supervisor) -> Result<(Service, String), Error> {
    let path = |name: &str| settings.directory.join(name).display().to_string();
    let loopback = |port: u16| format!("127.0.0.1:{port}");
    let (metrics, health) = (loopback(free_port()?), loopback(free_port()?));
    let flags = [
        ("datastore", settings.datastore.clone()),
        ("disable-telemetry", "true".to_owned()),
        ("leader-elect", "false".to_owned()),
        ("metrics-bind-address", metrics.clone()),
        ("health-probe-bind-address", health.clone()),
        ("max-concurrent-tcp-reconciles", settings.reconciles.to_string()),
        ("tmp-directory", path("tmp/kamaji")),
        ("webhook-ca-path", path(&format!("{CERTIFICATES}/ca.crt"))),
        ("migrate-image", "none".to_owned()),
    ];
    let flags = flags.iter().map(|(flag, value)| format!("--{flag}={value}"));
    let env = [
        ("KUBECONFIG", settings.kubeconfig.display().to_string()),
        ("POD_NAMESPACE", settings.namespace.clone()),
        ("SERVICE_ACCOUNT", "default".to_owned()),
        ("TMPDIR", path("tmp")),
        ("HTTPS_PROXY", settings.proxy.clone()),
    ];
    let service = supervisor.launch(&Launch {
        name: "kamaji".to_owned(),
        program: settings.program.clone(),
        args: std::iter::once("manager".to_owned()).chain(flags).collect(),
        env: env.map(|(name, value)| (name.to_owned(), value)).into(),
        log: settings.directory.join(format!("kamaji-{nth}.log")),
    })?;
    let ready = format!("http://{health}/readyz");
    let listens =
        || async { answers(ready.clone()).await && tokio::net::TcpStream::connect(("127.0.0.1", PORT)).await.is_ok() };
    until_ready("kamaji", service.log(), listens).await?;
    Ok((service, format!("http://{metrics}/metrics")))
}

/// Where the operator looks for its webhooks' certificates, below the directory for temporary files.
const CERTIFICATES: &str = "tmp/k8s-webhook-server/serving-certs";

fn certificates(directory: &Path, keys: &Keys) -> Result<(), Error> {
    let shell = Shell::real();
    let directory = directory.join(CERTIFICATES);
    shell.make_dir(&directory)?;
    for (file, key) in [("ca.crt", "etcd/ca.crt"), ("tls.crt", "etcd/server.crt"), ("tls.key", "etcd/server.key")] {
        shell.write(&directory.join(file), &keys.content(key)?.0)?;
    }
    Ok(())
}

/// The apiserver's host and port, by which the operator counts its requests.
fn host_of(kubeconfig: &Path) -> Result<String, Error> {
    let bad = |why: String| Error::Environment(format!("{}: {why}", kubeconfig.display()));
    let file = kube::config::Kubeconfig::read_from(kubeconfig).map_err(|error| bad(error.to_string()))?;
    let server = file.clusters.into_iter().find_map(|named| named.cluster?.server);
    let server = server.ok_or_else(|| bad("it names no server".to_owned()))?;
    Ok(server.split("://").last().unwrap_or_default().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_most_frequent_error_is_quoted() {
        let line = |error: &str| {
            format!("t\tERROR\tReconciler error\t{{\"controller\": \"x\", \"error\": \"{error}\"}}\nstack\n")
        };
        let log = [line("one"), line("two"), line("two"), "t\tINFO\tfine\t{\"error\": \"no\"}\n".to_owned()].concat();
        assert_eq!(complaint(&log).as_deref(), Some("2 x two"));
        assert_eq!(complaint("nothing\n"), None);
    }

    #[test]
    fn tenants_are_read_from_the_log_as_it_grows_and_from_whole_lines_only() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("kamaji.log");
        let mut file = std::fs::File::create(&log).unwrap();
        let mut reconciled = Reconciled { log, read: 0, partial: String::new() };
        file.write_all(b"t\tINFO\ta-1 has been reconciled\t{\"controller\": \"x\"}\nt\tINFO\tb has been").unwrap();
        assert_eq!(reconciled.next(), ["a-1"]);
        file.write_all(b" reconciled\t{}\nt\tINFO\tservice has been configured\t{}\n").unwrap();
        assert_eq!(reconciled.next(), ["b"]);
        assert_eq!(reconciled.next(), Vec::<String>::new());
    }
}
