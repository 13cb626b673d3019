//! Reads an answer to its end. Nothing is decoded here: what an answer says is looked at when its time has been taken.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde::Deserialize;

use crate::failure::{Failed, Failure};
use crate::feed::Clock;
use crate::operation::Reads;
use crate::skim;
use crate::stream::{End, Events};

/// Bytes of a list that is looked at; a longer one is not.
const KEPT: usize = 32 << 20;
/// Bytes of an answer that is no success, kept for what it says.
const EXPLANATION: usize = 4 << 10;

/// What is known of one try of a request. It is filled as things happen, so that a timeout finds what there was.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    pub(crate) sent: Option<Duration>,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) first_object: Option<Duration>,
    pub(crate) last_object: Option<Duration>,
    pub(crate) body_bytes: u64,
    /// Objects of a streaming list.
    pub(crate) objects: Option<u64>,
    /// The list, where it was to be kept.
    pub(crate) kept: Option<Vec<u8>>,
    /// How long the server asked to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

impl Exchange {
    /// Reads the body; `keep` says whether a list is to be kept whole.
    pub(crate) async fn read(
        &mut self,
        response: Response<Incoming>,
        reads: Reads,
        keep: bool,
        clock: Clock,
    ) -> Result<(), Failed> {
        let (head, mut body) = response.into_parts();
        if !head.status.is_success() {
            return Err(self.explanation(head.status, body).await);
        }
        let content_type = head.headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        let mut events = (reads == Reads::Events).then(|| Events::new(content_type));
        let mut kept = keep.then(Vec::new);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Failed::unfinished(&error))?;
            let Ok(data) = frame.into_data() else { continue };
            self.body_bytes += data.len() as u64;
            if let Some(events) = &mut events {
                self.look(events, &data, clock);
                match &events.end {
                    Some(End::Bookmark) => return Ok(()),
                    Some(End::Error(text)) => return Err(Failed::new(Failure::Body, text.clone())),
                    None => {}
                }
            }
            // Chunks are only collected: together they are one copy, which a list that is looked at can bear.
            kept = kept.filter(|list| list.len() + data.len() <= KEPT);
            if let Some(list) = &mut kept {
                list.extend_from_slice(&data);
            }
        }
        self.kept = kept;
        match events {
            Some(_) => Err(Failed::new(Failure::Body, "the stream ended before the bookmark after the initial events")),
            None => Ok(()),
        }
    }

    fn look(&mut self, events: &mut Events, data: &[u8], clock: Clock) {
        let before = events.objects;
        events.push(data);
        self.objects = Some(events.objects);
        if events.objects > before {
            let now = clock.now();
            self.first_object.get_or_insert(now);
            self.last_object = Some(now);
        }
    }

    /// Reads an answer that is no success to its end, for the connection's sake, and keeps what it says.
    async fn explanation(&mut self, status: StatusCode, mut body: Incoming) -> Failed {
        let mut text = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(data) = frame.into_data() else { continue };
            self.body_bytes += data.len() as u64;
            let room = EXPLANATION.saturating_sub(text.len());
            text.extend_from_slice(&data[..data.len().min(room)]);
        }
        Failed::new(Failure::Status(status.as_u16()), explain(&text))
    }
}

/// The message of a `Status`, or the text as it is.
fn explain(text: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Status {
        message: String,
    }
    match serde_json::from_slice::<Status>(text) {
        Ok(status) => status.message,
        Err(_) => skim::message(text).unwrap_or_else(|| String::from_utf8_lossy(text).trim().to_owned()),
    }
}
