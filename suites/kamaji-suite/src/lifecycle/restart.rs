//! The operator is killed, and another one has to find its way.

use std::collections::HashMap;
use std::time::Duration;

use harness::{Result, Trial};

use crate::rig::Rig;
use crate::stages::{KILLED, RECONCILED_AGAIN};
use crate::tenant::Tenant;

/// How often the operator's log is read.
const LOOK: Duration = Duration::from_millis(100);

/// From the kill until the next operator has said of every tenant that it is reconciled.
pub(super) async fn restart(trial: &mut Trial, rig: &mut Rig) -> Result<()> {
    let spec = rig.spec("restart", rig.all(), (KILLED, RECONCILED_AGAIN), &[(KILLED, RECONCILED_AGAIN)]);
    trial.expect_death(rig.management.operator.component().process);
    let (edge, _meddling) = rig.begin("restart").await;
    rig.mark_all(&rig.all(), KILLED);
    let supervisor = std::sync::Arc::clone(&rig.management.supervisor);
    let action = async {
        rig.management.operator.kill();
        rig.management.operator.start_again(&supervisor).await?;
        let mut said = rig.management.operator.reconciled();
        let mut left: HashMap<&str, &Tenant> =
            rig.tenants.iter().map(|tenant| (tenant.name.as_str(), tenant)).collect();
        while !left.is_empty() {
            for name in said.next() {
                if let Some(tenant) = left.remove(name.as_str()) {
                    rig.mark(tenant, RECONCILED_AGAIN);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    };
    let outcome = trial.phase(spec, action).await;
    trial.observe(rig.management.operator.component());
    edge.record(trial, "restart", rig.tenants.len(), &rig.management, &rig.proxy, &mut rig.spent).await;
    outcome
}
