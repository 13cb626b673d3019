//! From a client's request to the registry's answer.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, RANGE, RETRY_AFTER, TE, TRAILER, TRANSFER_ENCODING,
};
use http::uri::{Authority, Scheme};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::fault::{Fault, Faults};
use super::target::target;
use super::wire::Wire;
use super::{Kind, body};
use crate::ledger::{Entry, Ledger};

/// Headers that are of one connection and not of the message.
const HOP_BY_HOP: [HeaderName; 5] = [CONNECTION, HeaderName::from_static("keep-alive"), TE, TRAILER, TRANSFER_ENCODING];
/// The registry's own name for what it answers with.
const DIGEST: &str = "docker-content-digest";

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// The way to the registry.
#[derive(Debug)]
pub(super) struct Forward {
    upstream: SocketAddr,
    client: Client<HttpConnector, UnsyncBoxBody<Bytes, hyper::Error>>,
    ledger: Ledger,
    faults: Faults,
}

impl Forward {
    pub(super) fn new(upstream: SocketAddr, ledger: Ledger, faults: Faults) -> Self {
        // A kept connection may be closed by the registry just when it is used again, and who repeats the request then
        // hides it. On loopback a new one costs nothing.
        let mut builder = Client::builder(TokioExecutor::new());
        let client = builder.pool_max_idle_per_host(0).retry_canceled_requests(false).build_http();
        Self { upstream, client, ledger, faults }
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Answers a request.
    pub(super) async fn serve(
        &self,
        request: Request<Incoming>,
        client: IpAddr,
        wire: Arc<Wire>,
    ) -> Result<Answer, Infallible> {
        let (kind, digest) = target(request.uri().path());
        wire.came(self.entry(&request, client, digest));
        let pulls = matches!(*request.method(), Method::GET | Method::HEAD);
        let fault = pulls.then(|| self.faults.take(kind, digest, client)).flatten();
        if let Some(fault) = fault {
            wire.note(|entry| entry.fault = Some(fault.to_string()));
        }
        let is_head = request.method() == Method::HEAD;
        let response = match fault {
            Some(Fault::Status { status, retry_after_s }) => refusal(status, retry_after_s, Arc::clone(&wire)),
            fault => self.forward(request, kind, &wire, fault).await,
        };
        let status = response.status();
        let bodiless = is_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let promised = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        wire.answered(status.as_u16(), promised, bodiless);
        Ok(response)
    }

    async fn forward(&self, request: Request<Incoming>, kind: Kind, wire: &Arc<Wire>, fault: Option<Fault>) -> Answer {
        let (mut head, incoming) = request.into_parts();
        head.uri = self.uri(&head.uri);
        head.version = Version::HTTP_11;
        remove_hop_by_hop(&mut head.headers);
        let body = body::request(incoming, Arc::clone(wire)).boxed_unsync();
        match self.client.request(Request::from_parts(head, body)).await {
            Ok(response) => {
                let (mut head, incoming) = response.into_parts();
                remove_hop_by_hop(&mut head.headers);
                let digest = head.headers.get(DIGEST).and_then(|digest| digest.to_str().ok());
                if let (Kind::Manifest, Some(digest)) = (kind, digest) {
                    wire.note(|entry| entry.digest = Some(digest.to_owned()));
                }
                let frames = body::answer(incoming, Arc::clone(wire), fault);
                Response::from_parts(head, StreamBody::new(frames).boxed_unsync())
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
                wire.note(|entry| entry.fault = Some(format!("the registry is not reached: {error}{cause}")));
                whole(StatusCode::BAD_GATEWAY, Bytes::from_static(b"the registry is not reached\n"), Arc::clone(wire))
            }
        }
    }

    fn entry(&self, request: &Request<Incoming>, client: IpAddr, digest: Option<&str>) -> Entry {
        let range = request.headers().get(RANGE).and_then(|range| range.to_str().ok());
        let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        let entry = Entry::came(client, request.method().as_str(), path, self.ledger.now_us());
        Entry {
            number: self.ledger.came(),
            digest: digest.map(str::to_owned),
            range: range.map(str::to_owned),
            ..entry
        }
    }

    /// The same path at the registry. The `Host` stays the client's, so that the registry's `Location`s lead back here.
    fn uri(&self, uri: &Uri) -> Uri {
        let mut parts = uri.clone().into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = self.upstream.to_string().parse::<Authority>().ok();
        Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
    }
}

fn refusal(status: u16, retry_after_s: Option<u32>, wire: Arc<Wire>) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut response = whole(status, Bytes::from_static(b"a fault that was asked for\n"), wire);
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// An answer of our own.
fn whole(status: StatusCode, text: Bytes, wire: Arc<Wire>) -> Answer {
    let length = text.len();
    // Nobody asks for it when the request was a HEAD.
    let body = stream::once(async move {
        wire.handed(length as u64);
        Ok(Frame::data(text))
    });
    let mut response = Response::new(StreamBody::new(body).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}
