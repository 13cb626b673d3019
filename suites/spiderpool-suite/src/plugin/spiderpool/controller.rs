//! The controller: how it is started, and where its webhooks are.

use std::path::Path;
use std::sync::Arc;

use harness::{Error, Launch, Service, Supervisor, free_port, until_ready};

use super::Settings;
use super::certificate::Certificate;

/// Starts the controller and waits until its webhooks listen; returns their port.
pub(super) async fn start(
    settings: &Settings,
    config: &Path,
    certificate: &Certificate,
    supervisor: &Arc<Supervisor>,
) -> Result<(Service, u16), Error> {
    let webhooks = free_port()?;
    let env = [
        ("KUBECONFIG", settings.kubeconfig.display().to_string()),
        ("SPIDERPOOL_POD_NAMESPACE", settings.namespace.clone()),
        ("SPIDERPOOL_POD_NAME", "spiderpool-controller-0".to_owned()),
        ("SPIDERPOOL_HEALTH_PORT", free_port()?.to_string()),
        ("SPIDERPOOL_METRIC_HTTP_PORT", free_port()?.to_string()),
        ("SPIDERPOOL_WEBHOOK_PORT", webhooks.to_string()),
        ("SPIDERPOOL_GOPS_LISTEN_PORT", settings.gops_of("spiderpool-controller")),
        ("SPIDERPOOL_ENABLED_METRIC", "true".to_owned()),
    ];
    let path = |path: &Path| path.display().to_string();
    let args = [
        ["daemon".to_owned(), "--config-path".to_owned(), path(config)],
        ["--tls-server-cert".to_owned(), path(&certificate.certificate), "--tls-server-key".to_owned()],
    ];
    let launch = Launch {
        name: "spiderpool-controller".to_owned(),
        program: settings.controller.used.path.clone(),
        args: args.concat().into_iter().chain([path(&certificate.key)]).collect(),
        env: env.map(|(name, value)| (name.to_owned(), value)).into(),
        log: settings.directory.join("controller.log"),
    };
    let service = supervisor.launch(&launch)?;
    let listens = || async move { tokio::net::TcpStream::connect(("127.0.0.1", webhooks)).await.is_ok() };
    until_ready("spiderpool-controller", service.log(), listens).await?;
    Ok((service, webhooks))
}
