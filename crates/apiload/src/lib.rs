//! Load on the Kubernetes API that tells the truth when the server stalls.
//!
//! An open loop: an OS thread hands each request over at the time that a [`measure::Schedule`] fixed in advance, and its
//! response time is counted from then, whatever the server does. Virtual clients send over connections that this crate
//! owns, so that nothing queues, retries or pools where it is not seen. [`run`] takes a [`Plan`] and gives an [`Outcome`].
//!
//! Three stamps make two columns. A request is *intended*, *sent* and *done*. The **response time**, from intended to
//! done, is what a user feels, and holds the wait for a free client and for a connection. The **service time**, from sent
//! to done, is what the server did. Both hold failures and timeouts.

mod answer;
mod client;
mod connect;
mod control;
mod credentials;
mod error;
mod failure;
mod feed;
mod frames;
mod link;
mod mix;
mod operation;
mod outcome;
mod plan;
mod recorder;
mod request;
mod row;
mod run;
mod series;
mod skim;
mod stream;
mod summary;
mod tally;
mod target;

pub use control::{Control, Finished, Live};
pub use error::{Error, PlanError, Result};
pub use failure::Failure;
pub use mix::{Draw, Mix};
pub use outcome::{Connections, Outcome, PhaseOutcome, Setup};
pub use plan::{Content, Http2, Phase, Plan, Protocol, Share};
pub use recorder::{Ended, FlowControl, Record, Recorder, RetryAfter, Sample};
pub use request::{Get, List, Patch, PatchType, PodLog, PostDel, Put, Request, WatchList};
pub use row::{Objects, Row, Times};
pub use run::run;
pub use series::Interval;
pub use skim::items;
pub use summary::Summary;
pub use tally::Counts;
pub use target::Target;
