//! The document's experiment: Deployments at a fixed rate, each pod pulling one image that no node has; and, where a row asks
//! for it, once more with the image there.

use std::collections::BTreeMap;
use std::time::SystemTime;

use harness::{Account, Result, Trial};
use measure::StallRule;
use origin::Origin;
use pulls::histograms::Scrape;

use crate::deployment::Template;
use crate::deployments::Deployments;
use crate::parameters::PullTest;
use crate::pods::{Round, STAGES};
use crate::report::Report;
use crate::rig::Rig;
use crate::started::Started;

/// What disturbs a trial, for showing that its budgets can be missed: called when everything is there and nothing has begun.
pub type Disturb = Box<dyn FnOnce(&Origin, &[cluster::KindNode], &str) + Send>;

/// Runs a row.
///
/// # Errors
/// When the registry does not start, the apiserver refuses something, or a phase does not complete.
pub async fn drive(trial: &mut Trial, row: &PullTest, disturb: Option<Disturb>) -> Result<()> {
    let rig = Rig::start(trial, row).await?;
    if let Some(disturb) = disturb {
        disturb(&rig.origin, &rig.workers, &rig.image());
    }
    let (account, scale) = (Account::new(STAGES), row.scale());
    let names: &[&str] = if row.again { &["pull", "again"] } else { &["pull"] };
    let rounds: Vec<Round> = names.iter().map(|name| Round::open(&account, name, scale)).collect();
    let template = Template { labels: trial.labels(), image: rig.image(), node_selector: BTreeMap::new() };
    let rule = StallRule::seconds(row.stalled_after_s, row.phase_limit_s);
    let deployments = Deployments::watched(trial, &account, &rounds, template, scale, rule).await?;

    let mut report = Report::new(&rig, row)?;
    let phases = [("create", "delete"), ("create-again", "delete-again")];
    for (round, (create, delete)) in rounds.iter().zip(phases) {
        let before = Scrape::read(trial.client(), &rig.names()).await?;
        let since = SystemTime::now();
        let mut slips = Vec::new();
        let action = deployments.create(round, &mut slips);
        let outcome = trial.phase(deployments.creation(create, round), action).await;
        let started = Started { round, account: &account, slips: &slips, scale };
        let reported = async {
            report.pulled(trial, create, round, since).await?;
            started.report(trial, create).await?;
            report.grown(trial, create, &before).await
        };
        let reported = reported.await;
        // That a phase did not complete is the news, and not that a node that stands still answers nothing.
        outcome?;
        reported?;
        started.paced(create)?;
        trial.phase(deployments.deletion(delete, round), deployments.delete(round)).await?;
    }
    Ok(())
}
