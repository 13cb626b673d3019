//! An agent: how it is started, and what its socket is asked (`api/v1/agent/openapi.yaml`). The CNI program asks for its
//! health before each request (`cmd/spiderpool/cmd`), and so do we.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use harness::{Error, Launch, Service, Supervisor, free_port};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use super::Settings;
use crate::plugin::{Failure, INTERFACE, Sandbox};

/// `DefaultCNIClientTimeout` (`pkg/constant/timeout.go`).
const PATIENCE: Duration = Duration::from_secs(100);
/// Characters of an answer that are quoted.
const QUOTED: usize = 300;

/// A running agent.
#[derive(Debug)]
pub(super) struct Agent {
    /// Its process.
    pub(super) service: Service,
    /// The port of its metrics.
    pub(super) metrics: u16,
}

#[derive(Deserialize)]
struct Added {
    ips: Vec<Ip>,
}

#[derive(Deserialize)]
struct Ip {
    address: String,
}

/// Starts the agent of the `n`th node.
pub(super) fn start(
    settings: &Settings,
    n: usize,
    node: &str,
    config: &Path,
    supervisor: &Supervisor,
) -> Result<Agent, Error> {
    let name = format!("spiderpool-agent-{n}");
    let metrics = free_port()?;
    let env = [
        ("KUBECONFIG", settings.kubeconfig.display().to_string()),
        ("SPIDERPOOL_POD_NAMESPACE", settings.namespace.clone()),
        ("SPIDERPOOL_POD_NAME", name.clone()),
        ("SPIDERPOOL_NODE_NAME", node.to_owned()),
        ("SPIDERPOOL_HEALTH_PORT", free_port()?.to_string()),
        ("SPIDERPOOL_METRIC_HTTP_PORT", metrics.to_string()),
        ("SPIDERPOOL_GOPS_LISTEN_PORT", settings.gops_of(&name)),
        ("SPIDERPOOL_ENABLED_METRIC", "true".to_owned()),
        // Without one, no pool fits the first interface (`selectByPod` in `pkg/ipam/allocate.go`).
        ("MULTUS_CLUSTER_NETWORK", "kube-system/default".to_owned()),
    ];
    let service = supervisor.launch(&Launch {
        name,
        program: settings.agent.used.path.clone(),
        args: ["daemon", "--config-path"]
            .map(str::to_owned)
            .into_iter()
            .chain([config.display().to_string()])
            .collect(),
        env: env.map(|(name, value)| (name.to_owned(), value)).into(),
        log: settings.directory.join(format!("agent-{n}.log")),
    })?;
    Ok(Agent { service, metrics })
}

/// Whether an agent answers.
pub(super) async fn is_healthy(socket: &Path) -> bool {
    ask(socket, Method::GET, "/v1/ipam/healthy", &Value::Null).await.is_ok()
}

/// Asks for the addresses of a sandbox.
pub(super) async fn add(socket: &Path, sandbox: &Sandbox) -> Result<Vec<IpAddr>, Failure> {
    health(socket).await?;
    let body = ask(socket, Method::POST, "/v1/ipam/ip", &body(sandbox)).await?;
    addresses(&body)
}

/// Asks for their release. What the agent refuses then, the CNI program logs and hides; somebody else has to collect.
pub(super) async fn del(socket: &Path, sandbox: &Sandbox) -> Result<Option<Failure>, Failure> {
    health(socket).await?;
    Ok(ask(socket, Method::DELETE, "/v1/ipam/ip", &body(sandbox)).await.err())
}

async fn health(socket: &Path) -> Result<(), Failure> {
    ask(socket, Method::GET, "/v1/ipam/healthy", &Value::Null).await.map(drop)
}

fn body(sandbox: &Sandbox) -> Value {
    json!({
        "containerID": sandbox.container,
        "ifName": INTERFACE,
        // The agent does not open it unless pools are matched to the master interface.
        "netNamespace": format!("/var/run/netns/{}", sandbox.container),
        "podNamespace": sandbox.namespace,
        "podName": sandbox.pod,
        "podUID": sandbox.uid,
    })
}

fn addresses(body: &[u8]) -> Result<Vec<IpAddr>, Failure> {
    let garbage = || Failure::Garbage(quote(body));
    let added: Added = serde_json::from_slice(body).map_err(|_| garbage())?;
    let address = |ip: &Ip| ip.address.split('/').next()?.parse().ok();
    added.ips.iter().map(address).collect::<Option<_>>().ok_or_else(garbage)
}

/// One request on a connection of its own, as every run of the CNI program has one.
async fn ask(socket: &Path, method: Method, path: &str, body: &Value) -> Result<Bytes, Failure> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::HOST, "localhost")
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| Failure::Unreachable(error.to_string()))?;
    let unreachable = |error: String| Failure::Unreachable(format!("{}: {error}", file_name(socket)));
    let answer = async {
        let stream = UnixStream::connect(socket).await.map_err(|error| unreachable(error.to_string()))?;
        let (status, body) = exchange(stream, request).await.map_err(|error| unreachable(error.to_string()))?;
        match status.is_success() {
            true => Ok(body),
            false => Err(Failure::Refused(format!("{}: {}", status.as_u16(), quote(&body)))),
        }
    };
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or(Err(Failure::Silent(PATIENCE.as_secs())))
}

/// One request on a connection of its own, with its whole answer.
pub(super) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), hyper::Error> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    driver.abort();
    Ok((status, body))
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn quote(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().trim_matches('"').chars().take(QUOTED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_an_answer_are_read_without_their_prefixes() {
        let answer = br#"{"ips":[{"address":"10.60.0.10/16","ipPool":"p4","nic":"eth0","version":4},{"address":"fd00:60::a/112","nic":"eth0","version":6}]}"#;
        let wanted: Vec<IpAddr> = vec!["10.60.0.10".parse().unwrap(), "fd00:60::a".parse().unwrap()];
        assert_eq!(addresses(answer), Ok(wanted));
        assert_eq!(addresses(b"oops"), Err(Failure::Garbage("oops".to_owned())));
    }

    #[tokio::test]
    async fn an_agent_that_is_not_there_is_named() {
        let failure = ask(Path::new("/nowhere/agent-0.sock"), Method::GET, "/", &Value::Null).await.unwrap_err();
        assert!(failure.to_string().starts_with("agent-0.sock: "), "{failure}");
    }
}
