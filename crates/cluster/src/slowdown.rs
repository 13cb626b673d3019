//! Slowdowns of a running cluster whose size is known, to see what a gate sees.

mod chatter;
mod throttle;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::api::connect;
use crate::error::{Error, Result};
use crate::fault::Faults;
use crate::fixtures::Fixtures;
use crate::kwok::delay_stage;
use crate::process::Process;
use crate::proxy::Proxy;
use crate::shell::Shell;

use throttle::Throttle;

/// The stage of simulated pods that [`Slowdown::Stage`] delays: from scheduled to running and ready.
const STAGE: &str = "pod-ready";

/// A slowdown, as a command line writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Slowdown {
    /// `cpu:COMPONENT=FACTOR`: the component, or with `*` every one, stands still for so much of each 20 ms that what it
    /// does takes `FACTOR` times as long.
    Cpu {
        /// The component; `*` for all.
        component: String,
        /// Above 1.
        factor: f64,
    },
    /// `network=DURATION`: every byte between the trial and the apiserver comes so much later, in either direction.
    Network {
        /// How much later.
        by: Duration,
    },
    /// `stage=DURATION`: simulated pods become ready so much later.
    Stage {
        /// How much later.
        by: Duration,
    },
    /// `writes=SHARE`: somebody patches this share of the trial's pods once, an annotation of 100 bytes each.
    Writes {
        /// From 0 to 1.
        share: f64,
    },
}

/// A slowdown in force; it ends when this is dropped.
#[derive(Debug, Default)]
pub struct Slowed {
    /// The kubeconfig that a trial has to use instead of the cluster's own.
    pub kubeconfig: Option<PathBuf>,
    _throttle: Option<Throttle>,
    _proxy: Option<Proxy>,
    /// Ends its tasks when it is dropped.
    chatter: JoinSet<()>,
}

impl Slowed {
    /// What these processes do takes `factor` times as long, until this is dropped.
    pub fn processes(processes: Vec<Process>, factor: f64) -> Self {
        Self { _throttle: Some(Throttle::start(processes, factor)), ..Self::default() }
    }
}

impl Slowdown {
    /// Puts the slowdown into force on the cluster `name`. A delayed stage lasts as long as the cluster, because its
    /// controller reads the stage once; everything else ends with what is returned.
    ///
    /// # Errors
    /// When there is no such cluster or component, or the slowdown cannot be put into force.
    pub async fn begin(&self, fixtures: &Fixtures, name: &str) -> Result<Slowed> {
        let descriptor = fixtures.descriptor(name)?;
        match self {
            Self::Cpu { component, factor } => {
                let processes = match component.as_str() {
                    "*" => descriptor.components.iter().map(|component| component.process).collect(),
                    component => vec![descriptor.require(component)?.process],
                };
                Ok(Slowed::processes(processes, *factor))
            }
            Self::Network { by } => {
                let kubeconfig = fixtures.directory(name).join("kubeconfig.delayed");
                let proxy = Proxy::of_apiserver(&descriptor, &kubeconfig).await?;
                proxy.delay(*by);
                Ok(Slowed { kubeconfig: Some(kubeconfig), _proxy: Some(proxy), ..Slowed::default() })
            }
            Self::Stage { by } => {
                delay_stage(&descriptor, &fixtures.directory(name), STAGE, *by, &Shell::real())?;
                Faults::of(fixtures, name).restart("kwok-controller", &|_| {})?;
                Ok(Slowed::default())
            }
            Self::Writes { share } => {
                let mut slowed = Slowed::default();
                slowed.chatter.spawn(chatter::patch_pods(connect(&descriptor).await?, *share));
                Ok(slowed)
            }
        }
    }
}

impl fmt::Display for Slowdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu { component, factor } => write!(f, "cpu:{component}={factor}"),
            Self::Network { by } => write!(f, "network={by:?}"),
            Self::Stage { by } => write!(f, "stage={by:?}"),
            Self::Writes { share } => write!(f, "writes={share}"),
        }
    }
}

impl From<Slowdown> for String {
    fn from(slowdown: Slowdown) -> Self {
        slowdown.to_string()
    }
}

impl TryFrom<String> for Slowdown {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl FromStr for Slowdown {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |why: &str| Error::BadSlowdown { text: text.to_owned(), why: why.to_owned() };
        let (what, size) = text.split_once('=').ok_or_else(|| bad("it has no `=`"))?;
        let number = || size.parse::<f64>().map_err(|_| bad("its size is no number"));
        let duration = || {
            let span: std::result::Result<jiff::SignedDuration, _> = size.parse();
            let span = span.map_err(|_| bad("its size is no duration, such as 200ms"))?;
            Duration::try_from(span).map_err(|_| bad("a negative delay would be a speed-up"))
        };
        match what {
            "network" => Ok(Self::Network { by: duration()? }),
            "stage" => Ok(Self::Stage { by: duration()? }),
            "writes" => match number()? {
                share if (0.0..=1.0).contains(&share) => Ok(Self::Writes { share }),
                _ => Err(bad("a share is from 0 to 1")),
            },
            _ => match (what.strip_prefix("cpu:"), number()?) {
                (Some(component), factor) if (1.0..=20.0).contains(&factor) => {
                    Ok(Self::Cpu { component: component.to_owned(), factor })
                }
                (Some(_), _) => Err(bad("a factor is from 1 to 20")),
                (None, _) => Err(bad("it is none of cpu:COMPONENT, network, stage, writes")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::one_component("cpu:kube-apiserver=1.3")]
    #[case::the_system("cpu:*=1.3")]
    #[case::network("network=1ms")]
    #[case::stage("stage=200ms")]
    #[case::writes("writes=0.6")]
    fn a_slowdown_is_written_as_it_is_read(#[case] text: &str) {
        let slowdown: Slowdown = text.parse().unwrap();
        assert_eq!(slowdown.to_string(), text);
    }

    #[rstest]
    #[case::no_size("cpu:etcd", "it has no `=`")]
    #[case::faster("cpu:etcd=0.5", "a factor is from 1 to 20")]
    #[case::not_a_number("cpu:etcd=NaN", "a factor is from 1 to 20")]
    #[case::no_unit("stage=200", "its size is no duration")]
    #[case::negative("network=-1ms", "a negative delay")]
    #[case::too_much("writes=1.5", "a share is from 0 to 1")]
    #[case::unknown("disk=2", "it is none of")]
    fn a_slowdown_that_is_none_is_refused_with_the_reason(#[case] text: &str, #[case] why: &str) {
        let error = text.parse::<Slowdown>().unwrap_err().to_string();
        assert!(error.contains(why) && error.contains(text), "{error}");
    }
}
