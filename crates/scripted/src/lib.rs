//! An apiserver of a few lines that does what a test says, and keeps its own stamps. For tests, which share it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

/// What the server is asked.
#[derive(Debug)]
pub struct Asked {
    /// How many were asked before.
    pub number: u64,
    /// The method.
    pub method: Method,
    /// Path and query, and over HTTP/2 scheme and authority.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
}

/// What it does.
#[derive(Debug)]
pub struct Reply {
    /// How long it waits before the head of the answer.
    pub after: Duration,
    /// The status.
    pub status: StatusCode,
    /// Names and values.
    pub headers: Vec<(&'static str, String)>,
    /// The body in pieces, each after a wait.
    pub body: Vec<(Duration, Bytes)>,
    /// How often the body is sent.
    pub times: usize,
    /// What becomes of the connection.
    pub ending: Ending,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// It goes on.
    Kept,
    /// GOAWAY over HTTP/2, `Connection: close` over HTTP/1.1.
    GoAway,
    /// It is closed in place of an answer.
    Dropped,
    /// The body breaks off after the pieces.
    Cut,
}

/// For each request, when it came and when its answer was written.
type Stamps = Mutex<Vec<(SystemTime, SystemTime)>>;
type Script = dyn Fn(&Asked) -> Reply + Send + Sync;

/// A server on a thread of its own, which ends with it.
#[derive(Debug)]
pub struct Server {
    /// Where it listens: a free port of loopback.
    pub address: SocketAddr,
    /// For each request, when it came and when its answer was written.
    pub stamps: Arc<Stamps>,
    stop: CancellationToken,
}

/// The protocol of a server.
#[derive(Clone, Debug)]
pub enum Speaks {
    /// HTTP/1.1 without TLS.
    Http1,
    /// HTTP/2 without TLS, by prior knowledge.
    Http2,
    /// TLS; the protocol is what both agree on.
    Tls(Arc<ServerConfig>),
}

impl Reply {
    /// 200 with this body, at once.
    pub fn ok(body: impl Into<Bytes>) -> Self {
        Self {
            after: Duration::ZERO,
            status: StatusCode::OK,
            headers: vec![("content-type", "application/json".to_owned())],
            body: vec![(Duration::ZERO, body.into())],
            times: 1,
            ending: Ending::Kept,
        }
    }

    /// The same after a wait.
    #[must_use]
    pub fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    /// The same with another ending.
    #[must_use]
    pub fn ending(self, ending: Ending) -> Self {
        Self { ending, ..self }
    }
}

impl Server {
    /// A server that answers as `script` says.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub fn start(speaks: Speaks, script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stamps) = (CancellationToken::new(), Arc::default());
        let state = Arc::new(State { script: Box::new(script), asked: AtomicU64::new(0), stamps: Arc::clone(&stamps) });
        let stopped = stop.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(accept(listener, speaks, state, stopped));
        });
        Self { address, stamps, stop }
    }

    /// Closes the port and all connections.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

struct State {
    script: Box<Script>,
    asked: AtomicU64,
    stamps: Arc<Stamps>,
}

/// What an answer can do to its connection.
#[derive(Clone)]
struct Connection {
    leave: CancellationToken,
    close: CancellationToken,
    /// When the requests came whose answers are ready and not yet written.
    ready: Arc<Mutex<Vec<SystemTime>>>,
}

/// A stream that stamps answers when they are written: from ready to written can be milliseconds when hundreds are.
struct Stamping<S> {
    inner: S,
    ready: Arc<Mutex<Vec<SystemTime>>>,
    stamps: Arc<Stamps>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Stamping<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stamping<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let now = SystemTime::now();
        let written = ready!(Pin::new(&mut this.inner).poll_write(cx, buf))?;
        let ready = this.ready.lock().unwrap().split_off(0);
        this.stamps.lock().unwrap().extend(ready.into_iter().map(|came| (came, now)));
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

async fn accept(listener: std::net::TcpListener, speaks: Speaks, state: Arc<State>, stop: CancellationToken) {
    let listener = TcpListener::from_std(listener).unwrap();
    while let Some(Ok((stream, _))) = stop.run_until_cancelled(listener.accept()).await {
        stream.set_nodelay(true).unwrap();
        let connection =
            Connection { leave: CancellationToken::new(), close: stop.child_token(), ready: Arc::default() };
        let (speaks, state) = (speaks.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            match speaks {
                Speaks::Http1 => serve(stream, false, state, connection).await,
                Speaks::Http2 => serve(stream, true, state, connection).await,
                Speaks::Tls(config) => {
                    let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else { return };
                    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    serve(stream, http2, state, connection).await;
                }
            }
        });
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    http2: bool,
    state: Arc<State>,
    connection: Connection,
) {
    let Connection { leave, close, ready } = connection.clone();
    let io = TokioIo::new(Stamping { inner: stream, ready, stamps: Arc::clone(&state.stamps) });
    let service = service_fn(move |request| answer(request, Arc::clone(&state), connection.clone()));
    macro_rules! until_closed {
        ($serving:expr) => {{
            let mut serving = std::pin::pin!($serving);
            tokio::select! {
                _ = &mut serving => return,
                () = close.cancelled() => return,
                () = leave.cancelled() => serving.as_mut().graceful_shutdown(),
            }
            close.run_until_cancelled(serving).await;
        }};
    }
    if http2 {
        until_closed!(
            http2::Builder::new(TokioExecutor::new()).max_concurrent_streams(1_000).serve_connection(io, service)
        );
    } else {
        until_closed!(http1::Builder::new().serve_connection(io, service));
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<State>,
    connection: Connection,
) -> Result<Response<UnsyncBoxBody<Bytes, io::Error>>, Infallible> {
    let came = SystemTime::now();
    let number = state.asked.fetch_add(1, Relaxed);
    let (head, _) = request.into_parts();
    let asked = Asked { number, method: head.method, uri: head.uri, headers: head.headers };
    let reply = (state.script)(&asked);
    if !reply.after.is_zero() {
        tokio::time::sleep(reply.after).await;
    }
    match reply.ending {
        Ending::GoAway => connection.leave.cancel(),
        Ending::Dropped => {
            connection.close.cancel();
            std::future::pending::<()>().await;
        }
        Ending::Kept | Ending::Cut => {}
    }
    let pieces = stream::iter(reply.body).flat_map(move |piece| stream::iter(std::iter::repeat_n(piece, reply.times)));
    let pieces = pieces.then(|(wait, piece)| async move {
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(Frame::data(piece))
    });
    let cut = stream::iter((reply.ending == Ending::Cut).then_some(())).then(|()| async {
        // Long enough for what was sent before to have gone out.
        tokio::time::sleep(Duration::from_millis(10)).await;
        Err(io::Error::other("cut off"))
    });
    let mut response = Response::new(BodyExt::boxed_unsync(StreamBody::new(pieces.chain(cut))));
    *response.status_mut() = reply.status;
    for (name, value) in reply.headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    connection.ready.lock().unwrap().push(came);
    Ok(response)
}
