//! The apiserver that is asked: where it is, how to trust it, and how to prove who asks. All of it comes from kube's
//! `Config`, so that a kubeconfig means here what it means to kubectl.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use http::{HeaderValue, Uri};
use kube::Config;
use kube::client::ConfigExt as _;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::credentials::Credentials;
use crate::error::{Error, Result};
use crate::failure::chain;
use crate::plan::Protocol;

/// An apiserver with its TLS and its credentials.
#[derive(Clone, Debug)]
pub struct Target {
    /// Scheme and authority, with the port written out.
    pub(crate) uri: Uri,
    authority: String,
    /// Path before `/api`, without a slash at its end; of apiservers behind a gateway.
    path: String,
    pub(crate) tls: Option<Tls>,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) credentials: Arc<Credentials>,
    /// How long connecting may take, and the TLS handshake after it.
    pub(crate) connect_timeout: Duration,
}

/// TLS towards the apiserver. The protocol is offered (ALPN) by the phase.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

/// A proxy that is asked to CONNECT.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    pub(crate) uri: Uri,
    pub(crate) authorization: Option<HeaderValue>,
}

impl Target {
    /// Takes the apiserver from a configuration: its URL, CA, client certificate or token or exec plugin, impersonation,
    /// server name and proxy. An exec plugin is run, and a token file is read, here and again when they expire.
    ///
    /// kube takes `HTTPS_PROXY` for the proxy of every cluster; for one on loopback, clear `Config::proxy_url`.
    ///
    /// # Errors
    /// When a certificate, a key, a token or a URL cannot be used.
    pub async fn new(config: &Config) -> Result<Self> {
        let url = &config.cluster_url;
        let wrong = |cause: String| Error::Target { url: url.to_string(), cause };
        let secure = url.scheme_str() == Some("https");
        let host = url.host().ok_or_else(|| wrong("the URL names no host".to_owned()))?;
        let authority = match url.port_u16() {
            Some(port) => format!("{host}:{port}"),
            None => format!("{host}:{}", if secure { 443 } else { 80 }),
        };
        let scheme = if secure { "https" } else { "http" };
        let uri = format!("{scheme}://{authority}").parse().map_err(|bad| wrong(format!("no URL: {bad}")))?;
        let tls = if secure {
            let name = config.tls_server_name.clone().unwrap_or_else(|| host.trim_matches(['[', ']']).to_owned());
            let name = ServerName::try_from(name).map_err(|bad| wrong(format!("tls-server-name: {bad}")))?;
            Some(Tls { config: Arc::new(config.rustls_client_config().map_err(|bad| wrong(chain(&bad)))?), name })
        } else {
            None
        };
        Ok(Self {
            uri,
            authority,
            path: url.path().trim_end_matches('/').to_owned(),
            tls,
            proxy: config.proxy_url.as_ref().map(Proxy::new).transpose().map_err(wrong)?,
            credentials: Arc::new(Credentials::new(config.clone()).await.map_err(wrong)?),
            connect_timeout: config.connect_timeout.unwrap_or(Duration::from_secs(30)),
        })
    }

    /// The URL, for messages and reports.
    pub fn url(&self) -> String {
        format!("{}{}", self.uri.to_string().trim_end_matches('/'), self.path)
    }

    /// What comes before `/api` in the URI of a request. HTTP/2 has scheme and authority in it; HTTP/1.1 has them in `Host`.
    pub(crate) fn base(&self, protocol: Protocol) -> String {
        match protocol {
            Protocol::Http1 => self.path.clone(),
            Protocol::Http2 => self.url(),
        }
    }

    pub(crate) fn host_header(&self) -> Result<HeaderValue> {
        HeaderValue::from_str(&self.authority)
            .map_err(|bad| Error::Target { url: self.url(), cause: format!("the host cannot be sent: {bad}") })
    }
}

impl Proxy {
    fn new(url: &Uri) -> Result<Self, String> {
        if url.scheme_str() != Some("http") {
            return Err(format!("proxy {url}: only proxies with http:// are spoken to"));
        }
        let authority = url.authority().ok_or_else(|| format!("proxy {url}: names no host"))?.as_str();
        let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let uri = format!("http://{host}").parse().map_err(|bad| format!("proxy {host}: {bad}"))?;
        let authorization = user.map(|user| {
            let user = percent_encoding::percent_decode_str(user).collect::<Vec<u8>>();
            HeaderValue::from_str(&format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(user)))
        });
        let authorization = authorization.transpose().map_err(|bad| format!("proxy {host}: credentials: {bad}"))?;
        Ok(Self { uri, authorization })
    }
}
