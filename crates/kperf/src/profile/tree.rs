//! Where everything in a file stands: what the typed reading does not keep.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::NonFiniteFloatPolicy;
use serde_saphyr::{DefaultMessageFormatter, Error, Location, MessageFormatter as _, Spanned};

/// A step from a value into what it holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// The value of a key.
    Key(String),
    /// An item of a list, from 0.
    Item(usize),
}

/// A value, of which only the places are kept.
#[derive(Debug)]
pub(crate) enum Node {
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
    List(Vec<Spanned<Self>>),
    Scalar,
}

/// Reads YAML as our own files are read: no `yes` for true, no second key of a name. An infinite number is a number here,
/// so that the check of its field refuses it.
pub(crate) fn strictly<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Error> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
    };
    serde_saphyr::from_str_with_options(text, options)
}

/// What an error says, without the place.
pub(crate) fn message(error: &Error) -> String {
    DefaultMessageFormatter.format_message(error).replace('\n', " ")
}

impl Node {
    /// Where the value at the end of `path` stands, or the last one on the way that is there. The place of a value of a
    /// key is that of the key.
    pub(crate) fn locate(&self, path: &[Step]) -> Location {
        let (mut node, mut at) = (self, Location::UNKNOWN);
        for step in path {
            let next = match (node, step) {
                (Self::Map(entries), Step::Key(name)) => {
                    let entry = entries.iter().find(|(key, _)| key.value == *name);
                    entry.map(|(key, value)| (key.referenced, &value.value))
                }
                (Self::List(items), Step::Item(index)) => items.get(*index).map(|item| (item.referenced, &item.value)),
                _ => None,
            };
            let Some(next) = next else { break };
            (at, node) = next;
        }
        at
    }

    /// The path to the last key or item that stands at a place or before it.
    pub(crate) fn path_to(&self, at: Location) -> Vec<Step> {
        let before = |place: Location| (place.line(), place.column()) <= (at.line(), at.column());
        let (step, inner) = match self {
            Self::Map(entries) => match entries.iter().rev().find(|(key, _)| before(key.referenced)) {
                Some((key, value)) => (Step::Key(key.value.clone()), value),
                None => return Vec::new(),
            },
            Self::List(items) => match items.iter().enumerate().rev().find(|(_, item)| before(item.referenced)) {
                Some((index, item)) => (Step::Item(index), item),
                None => return Vec::new(),
            },
            Self::Scalar => return Vec::new(),
        };
        let mut path = vec![step];
        path.extend(inner.value.path_to(at));
        path
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(name) => f.write_str(name),
            Self::Item(index) => write!(f, "[{index}]"),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyNode)
    }
}

struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
}
