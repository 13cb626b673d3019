//! A cluster asked about the requests of a phase, by sending each of those that only read a few times, and looking for the
//! objects of those that write.

use std::time::Duration;

use apiload::{Control, Failure, Get, Phase, PhaseOutcome, Plan, Request, Share, Target};
use measure::{Arrivals, Schedule, Until};

use crate::error::Result;
use crate::profile::Spec;

/// Times that each is sent, one after the other.
const TIMES: u64 = 3;

/// What a cluster said of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Probe {
    /// Bytes of an answer.
    pub bytes: Option<f64>,
    /// How long it took: the median.
    pub service: Option<Duration>,
    /// Why it cannot work.
    pub problem: Option<String>,
}

/// Asks about each request of a phase.
///
/// # Errors
/// When the cluster cannot be reached.
pub(super) async fn all(target: &Target, spec: &Spec) -> Result<Vec<Probe>> {
    let mut probes = Vec::new();
    for request in spec.requests.iter().flat_map(|weighted| weighted.named()) {
        let asked = match &request {
            Request::Put(put) => ends(&put.name, put.key_space_size, |name| Get {
                group: put.group.clone(),
                version: put.version.clone(),
                resource: put.resource.clone(),
                namespace: put.namespace.clone(),
                name,
            }),
            Request::Patch(patch) => ends(&patch.name, patch.key_space_size, |name| Get {
                group: patch.group.clone(),
                version: patch.version.clone(),
                resource: patch.resource.clone(),
                namespace: patch.namespace.clone(),
                name,
            }),
            Request::PostDel(pods) => vec![Request::QuorumGet(Get {
                version: "v1".to_owned(),
                resource: "namespaces".to_owned(),
                name: pods.namespace.clone(),
                ..Get::default()
            })],
            reads => vec![reads.clone()],
        };
        let mut probe = Probe::default();
        for asked in &asked {
            let outcome = send(target, spec, asked).await?;
            probe = probe.with(&request, &outcome);
        }
        probes.push(probe);
    }
    Ok(probes)
}

/// The first and the last of a set of objects.
fn ends(name: &str, count: u64, get: impl Fn(String) -> Get) -> Vec<Request> {
    [0, count - 1].map(|index| Request::QuorumGet(get(format!("{name}-{index}")))).into()
}

/// Sends a request a few times, with the representation of the phase.
async fn send(target: &Target, spec: &Spec, request: &Request) -> Result<PhaseOutcome> {
    let schedule = Schedule::new(Arrivals::Unlimited, Until::Total(TIMES))?;
    let mut phase = Phase::new(schedule, vec![Share { shares: 1, request: request.clone() }]);
    phase.gzip = true;
    phase.content = spec.content_type.unwrap_or(phase.content);
    if spec.disable_http2 {
        phase.protocol = apiload::Protocol::Http1;
    }
    let mut outcome = apiload::run(target, &Plan::new(vec![phase], 1), &Control::new()).await?;
    Ok(outcome.phases.remove(0))
}

impl Probe {
    /// This with what a try said of `request`.
    fn with(self, request: &Request, outcome: &PhaseOutcome) -> Self {
        let counts = &outcome.total.counts;
        let reads = !matches!(request, Request::Put(_) | Request::Patch(_) | Request::PostDel(_));
        let said = || outcome.failures.first().map(|sample| sample.message.clone()).unwrap_or_default();
        let problem = counts.failed.keys().next().map(|failure| match (failure, request) {
            (Failure::Status(404), Request::Put(_) | Request::Patch(_)) => format!(
                "{} writes objects that are not there ({}): create {} first",
                request.kind(),
                said(),
                objects(request)
            ),
            (Failure::Status(404), Request::PostDel(pods)) => {
                format!("postDel creates Pods in a namespace that is not there: create namespace {}", pods.namespace)
            }
            (failure, _) => format!("{} failed of {failure} ({})", request.kind(), said()),
        });
        let answered = counts.completed > 0;
        Self {
            bytes: (reads && answered).then(|| counts.body_bytes as f64 / counts.completed as f64).or(self.bytes),
            service: outcome.total.completed.service.quantile(0.5).or(self.service),
            problem: self.problem.or(problem),
        }
    }
}

/// The objects that a writing request needs.
fn objects(request: &Request) -> String {
    let (resource, namespace, name, count) = match request {
        Request::Put(put) => (&put.resource, &put.namespace, &put.name, put.key_space_size),
        Request::Patch(patch) => (&patch.resource, &patch.namespace, &patch.name, patch.key_space_size),
        _ => return String::new(),
    };
    format!("{resource} {name}-0 to {name}-{} in namespace `{namespace}`", count - 1)
}
