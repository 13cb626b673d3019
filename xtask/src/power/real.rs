//! Real gates, as a check of those that were drawn.

use measure::gate::Rule;
use measure::stats::Rate;

use crate::cli::GateArgs;
use crate::ctx::{Ctx, print};
use crate::exit::{Exit, Failure};
use crate::gate::gate;
use crate::suites::Suite;

/// Runs `n` gates of equal arms and `n` of a system that is 1.3 x slower, and prints k of n with an interval.
pub(super) async fn gates(ctx: &Ctx, suite: &Suite, n: u32) -> Result<(), Failure> {
    for (head, hit) in [("pinned", false), ("pinned+cpu:*=1.3", true)] {
        let mut worse = 0;
        for _ in 0..n {
            let args = GateArgs {
                suite: suite.package.clone(),
                base: "pinned".to_owned(),
                head: head.to_owned(),
                component: "kube-apiserver".to_owned(),
                pairs: 10,
                allow_untold: false,
                must_see: None,
                allow_different: false,
                seed: None,
                out: None,
            };
            worse += u64::from(gate(ctx, &args).await? == Exit::BudgetFailed);
        }
        let rate = Rate::new(worse, u64::from(n), Rule::default().confidence);
        let wanted = if hit { "has to find" } else { "must not find" };
        print(&format!("real gates, head {head}, which a gate {wanted}: worse in {rate}"));
    }
    Ok(())
}
