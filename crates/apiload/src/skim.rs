//! How many objects a list has, without decoding one.

use std::io::Read as _;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// What every Protobuf body of Kubernetes begins with (`runtime/serializer/protobuf` of apimachinery).
const MAGIC: &[u8] = b"k8s\0";
/// Field of `runtime.Unknown` that holds the object.
const UNKNOWN_RAW: u64 = 2;
/// Field of every list type that holds its items (`generated.proto` of every API group).
const LIST_ITEMS: u64 = 2;
/// Field of `meta/v1.Status` that holds its message.
const STATUS_MESSAGE: u64 = 3;

/// The number of items of a list, in JSON or Protobuf, plain or gzipped. `None` where this is no list.
///
/// JSON is parsed for its structure only, Protobuf by its tags: 5,000 Pods in 11 MB take milliseconds. Both are still too
/// much for the timed path, so a sample of the lists is looked at, when they are done.
pub fn items(body: &[u8]) -> Option<u64> {
    match body {
        [0x1f, 0x8b, ..] => {
            let mut plain = Vec::new();
            flate2::read::MultiGzDecoder::new(body).read_to_end(&mut plain).ok()?;
            count(&plain)
        }
        _ => count(body),
    }
}

/// The message of a `Status` in Protobuf.
pub(crate) fn message(body: &[u8]) -> Option<String> {
    let status = content(body.strip_prefix(MAGIC)?, UNKNOWN_RAW)?;
    String::from_utf8(content(status, STATUS_MESSAGE)?.to_vec()).ok()
}

fn count(body: &[u8]) -> Option<u64> {
    match body.strip_prefix(MAGIC) {
        Some(unknown) => {
            let list = content(unknown, UNKNOWN_RAW)?;
            let mut items = 0;
            for field in fields(list) {
                items += u64::from(field.ok()?.0 == LIST_ITEMS);
            }
            Some(items)
        }
        None => serde_json::from_slice::<List>(body).ok().map(|list| list.items.len() as u64),
    }
}

/// A list as far as it matters. A vector of [`IgnoredAny`] takes no memory.
#[derive(Deserialize)]
struct List {
    items: Vec<IgnoredAny>,
}

/// The content of the first field of that number.
fn content(message: &[u8], number: u64) -> Option<&[u8]> {
    fields(message).find_map(|field| field.ok().filter(|(found, _)| *found == number)).map(|(_, content)| content)
}

/// Number and content of each field of a message; content is empty where the field is a number. An error is a message that
/// ends too early or is none.
fn fields(mut message: &[u8]) -> impl Iterator<Item = Result<(u64, &[u8]), Malformed>> {
    std::iter::from_fn(move || {
        (!message.is_empty()).then(|| {
            let field = field(&mut message).ok_or(Malformed);
            if field.is_err() {
                message = &[];
            }
            field
        })
    })
}

#[derive(Debug)]
struct Malformed;

/// Encoding: "Encoding" of the Protocol Buffers documentation. Groups, which Kubernetes never writes, are malformed here.
fn field<'a>(message: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
    let tag = varint(message)?;
    let length = match tag & 7 {
        0 => {
            varint(message)?;
            0
        }
        1 => 8,
        2 => usize::try_from(varint(message)?).ok()?,
        5 => 4,
        _ => return None,
    };
    let (content, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some((tag >> 3, content))
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use rstest::rstest;
    use std::io::Write as _;

    /// A message with one length-delimited field after another.
    fn encoded(fields: &[(u8, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, content) in fields {
            bytes.push(number << 3 | 2);
            let mut length = content.len();
            while length >= 0x80 {
                bytes.push(length as u8 | 0x80);
                length >>= 7;
            }
            bytes.push(length as u8);
            bytes.extend(content);
        }
        bytes
    }

    fn protobuf(items: usize) -> Vec<u8> {
        let meta = encoded(&[(2, b"4711".to_vec())]);
        let pod = encoded(&[(1, vec![b'p'; 300])]);
        let list = encoded(&[vec![(1, meta)], vec![(2, pod); items]].concat());
        let kind = encoded(&[(1, b"v1".to_vec()), (2, b"PodList".to_vec())]);
        [MAGIC, &encoded(&[(1, kind), (2, list), (4, Vec::new())])].concat()
    }

    fn json(items: usize) -> Vec<u8> {
        let pods = vec![r#"{"metadata":{"name":"p","annotations":{"a":"\"items\":[1,2]"}}}"#; items].join(",");
        format!(r#"{{"kind":"PodList","metadata":{{"resourceVersion":"4711"}},"items":[{pods}]}}"#).into_bytes()
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[rstest]
    fn the_items_of_a_list_are_counted(#[values(0, 1, 5_000)] n: usize) {
        assert_eq!(items(&json(n)), Some(n as u64));
        assert_eq!(items(&protobuf(n)), Some(n as u64));
        assert_eq!(items(&gzip(&json(n))), Some(n as u64));
    }

    #[rstest]
    #[case::empty(b"".to_vec())]
    #[case::text(b"ok".to_vec())]
    #[case::one_object(br#"{"kind":"Pod","metadata":{}}"#.to_vec())]
    #[case::null_items(br#"{"items":null}"#.to_vec())]
    #[case::cut_json(json(3)[..40].to_vec())]
    #[case::cut_protobuf({ let body = protobuf(3); body[..body.len() - 400].to_vec() })]
    #[case::cut_gzip(gzip(&json(3))[..20].to_vec())]
    fn what_is_no_whole_list_has_no_number(#[case] body: Vec<u8>) {
        assert_eq!(items(&body), None);
    }

    #[test]
    fn the_message_of_a_status_is_found() {
        let status = encoded(&[(1, Vec::new()), (2, b"Failure".to_vec()), (3, b"pods \"p\" not found".to_vec())]);
        let body = [MAGIC, &encoded(&[(1, b"kind".to_vec()), (2, status)])].concat();
        assert_eq!(message(&body).as_deref(), Some("pods \"p\" not found"));
        assert_eq!(message(b"pods not found"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            items(&bytes);
            items(&[MAGIC, &bytes].concat());
            message(&[MAGIC, &bytes].concat());
        }
    }
}
