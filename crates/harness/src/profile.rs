//! CPU profiles of a component, taken one after the other from the first phase of a trial to its end.
//!
//! Go's profiler says nothing before its time is over, so that one profile of the whole trial would have to know how long
//! that is. Many short ones need not: `go tool pprof` takes several files as one profile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cluster::{Component, Descriptor, quiet_config};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// How long a profile of a pprof endpoint is, in seconds.
const SECONDS: u32 = 5;
/// How long a profile of a gops agent is (`handle` in its `agent/agent.go`).
const GOPS_SECONDS: u32 = 30;
/// What a gops agent is asked for a CPU profile by (its `signal/signal.go`).
const GOPS_CPU_PROFILE: u8 = 0x6;
/// When a component that could not be profiled is asked again: it may have died with its node, and come back.
const AGAIN: Duration = Duration::from_millis(500);
/// How much longer than it should take is waited for the last one.
const GRACE: Duration = Duration::from_secs(10);

/// Profiles that are wanted of a trial.
#[derive(Debug)]
pub(crate) struct Profiles {
    /// The component.
    pub(crate) component: String,
    gops: Option<SocketAddr>,
    taking: Option<Taking>,
}

#[derive(Debug)]
struct Taking {
    stop: Arc<AtomicBool>,
    longest: Duration,
    task: JoinHandle<Taken>,
}

/// What was taken, and why there is no more.
type Taken = (Vec<Vec<u8>>, Option<String>);

/// What profiles are asked for.
enum Source {
    Pprof(Client),
    Gops(SocketAddr),
}

impl Profiles {
    /// Those of `component`, none of them taken yet.
    pub(crate) fn of(component: String) -> Self {
        Self { component, gops: None, taking: None }
    }

    /// Whether a process called `name` is the component, or the first of several that are numbered.
    pub(crate) fn wants(&self, name: &str) -> bool {
        let number = name.strip_prefix(self.component.as_str()).map(|rest| rest.trim_start_matches('-'));
        matches!(number, Some("" | "0"))
    }

    /// A process that joined the trial has a gops agent there.
    pub(crate) fn offer(&mut self, name: &str, gops: SocketAddr) {
        if self.wants(name) {
            self.gops = Some(gops);
        }
    }

    /// Begins to take them, where they are not being taken.
    pub(crate) fn begin(&mut self, descriptor: &Descriptor) {
        if self.taking.is_some() {
            return;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let seconds = if self.gops.is_some() { GOPS_SECONDS } else { SECONDS };
        let longest = Duration::from_secs(u64::from(seconds)) + GRACE;
        let (gops, descriptor, name) = (self.gops, descriptor.clone(), self.component.clone());
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            match Source::find(gops, &descriptor, &name).await {
                Ok(source) => source.take_until(&stopped).await,
                Err(why) => (Vec::new(), Some(why)),
            }
        });
        self.taking = Some(Taking { stop, longest, task });
    }

    /// The profiles, gzipped protobuf in the order in which they were taken, and why there are no more where something went
    /// wrong.
    pub(crate) async fn finish(self) -> Taken {
        let Some(Taking { stop, longest, task }) = self.taking else {
            return (Vec::new(), Some("no phase began".to_owned()));
        };
        stop.store(true, Ordering::Relaxed);
        match tokio::time::timeout(longest, task).await {
            Ok(Ok(taken)) => taken,
            Ok(Err(_)) | Err(_) => (Vec::new(), Some("it took too long".to_owned())),
        }
    }
}

impl Source {
    async fn find(gops: Option<SocketAddr>, descriptor: &Descriptor, name: &str) -> Result<Self, String> {
        match (gops, descriptor.component(name)) {
            (Some(address), _) => Ok(Self::Gops(address)),
            (None, Some(component)) => pprof(descriptor, component).await.map(Self::Pprof),
            (None, None) => Err("no process of that name serves one".to_owned()),
        }
    }

    async fn take_until(self, stop: &AtomicBool) -> Taken {
        let (mut taken, mut failed) = (Vec::new(), None);
        while !stop.load(Ordering::Relaxed) {
            let one = match &self {
                Self::Pprof(client) => from_pprof(client).await,
                Self::Gops(address) => from_gops(*address).await,
            };
            match one {
                Ok(profile) => {
                    taken.push(profile);
                    failed = None;
                }
                Err(why) => {
                    failed = Some(why);
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
        (taken, failed)
    }
}

async fn pprof(descriptor: &Descriptor, component: &Component) -> Result<Client, String> {
    let metrics = component.metrics_url.as_deref().unwrap_or_default();
    let base = metrics.strip_suffix("/metrics").ok_or("it serves no metrics, so where it listens is not known")?;
    let mut config = quiet_config(&descriptor.kubeconfig).await.map_err(|error| error.to_string())?;
    // Components of one cluster trust the same client certificate; each has a serving certificate of its own.
    config.cluster_url = base.parse().map_err(|error| format!("{base}: {error}"))?;
    config.accept_invalid_certs = true;
    Client::try_from(config).map_err(|error| error.to_string())
}

async fn from_pprof(client: &Client) -> Result<Vec<u8>, String> {
    let request = http::Request::get(format!("/debug/pprof/profile?seconds={SECONDS}"));
    let request = request.body(Body::empty()).map_err(|error| error.to_string())?;
    let response = client.send(request).await.map_err(|error| error.to_string())?;
    match response.status().is_success() {
        true => Ok(response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes().to_vec()),
        false => Err(format!("it answers {}", response.status())),
    }
}

/// A gops agent is asked by one byte, answers, and closes.
async fn from_gops(address: SocketAddr) -> Result<Vec<u8>, String> {
    let mut profile = Vec::new();
    let mut asked = async || {
        let mut agent = TcpStream::connect(address).await?;
        agent.write_all(&[GOPS_CPU_PROFILE]).await?;
        agent.read_to_end(&mut profile).await
    };
    match asked().await {
        Ok(0) => Err("its gops agent closed the connection".to_owned()),
        Ok(_) => Ok(profile),
        Err(error) => Err(format!("its gops agent at {address}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tokio::net::TcpListener;

    use super::*;

    #[rstest]
    #[case::itself("kamaji", "kamaji", true)]
    #[case::the_first("spiderpool-agent", "spiderpool-agent-0", true)]
    #[case::the_second("spiderpool-agent", "spiderpool-agent-1", false)]
    #[case::another("spiderpool-agent", "spiderpool-controller", false)]
    fn a_process_is_known_by_its_program(#[case] component: &str, #[case] name: &str, #[case] wanted: bool) {
        assert_eq!(Profiles::of(component.to_owned()).wants(name), wanted);
    }

    /// A cluster of no components.
    fn cluster() -> Descriptor {
        let descriptor = serde_json::json!({
            "schema": 1, "name": "default", "provider": "kwok", "key": "", "created_at": "", "boot_id": "",
            "apiserver": "https://127.0.0.1:1", "kubeconfig": "/k", "versions": {}, "settings": null, "programs": [],
            "components": [], "capabilities": [],
        });
        serde_json::from_value(descriptor).unwrap()
    }

    /// An agent that answers each request with the byte that it was asked by.
    async fn agent() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut asked, _)) = listener.accept().await {
                let byte = asked.read_u8().await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
                asked.write_all(&[byte]).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn profiles_of_a_process_that_joined_follow_one_another_until_the_trial_ends() {
        let mut profiles = Profiles::of("spiderpool-agent".to_owned());
        profiles.offer("spiderpool-agent-0", agent().await);
        profiles.begin(&cluster());
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (taken, why) = profiles.finish().await;
        assert!(taken.len() >= 2 && taken.iter().all(|profile| *profile == [GOPS_CPU_PROFILE]), "{taken:?} {why:?}");
        assert_eq!(why, None);
    }

    #[tokio::test]
    async fn a_process_that_serves_none_is_told() {
        let mut profiles = Profiles::of("kamaji".to_owned());
        profiles.begin(&cluster());
        assert_eq!(profiles.finish().await, (Vec::new(), Some("no process of that name serves one".to_owned())));
    }
}
