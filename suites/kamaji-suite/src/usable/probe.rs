//! "All the Tenant Control Planes were … able to handle any request": asked of a tenant as its administrator.

use std::net::Ipv4Addr;
use std::path::Path;

use cluster::quiet_config;
use harness::Error;
use kube::Client;
use serde_json::json;
use tokio::net::TcpStream;

use crate::tenant::PORT;

/// The namespace that the administrator makes.
const NAMESPACE: &str = "kubedyno-usable";

/// What kubeadm's phases and the add-ons bring.
const OBJECTS: [&str; 5] = [
    "/api/v1/namespaces/kube-system/configmaps/kubeadm-config",
    "/api/v1/namespaces/kube-public/configmaps/cluster-info",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/kubeadm:node-autoapprove-bootstrap",
    "/apis/apps/v1/namespaces/kube-system/deployments/coredns",
    "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy",
];

/// How far a tenant has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It does not say that it is ready.
    Nothing,
    /// Its `/readyz` says ok.
    Answers,
    /// It can handle any request.
    Usable,
}

/// Asks one tenant, until everything was there once. What was seen is not asked for again.
pub struct Probe {
    client: Client,
    address: Ipv4Addr,
    answers: bool,
    may_create: bool,
    objects: usize,
    /// Why it is not usable yet.
    pub lacks: String,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Probe({})", self.lacks)
    }
}

impl Probe {
    /// A probe with the kubeconfig of the tenant's administrator.
    ///
    /// # Errors
    /// When it cannot be read or used.
    pub async fn new(kubeconfig: &Path, address: Ipv4Addr) -> Result<Self, Error> {
        let config = quiet_config(kubeconfig).await?;
        let client = Client::try_from(config).map_err(Error::api("cannot set up TLS"))?;
        Ok(Self { client, address, answers: false, may_create: false, objects: 0, lacks: "nobody listens".to_owned() })
    }

    /// Asks for what was not there yet, in order.
    pub async fn look(&mut self) -> Shown {
        // Whether somebody listens at all is asked first: it costs nothing.
        if !self.answers && TcpStream::connect((self.address, PORT)).await.is_ok() {
            match self.get("/readyz").await {
                Ok(()) => self.answers = true,
                Err(why) => self.lacks = format!("/readyz: {why}"),
            }
        }
        if !self.answers {
            return Shown::Nothing;
        }
        if !self.may_create {
            match self.create().await {
                Ok(()) => self.may_create = true,
                Err(why) => self.lacks = format!("its administrator cannot create a namespace: {why}"),
            }
        }
        while self.may_create && self.objects < OBJECTS.len() {
            match self.get(OBJECTS[self.objects]).await {
                Ok(()) => self.objects += 1,
                Err(why) => {
                    self.lacks = why;
                    break;
                }
            }
        }
        if self.objects == OBJECTS.len() { Shown::Usable } else { Shown::Answers }
    }

    async fn get(&self, path: &str) -> Result<(), String> {
        let request = http::Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
        self.client.request_text(request).await.map(drop).map_err(|error| said(&error))
    }

    async fn create(&self) -> Result<(), String> {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}).to_string();
        let request = http::Request::post("/api/v1/namespaces").header(http::header::CONTENT_TYPE, "application/json");
        let request = request.body(namespace.into_bytes()).map_err(|error| error.to_string())?;
        self.client.request_text(request).await.map(drop).map_err(|error| said(&error))
    }
}

fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}
