//! `kperf runner run`: a load from one process.

mod live;
mod output;
mod raw;

use std::path::PathBuf;

use apiload::{Control, Failure, Outcome, Target};
use kube::Config;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::access::access;
use crate::error::Result;
use crate::exit::Exit;
use crate::profile::{LoadProfile, Overrides, Sending, Spec};
use crate::report::{Format, Latency, Report};
use crate::say;
pub use output::Output;
pub use raw::Raw;

/// What is asked of a runner.
#[derive(Debug)]
pub struct Run {
    /// The kubeconfig; found as kubectl does where none is named.
    pub kubeconfig: Option<PathBuf>,
    /// The profile.
    pub config: PathBuf,
    /// Flags that replace what it says.
    pub overrides: Overrides,
    /// How it is sent.
    pub sending: Sending,
    /// File of the result; stdout where there is none.
    pub result: Option<PathBuf>,
    /// File of every single request, if it is wanted.
    pub raw_data: Option<PathBuf>,
    /// The form of the result; that of the profile's kperf where none is named.
    pub format: Option<Format>,
    /// The latency of kperf's forms.
    pub latency: Latency,
    /// How much is said on stderr.
    pub verbosity: u8,
}

/// Reads the profile, runs it, and writes the result: whole, or what there is when it is interrupted.
///
/// # Errors
/// When the profile is refused, the cluster cannot be reached, or the result cannot be written.
pub async fn run(asked: &Run) -> Result<Exit> {
    let profile = LoadProfile::read(&asked.config)?.with(&asked.overrides)?;
    tell(&profile, asked.verbosity);
    // Before the load, so that an hour of it is not lost to a path that cannot be written.
    let output = Output::open(asked.result.as_deref())?;
    let (control, raw) = match &asked.raw_data {
        Some(path) => {
            let (control, finished) = Control::streaming(raw::ROOM);
            (control, Some(Raw::open(path, finished)?))
        }
        None => (Control::new(), None),
    };
    let config = access(asked.kubeconfig.clone()).await?;
    let outcome = load(&config, &profile, &asked.sending, &control).await?;
    let report = Report { profile: &profile, outcome: &outcome, latency: asked.latency, errors: raw.is_some() };
    output.write(&report.json(asked.format.unwrap_or(Format::of(&profile))))?;
    let lost = control.lost();
    drop(control);
    if let Some(raw) = raw {
        raw.finish()?;
        if lost > 0 {
            say(&format!("warning: {lost} requests are missing in the raw data: the disk did not keep up"));
        }
    }
    Ok(judge(&outcome))
}

/// Runs a profile until its end, or until SIGINT or SIGTERM.
///
/// # Errors
/// When the plan cannot be run, or the cluster cannot be reached.
pub async fn load(config: &Config, profile: &LoadProfile, sending: &Sending, control: &Control) -> Result<Outcome> {
    let plan = profile.plan(sending)?;
    // Ended with this function, like the line.
    let mut beside = JoinSet::new();
    beside.spawn(stop_on_signals(control.clone()));
    beside.spawn(live::show(control.live(), profile.specs().len()));
    let target = Target::new(config).await?;
    let outcome = apiload::run(&target, &plan, control).await;
    beside.shutdown().await;
    live::clear();
    Ok(outcome?)
}

/// Stops the load at the first SIGINT or SIGTERM.
async fn stop_on_signals(control: Control) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return say("warning: signals cannot be taken: Ctrl-C will end this without a result");
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    control.stop();
}

/// What stderr is told before a load.
fn tell(profile: &LoadProfile, verbosity: u8) {
    for (index, spec) in profile.specs().iter().enumerate() {
        if spec.total > 0 && spec.duration > 0 {
            say(&format!(
                "warning: spec {index} has both total: {} and duration: {}; the duration is ignored",
                spec.total, spec.duration
            ));
        }
        if verbosity >= 2 {
            say(&setting(spec));
        }
    }
}

/// The line that kperf writes from `-v 2` on.
fn setting(spec: &Spec) -> String {
    let until = spec.total().map_or(format!("duration={}", spec.duration), |total| format!("total={total}"));
    format!(
        "\"Setting\" clients={} connections={} rate={} {until} http2={} content-type={:?}",
        spec.clients(),
        spec.conns(),
        spec.rate,
        !spec.disable_http2,
        spec.content_type.map_or("json", |content| match content {
            apiload::Content::Json => "json",
            apiload::Content::Protobuf => "protobuf",
        }),
    )
}

/// The exit code of a load, and on stderr why it is not 0.
fn judge(outcome: &Outcome) -> Exit {
    let sum = |count: fn(&apiload::Counts) -> u64| -> u64 {
        outcome.phases.iter().map(|phase| count(&phase.total.counts)).sum()
    };
    for phase in &outcome.phases {
        if let Some(why) = &phase.invalid {
            say(&format!("warning: {why}"));
        }
    }
    if sum(|counts| counts.offered) == 0 {
        say("error: nothing was sent");
        return Exit::NothingRan;
    }
    if sum(|counts| counts.completed) == 0 {
        say(&format!("error: not one request was answered well: {}", most_frequent(outcome)));
        return Exit::NotMeasured;
    }
    if outcome.stopped {
        say("warning: interrupted: the result is what there was until then");
    }
    let valid = outcome.phases.iter().all(|phase| phase.invalid.is_none());
    if outcome.stopped || !valid { Exit::NotMeasured } else { Exit::Done }
}

/// What most requests failed of, with what the server said, and what to do about it.
fn most_frequent(outcome: &Outcome) -> String {
    let failed = outcome.phases.iter().flat_map(|phase| &phase.total.counts.failed);
    let Some((failure, n)) = failed.max_by_key(|(_, n)| **n) else {
        return "all timed out, or were cancelled".to_owned();
    };
    let samples = outcome.phases.iter().flat_map(|phase| &phase.failures);
    let said = samples.filter(|sample| sample.failure == Some(*failure)).map(|sample| sample.message.as_str()).next();
    let fix = match failure {
        Failure::Status(401) => ": the credentials of the kubeconfig are not valid (any more); log in again",
        Failure::Status(403) => ": the user of the kubeconfig may not do this; ask for the right",
        Failure::Status(404) => ": what is asked for is not there; `kperf profile lint --kubeconfig` names it",
        _ => "",
    };
    format!("{n} failed of {failure} ({}){fix}", said.unwrap_or_default())
}
