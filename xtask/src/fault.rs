//! `cargo xtask cluster fault`: what can be done to the components of a cluster, and to the way to its apiserver.

use std::time::Duration;

use cluster::{Faults, Fixtures, Proxy, fault_kubeconfig};
use jiff::SignedDuration;

use crate::cli::FaultVerb;
use crate::ctx::{print, say};
use crate::exit::{Exit, Failure};
use crate::signals::Signals;

pub(crate) async fn fault(fixtures: &Fixtures, name: &str, force: bool, verb: FaultVerb) -> Result<Exit, Failure> {
    // What mends breaks nothing, and a way of one's own to the apiserver is nobody else's.
    if !matches!(verb, FaultVerb::Resume { .. } | FaultVerb::Network { .. }) {
        fixtures.check_unused(name, force)?;
    }
    let faults = Faults::of(fixtures, name);
    let line = match verb {
        FaultVerb::Pause { component, how_long } => {
            let process = faults.pause(&component)?;
            match how_long {
                None => format!("{component} ({process}) stands still; `cargo xtask cluster fault resume {component}`"),
                Some(how_long) => {
                    say(&format!("{component} ({process}) stands still for {how_long:#}"));
                    until(how_long).await?;
                    faults.resume(&component)?;
                    format!("{component} goes on")
                }
            }
        }
        FaultVerb::Resume { component } => format!("{component} ({}) goes on", faults.resume(&component)?),
        FaultVerb::Stop { component } => {
            fixtures.descriptor(name)?.require(&component)?;
            say(&format!("waiting for {component} to end: it finishes what it is at, a minute at most"));
            format!("{component} ({}) has ended", faults.stop(&component)?)
        }
        FaultVerb::Kill { component } => format!("{component} ({}) is killed", faults.kill(&component)?),
        FaultVerb::Restart { component } => format!("{component} runs again ({})", faults.restart(&component, &say)?),
        FaultVerb::FillDisk { component, how_long } => {
            let process = faults.fill_disk(&component)?;
            match how_long {
                None => format!(
                    "no file of {component} ({process}) grows any more; `cargo xtask cluster up --name {name}` gives it room again"
                ),
                Some(how_long) => {
                    say(&format!("no file of {component} ({process}) grows for {how_long:#}"));
                    until(how_long).await?;
                    faults.free_disk(&component)?;
                    format!("{component} has room again")
                }
            }
        }
        FaultVerb::Network { delay, cut_every, cut_for } => {
            return network(fixtures, name, delay, cut_every, cut_for).await;
        }
    };
    print(&line);
    Ok(Exit::Ok)
}

async fn network(
    fixtures: &Fixtures,
    name: &str,
    delay: SignedDuration,
    cut_every: Option<SignedDuration>,
    cut_for: SignedDuration,
) -> Result<Exit, Failure> {
    let descriptor = fixtures.descriptor(name)?;
    let kubeconfig = fault_kubeconfig(&fixtures.directory(name));
    let proxy = Proxy::of_apiserver(&descriptor, &kubeconfig).await?;
    proxy.delay(positive(delay)?);
    print(&format!("export KUBECONFIG={}", kubeconfig.display()));
    say(&format!("{} leads to {} until Ctrl-C", proxy.address(), descriptor.apiserver));
    let disturb = async {
        let Some(every) = cut_every else { return std::future::pending().await };
        loop {
            tokio::time::sleep(positive(every)?).await;
            say(&format!("cut for {cut_for:#}"));
            proxy.cut();
            tokio::time::sleep(positive(cut_for)?).await;
            proxy.mend();
        }
    };
    let outcome: Result<(), Failure> = tokio::select! {
        ended = disturb => ended,
        interrupted = interrupted() => interrupted,
    };
    std::fs::remove_file(&kubeconfig).ok();
    outcome.map(|()| Exit::Ok)
}

/// Waits so long, or until somebody has had enough: what was broken is mended either way.
async fn until(how_long: SignedDuration) -> Result<(), Failure> {
    let how_long = positive(how_long)?;
    tokio::select! {
        () = tokio::time::sleep(how_long) => Ok(()),
        interrupted = interrupted() => interrupted,
    }
}

async fn interrupted() -> Result<(), Failure> {
    Signals::listen()?.next().await;
    Ok(())
}

fn positive(duration: SignedDuration) -> Result<Duration, Failure> {
    Duration::try_from(duration).map_err(|_| Failure::usage(format!("{duration:#} is no duration to wait")))
}
