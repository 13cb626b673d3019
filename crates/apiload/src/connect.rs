//! One connection from nothing: TCP, perhaps through a proxy, TLS, and the protocol on top.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{self, AlertDescription};
use tower::{Service as _, ServiceExt as _};

use crate::failure::{Failed, Failure, chain};
use crate::frames::{Tapped, Wire};
use crate::plan::{Http2, Protocol};
use crate::target::{Target, Tls};

type Body = Full<Bytes>;

/// HTTP/2 over TLS, as ALPN names it.
const H2: &[u8] = b"h2";

/// Opens connections of one phase.
#[derive(Debug)]
pub(crate) struct Connector {
    target: Target,
    tls: Option<Tls>,
    protocol: Protocol,
    http2: Http2,
    wire: Arc<Wire>,
}

/// An open connection, and what opening it took.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) sender: Sender,
    /// TCP, and the proxy's answer where there is one.
    pub(crate) connect: Duration,
    pub(crate) tls: Option<Duration>,
}

/// The sending end of a connection.
#[derive(Debug)]
pub(crate) enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Sender {
    /// A second sender on the same connection, where the protocol has such a thing.
    pub(crate) fn share(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(sender) => Some(Self::Http2(sender.clone())),
        }
    }

    /// Whether the connection takes no more requests.
    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    /// Waits until the connection takes a request; false where it never will.
    pub(crate) async fn ready(&mut self) -> bool {
        match self {
            Self::Http1(sender) => sender.ready().await.is_ok(),
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Sends a request. Where it did not even begin to be sent, the error has it.
    pub(crate) async fn send(
        &mut self,
        request: http::Request<Body>,
    ) -> Result<http::Response<Incoming>, TrySendError<http::Request<Body>>> {
        match self {
            Self::Http1(sender) => sender.try_send_request(request).await,
            Self::Http2(sender) => sender.try_send_request(request).await,
        }
    }
}

impl Connector {
    pub(crate) fn new(target: &Target, protocol: Protocol, http2: Http2, wire: Arc<Wire>) -> Self {
        let tls = target.tls.clone().map(|Tls { mut config, name }| {
            Arc::make_mut(&mut config).alpn_protocols = vec![match protocol {
                Protocol::Http1 => b"http/1.1".to_vec(),
                Protocol::Http2 => H2.to_vec(),
            }];
            Tls { config, name }
        });
        Self { target: target.clone(), tls, protocol, http2, wire }
    }

    /// Opens a connection.
    pub(crate) async fn open(&self) -> Result<Opened, Failed> {
        let start = Instant::now();
        let tcp = self.limited(Failure::Connect, self.connect()).await?;
        let connect = start.elapsed();
        let http2 = self.protocol == Protocol::Http2;
        let (stream, tls): (Box<dyn Stream>, _) = match &self.tls {
            Some(tls) => {
                let stream = self.limited(Failure::Tls, self.secure(tls, tcp)).await?;
                (stream, Some(start.elapsed() - connect))
            }
            None => (Box::new(tcp), None),
        };
        let io = TokioIo::new(Tapped::new(stream, Arc::clone(&self.wire), http2));
        let sender = if http2 { self.http2(io).await } else { http1(io).await };
        let sender = sender.map_err(|error| Failed::new(Failure::Protocol, chain(&error)))?;
        Ok(Opened { sender, connect, tls })
    }

    async fn limited<T>(&self, failure: Failure, what: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
        let limit = self.target.connect_timeout;
        let late = |_| Failed::new(failure, format!("no answer within {limit:?}"));
        tokio::time::timeout(limit, what).await.map_err(late)?
    }

    async fn connect(&self) -> Result<TcpStream, Failed> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let uri = self.target.uri.clone();
        let stream = match &self.target.proxy {
            Some(proxy) => {
                let mut tunnel = Tunnel::new(proxy.uri.clone(), tcp);
                if let Some(authorization) = &proxy.authorization {
                    tunnel = tunnel.with_auth(authorization.clone());
                }
                let failed = |error| Failed::new(Failure::Connect, format!("proxy {}: {}", proxy.uri, chain(&error)));
                tunnel.call(uri).await.map_err(failed)?
            }
            None => tcp.oneshot(uri).await.map_err(|error| Failed::new(Failure::Connect, chain(&error)))?,
        };
        Ok(stream.into_inner())
    }

    async fn secure(&self, tls: &Tls, tcp: TcpStream) -> Result<Box<dyn Stream>, Failed> {
        let (spoken, other) = match self.protocol {
            Protocol::Http1 => ("HTTP/1.1", "HTTP/2"),
            Protocol::Http2 => ("HTTP/2", "HTTP/1.1"),
        };
        let silent = || Failed::new(Failure::Tls, format!("the server does not speak {spoken}: ask for {other}"));
        let failed = |error: std::io::Error| match error.get_ref().and_then(|error| error.downcast_ref()) {
            Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => silent(),
            _ => Failed::new(Failure::Tls, chain(&error)),
        };
        let stream =
            TlsConnector::from(Arc::clone(&tls.config)).connect(tls.name.clone(), tcp).await.map_err(failed)?;
        // A server that knows nothing of ALPN speaks HTTP/1.1.
        if self.protocol == Protocol::Http2 && stream.get_ref().1.alpn_protocol() != Some(H2) {
            return Err(silent());
        }
        Ok(Box::new(stream))
    }

    async fn http2(&self, io: TokioIo<Tapped<Box<dyn Stream>>>) -> hyper::Result<Sender> {
        let settings = &self.http2;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(settings.stream_window_bytes)
            .initial_connection_window_size(settings.connection_window_bytes)
            .max_frame_size(settings.max_frame_bytes)
            .initial_max_send_streams(settings.max_streams)
            .keep_alive_interval(Duration::from_secs_f64(settings.keep_alive_s))
            .keep_alive_timeout(Duration::from_secs_f64(settings.keep_alive_timeout_s))
            .keep_alive_while_idle(true)
            .handshake(io)
            .await?;
        // How it ends is told by the requests on it, and by the frames.
        tokio::spawn(async move { connection.await.ok() });
        Ok(Sender::Http2(sender))
    }
}

async fn http1(io: TokioIo<Tapped<Box<dyn Stream>>>) -> hyper::Result<Sender> {
    let (sender, connection) = http1::handshake(io).await?;
    tokio::spawn(async move { connection.await.ok() });
    Ok(Sender::Http1(sender))
}
