//! The events of a streaming list as they arrive: how many objects, and where the initial ones end.

/// Bytes of an event from which its type can be told.
const HEAD: usize = 32;
/// Bytes of a bookmark or an error that are kept; they are some hundreds.
const KEPT: usize = 64 << 10;
/// The annotation of the bookmark after the initial events (`k8s.io/apimachinery/pkg/apis/meta/v1`, `InitialEventsAnnotationKey`).
const END: &[u8] = b"k8s.io/initial-events-end";

/// Reads a stream of events without decoding the objects in it.
#[derive(Debug)]
pub(crate) struct Events {
    framing: Framing,
    /// The start of the current event; all of it where it is a bookmark or an error.
    event: Vec<u8>,
    /// Objects so far.
    pub(crate) objects: u64,
    /// How the stream ended, if it did.
    pub(crate) end: Option<End>,
}

/// How a stream ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// With the bookmark after the initial events.
    Bookmark,
    /// With an error in place of an event, as it was sent.
    Error(String),
}

#[derive(Debug)]
enum Framing {
    /// JSON: an event a line.
    Lines,
    /// Protobuf: four bytes of length before each event (`framer.NewLengthDelimitedFrameWriter` of apimachinery).
    Lengths { prefix: Vec<u8>, rest: usize },
}

impl Events {
    /// For a `Content-Type`.
    pub(crate) fn new(content_type: &[u8]) -> Self {
        let protobuf = memchr::memmem::find(content_type, b"protobuf").is_some();
        let framing = if protobuf { Framing::Lengths { prefix: Vec::new(), rest: 0 } } else { Framing::Lines };
        Self { framing, event: Vec::new(), objects: 0, end: None }
    }

    /// Takes the next bytes, up to where the stream ends.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.end.is_none() {
            let (part, rest, whole) = self.framing.split(bytes);
            bytes = rest;
            self.keep(part);
            if whole {
                self.event();
            }
        }
    }

    fn keep(&mut self, part: &[u8]) {
        let (head, rest) = part.split_at(part.len().min(HEAD.saturating_sub(self.event.len())));
        self.event.extend_from_slice(head);
        if matches!(self.kind(), Some(kind) if kind.starts_with(b"BOOKMARK") || kind.starts_with(b"ERROR")) {
            let room = KEPT.saturating_sub(self.event.len());
            self.event.extend_from_slice(&rest[..rest.len().min(room)]);
        }
    }

    /// The event from its type on: after `{"type":"`, or after tag and length of the first field of `metav1.WatchEvent`.
    fn kind(&self) -> Option<&[u8]> {
        match self.framing {
            Framing::Lines => self.event.strip_prefix(br#"{"type":""#),
            Framing::Lengths { .. } => self.event.strip_prefix(b"\x0a").and_then(|kind| kind.get(1..)),
        }
    }

    fn event(&mut self) {
        match self.kind() {
            Some(kind) if kind.starts_with(b"ADDED") => self.objects += 1,
            Some(kind) if kind.starts_with(b"BOOKMARK") && memchr::memmem::find(kind, END).is_some() => {
                self.end = Some(End::Bookmark);
            }
            Some(kind) if kind.starts_with(b"ERROR") => {
                self.end = Some(End::Error(String::from_utf8_lossy(&self.event).into_owned()));
            }
            _ => {}
        }
        self.event.clear();
    }
}

impl Framing {
    /// Splits off what belongs to the current event, and says whether that is all of it.
    fn split<'a>(&mut self, bytes: &'a [u8]) -> (&'a [u8], &'a [u8], bool) {
        match self {
            Self::Lines => match memchr::memchr(b'\n', bytes) {
                Some(end) => (&bytes[..end], &bytes[end + 1..], true),
                None => (bytes, &[], false),
            },
            Self::Lengths { prefix, rest } => {
                if *rest == 0 {
                    let (head, bytes) = bytes.split_at(bytes.len().min(4 - prefix.len()));
                    prefix.extend_from_slice(head);
                    if let [a, b, c, d] = prefix[..] {
                        *rest = u32::from_be_bytes([a, b, c, d]) as usize;
                        prefix.clear();
                    }
                    return (&[], bytes, false);
                }
                let (part, bytes) = bytes.split_at(bytes.len().min(*rest));
                *rest -= part.len();
                (part, bytes, *rest == 0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOOKMARK: &str = r#"{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;

    fn lines(objects: usize) -> Vec<u8> {
        let added = format!(
            r#"{{"type":"ADDED","object":{{"metadata":{{"name":"BOOKMARK {}"}}}}}}"#,
            "k8s.io/initial-events-end"
        );
        let other = r#"{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"3"}}}"#;
        let mut lines = vec![added.as_str(); objects];
        lines.extend([other, BOOKMARK, added.as_str(), ""]);
        lines.join("\n").into_bytes()
    }

    fn frames(objects: usize) -> Vec<u8> {
        let frame = |kind: &str, object: &[u8]| {
            let event = [&[0x0a, kind.len() as u8], kind.as_bytes(), object].concat();
            [&(event.len() as u32).to_be_bytes(), event.as_slice()].concat()
        };
        let added = frame("ADDED", &[b'\n'; 500]);
        [added.repeat(objects), frame("BOOKMARK", b"none"), frame("BOOKMARK", END), added].concat()
    }

    proptest! {
        #[test]
        fn objects_are_counted_up_to_the_bookmark_however_the_bytes_arrive(n in 0usize..30, chunk in 1usize..700) {
            for (content_type, bytes) in [("application/json", lines(n)), ("application/vnd.kubernetes.protobuf;stream=watch", frames(n))] {
                let mut events = Events::new(content_type.as_bytes());
                bytes.chunks(chunk).for_each(|chunk| events.push(chunk));
                prop_assert_eq!(events.objects, n as u64, "{}", content_type);
                prop_assert_eq!(events.end, Some(End::Bookmark));
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), chunk in 1usize..40) {
            for content_type in ["json", "protobuf"] {
                let mut events = Events::new(content_type.as_bytes());
                bytes.chunks(chunk).for_each(|chunk| events.push(chunk));
                prop_assert!(events.event.len() <= KEPT);
            }
        }
    }

    #[test]
    fn an_error_ends_the_stream_with_its_own_words() {
        let mut events = Events::new(b"application/json");
        events.push(b"{\"type\":\"ERROR\",\"object\":{\"message\":\"too old resource version\",\"code\":410}}\n");
        assert!(matches!(events.end, Some(End::Error(text)) if text.contains("too old resource version")));
    }

    #[test]
    fn a_stream_without_its_bookmark_has_no_end() {
        let mut events = Events::new(b"application/json");
        events.push(b"{\"type\":\"ADDED\",\"object\":{}}\n");
        assert_eq!((events.objects, events.end), (1, None));
    }
}
