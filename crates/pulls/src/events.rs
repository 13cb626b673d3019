//! What kubelets say of their pulls, in events. Events are best effort, so they are counted.

use std::time::Duration;

use harness::{Error, Result};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client};

/// How long the last events may take to arrive.
const EVENTS_WITHIN: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(200);

/// A pull as a kubelet tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// The pod that it was for.
    pub pod: String,
    /// The node.
    pub node: String,
    /// When the kubelet told it, at the end of the pull, in nanoseconds since 1970: its client gives an event a name that ends
    /// in it. Stamps of events themselves are whole seconds.
    pub told_ns: Option<u64>,
    /// How long the pull took, in whole milliseconds.
    pub pull: Duration,
    /// The same with the wait for other pulls; older kubelets do not tell it.
    pub with_waiting: Option<Duration>,
    /// The size of the image on the node.
    pub image_bytes: Option<u64>,
}

/// The pulls that kubelets have told of in a namespace.
///
/// # Errors
/// When events cannot be listed.
pub async fn pulled(client: &Client, namespace: &str) -> Result<Vec<Pulled>> {
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let events = events.list(&ListParams::default().fields("reason=Pulled")).await;
    let events = events.map_err(Error::api("cannot list events"))?.items;
    Ok(events.iter().filter_map(of_event).collect())
}

/// The pulls of the pods that `ours` selects, once there are `expected` of them, or no more come.
///
/// # Errors
/// When events cannot be listed.
pub async fn await_pulled(
    client: &Client,
    namespace: &str,
    expected: usize,
    ours: impl Fn(&Pulled) -> bool,
) -> Result<Vec<Pulled>> {
    let until = tokio::time::Instant::now() + EVENTS_WITHIN;
    loop {
        let mut events = pulled(client, namespace).await?;
        events.retain(&ours);
        if events.len() >= expected || tokio::time::Instant::now() > until {
            return Ok(events);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn of_event(event: &Event) -> Option<Pulled> {
    let node = event.source.as_ref().and_then(|source| source.host.clone()).unwrap_or_default();
    let pod = event.involved_object.name.clone().unwrap_or_default();
    let told_ns = event.metadata.name.as_deref().and_then(told_ns);
    of_message(event.message.as_deref()?).map(|pulled| Pulled { pod, node, told_ns, ..pulled })
}

/// The end of an event's name, `POD.18ab5e…`.
fn told_ns(name: &str) -> Option<u64> {
    u64::from_str_radix(name.rsplit_once('.')?.1, 16).ok()
}

/// Reads `Successfully pulled image "X" in 226ms (227ms including waiting). Image size: 2688156 bytes.`, and what older
/// kubelets leave out of it. That an image was there already is no pull.
fn of_message(message: &str) -> Option<Pulled> {
    let (_, rest) = message.strip_prefix("Successfully pulled image ")?.rsplit_once("\" in ")?;
    let pull = duration(rest.split([' ', '(']).next()?)?;
    let with_waiting = rest.split_once('(').and_then(|(_, rest)| duration(rest.split(' ').next()?));
    let image_bytes = rest.split_once("Image size: ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    Some(Pulled { pod: String::new(), node: String::new(), told_ns: None, pull, with_waiting, image_bytes })
}

/// A duration as Go prints it: `1m2.5s`, `226ms`, `870µs`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    text.trim_end_matches('.').parse::<SignedDuration>().ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::newest(
        "Successfully pulled image \"origin.test/a:1\" in 226ms (227ms including waiting). Image size: 2688156 bytes.",
        (226, Some(227), Some(2_688_156))
    )]
    #[case::a_minute(
        "Successfully pulled image \"a\" in 1m2.5s (1m3.25s including waiting). Image size: 15000000000 bytes.",
        (62_500, Some(63_250), Some(15_000_000_000))
    )]
    #[case::without_a_size("Successfully pulled image \"a\" in 1.5s (2s including waiting)", (1_500, Some(2_000), None))]
    #[case::old("Successfully pulled image \"a\" in 33.2s", (33_200, None, None))]
    fn a_pull_is_read_from_its_message(#[case] message: &str, #[case] wanted: (u64, Option<u64>, Option<u64>)) {
        let pulled = of_message(message).unwrap();
        let waiting = pulled.with_waiting.map(|time| time.as_millis() as u64);
        assert_eq!((pulled.pull.as_millis() as u64, waiting, pulled.image_bytes), wanted);
    }

    #[test]
    fn the_name_of_an_event_says_when_it_was_told() {
        assert_eq!(told_ns("pull-0-79f89cf544-vjcbh.18abcdef01234567"), Some(0x18ab_cdef_0123_4567));
        assert_eq!(told_ns("pull-0"), None);
    }

    #[rstest]
    #[case("Container image \"a\" already present on machine")]
    #[case("Container image \"a\" already present on machine and can be accessed by the pod")]
    #[case("Successfully pulled image \"a\" in ")]
    fn what_is_no_pull_is_none(#[case] message: &str) {
        assert_eq!(of_message(message), None);
    }
}
