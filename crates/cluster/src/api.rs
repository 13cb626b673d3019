//! A client for a cluster that was adopted from its descriptor.

use std::path::Path;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use crate::descriptor::Descriptor;
use crate::error::{Error, Result};

/// The configuration of a client that never retries: a retry would hide the answer that is counted.
///
/// # Errors
/// When the kubeconfig cannot be read or used.
pub async fn quiet_config(kubeconfig: &Path) -> Result<Config> {
    let wrap = |error: KubeconfigError| {
        Error::api(format!("cannot use {}", kubeconfig.display()))(kube::Error::InferKubeconfig(error))
    };
    let file = Kubeconfig::read_from(kubeconfig).map_err(wrap)?;
    quiet(file).await.map_err(wrap)
}

/// The same of a kubeconfig that was read already.
pub(crate) async fn quiet(file: Kubeconfig) -> Result<Config, KubeconfigError> {
    let named = file.clusters.iter().filter_map(|named| named.cluster.as_ref()?.proxy_url.clone()).next();
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    // kube asks NO_PROXY about the proxy and not about the cluster, so the choice is made here, as kubectl makes it.
    let variable = |names: [&str; 2]| names.iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default();
    let (https, no) = (variable(["HTTPS_PROXY", "https_proxy"]), variable(["NO_PROXY", "no_proxy"]));
    let proxy = proxy(&config.cluster_url, named.as_deref(), &https, &no);
    config.proxy_url = proxy.map(|url| url.parse()).transpose().map_err(KubeconfigError::ParseProxyUrl)?;
    Ok(config)
}

/// A client with [`quiet_config`] of a kubeconfig.
///
/// # Errors
/// When the kubeconfig cannot be read or used.
pub async fn connect_to(kubeconfig: &Path) -> Result<Client> {
    let config = quiet_config(kubeconfig).await?;
    Client::try_from(config).map_err(Error::api("cannot set up TLS"))
}

/// A client of an adopted cluster.
///
/// # Errors
/// When its kubeconfig cannot be read or used.
pub async fn connect(descriptor: &Descriptor) -> Result<Client> {
    connect_to(&descriptor.kubeconfig).await
}

/// What the apiserver said, in its own words: kube prints the whole status.
pub fn answer(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => format!("{} ({})", status.message, status.code),
        other => other.to_string(),
    }
}

/// The proxy on the way to a cluster: the one that its kubeconfig names, or else the environment's. A cluster on
/// loopback, as ours are, is never behind the environment's, and neither is one that NO_PROXY names
/// (`http.ProxyFromEnvironment` of Go's net/http, which kubectl uses).
fn proxy(cluster: &Uri, named: Option<&str>, https_proxy: &str, no_proxy: &str) -> Option<String> {
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        return Some(named.to_owned());
    }
    let host = cluster.host()?.trim_matches(['[', ']']);
    let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let intercepts = || Matcher::builder().https(https_proxy).no(no_proxy).build().intercept(cluster).is_some();
    let scheme = if https_proxy.contains("://") { "" } else { "http://" };
    (!loopback && intercepts()).then(|| format!("{scheme}{https_proxy}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::io::{BufRead as _, BufReader};

    #[rstest]
    #[case::none("https://kube.example:6443", None, "", "", None)]
    #[case::of_the_environment("https://kube.example", None, "http://a:b@p:1", "", Some("http://a:b@p:1"))]
    #[case::without_a_scheme("https://kube.example", None, "p:1", "", Some("http://p:1"))]
    #[case::of_the_kubeconfig("https://kube.example", Some("http://q:2"), "http://p:1", "", Some("http://q:2"))]
    #[case::of_the_kubeconfig_whatever_no_proxy_says("https://kube.example", Some("q:2"), "", "*", Some("q:2"))]
    #[case::not_for_this_cluster("https://kube.example", None, "http://p:1", "example", None)]
    #[case::not_for_its_network("https://10.1.2.3:6443", None, "http://p:1", "10.0.0.0/8,", None)]
    #[case::a_proxy_that_no_proxy_names(
        "https://kube.example",
        None,
        "http://10.0.0.1",
        "10.0.0.1",
        Some("http://10.0.0.1")
    )]
    #[case::loopback("https://127.0.0.1:6443", None, "http://p:1", "", None)]
    #[case::loopback_of_ipv6("https://[::1]:6443", None, "http://p:1", "", None)]
    #[case::loopback_with_a_proxy_of_its_own("https://127.0.0.1:6443", Some("http://q:2"), "", "", Some("http://q:2"))]
    fn the_proxy_is_the_one_that_kubectl_would_take(
        #[case] cluster: &'static str,
        #[case] named: Option<&str>,
        #[case] https_proxy: &str,
        #[case] no_proxy: &str,
        #[case] wanted: Option<&str>,
    ) {
        assert_eq!(proxy(&Uri::from_static(cluster), named, https_proxy, no_proxy).as_deref(), wanted);
    }

    #[tokio::test]
    async fn a_request_goes_through_the_proxy_that_the_kubeconfig_names() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let yaml = format!(
            "clusters: [{{name: c, cluster: {{server: 'https://kube.example:6443', proxy-url: 'http://{}'}}}}]\n\
             contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\ncurrent-context: x\n",
            listener.local_addr().unwrap()
        );
        let asked = std::thread::spawn(move || {
            let mut line = String::new();
            BufReader::new(listener.accept().unwrap().0).read_line(&mut line).unwrap();
            line
        });
        let config = quiet(Kubeconfig::from_yaml(&yaml).unwrap()).await.unwrap();
        Client::try_from(config).unwrap().apiserver_version().await.unwrap_err();
        assert_eq!(asked.join().unwrap(), "CONNECT kube.example:6443 HTTP/1.1\r\n");
    }
}
