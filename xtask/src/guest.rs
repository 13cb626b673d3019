//! A run on a cluster of others: what may run there, what needs leave, and that nothing of the run stays.

use std::path::PathBuf;

use cluster::{Access, Leave, Needs, Preflight, SIMULATED_NODES, simulates_nodes};
use record::Expected;

use crate::cli::{AccessArgs, RunArgs};
use crate::ctx::{Ctx, say};
use crate::exit::Failure;

/// A cluster of others that a run is about to use.
pub(crate) struct Guest {
    access: Access,
    preflight: Preflight,
    client: kube::Client,
    leave: Leave,
    capabilities: Vec<String>,
}

/// A row that was selected, with what it needs.
#[derive(Clone, Debug)]
pub(crate) struct NeedyRow {
    pub(crate) row: Expected,
    pub(crate) needs: Option<Needs>,
}

impl Guest {
    pub(crate) async fn arrive(ctx: &Ctx, args: &RunArgs) -> Result<Self, Failure> {
        let (access, client, preflight) = ask(ctx, &args.access).await?;
        let leave = Leave { nodes: args.allow_nodes, load: args.allow_load };
        let capabilities = preflight.capabilities();
        Ok(Self { access, preflight, client, leave, capabilities })
    }

    /// The value of [`harness::LEAVE`].
    pub(crate) fn leave(&self) -> String {
        let words = [(self.leave.nodes, "nodes"), (self.leave.load, "load")];
        words.iter().filter(|(given, _)| *given).map(|(_, word)| *word).collect::<Vec<_>>().join(",")
    }

    /// Refuses rows that could hurt others without leave. Rows that cannot run there anyway need none.
    pub(crate) fn ask_leave(&self, rows: &[NeedyRow]) -> Result<(), Failure> {
        let mut wants = Vec::new();
        for NeedyRow { row, needs } in rows {
            let needs = needs.filter(|needs| needs.lacks_rights(&self.capabilities).is_none()).unwrap_or_default();
            wants.extend(needs.wants_leave(self.leave).into_iter().map(|want| format!("\n  {}: {want}", row.test)));
        }
        if wants.is_empty() {
            return Ok(());
        }
        let of = format!("{} (context `{}`)", self.access.server, self.access.context);
        Err(Failure::usage(format!("nothing was created on {of}; add what you may do there:{}", wants.concat())))
    }

    /// Writes the cluster's descriptor and returns the fixture's name. When a row needs simulated nodes and none is
    /// there, one is made to see whether kwok is.
    pub(crate) async fn settle(&mut self, ctx: &Ctx, run_id: &str, rows: &[NeedyRow]) -> Result<String, Failure> {
        let fixtures = ctx.fixtures();
        let needs_nodes = |row: &NeedyRow| {
            row.needs.is_some_and(|needs| needs.nodes > 0 && needs.lacks_rights(&self.capabilities).is_none())
        };
        let known = self.capabilities.iter().any(|capability| capability == SIMULATED_NODES);
        if !known && rows.iter().any(needs_nodes) {
            say("no simulated node is there: making one to see whether it becomes Ready");
            if simulates_nodes(&self.client, run_id, &fixtures.owner()?).await? {
                self.capabilities.push(SIMULATED_NODES.to_owned());
            }
        }
        Ok(fixtures.adopt_existing(&self.access, &self.preflight, self.capabilities.clone(), &say)?.name)
    }

    /// The rows that cannot run there, each with what it needs.
    pub(crate) fn cannot_run(&self, rows: &[NeedyRow]) -> Vec<(Expected, String)> {
        let lacks = |row: &NeedyRow| Some((row.row.clone(), Needs::lacks(row.needs.as_ref(), &self.capabilities)?));
        rows.iter().filter_map(lacks).collect()
    }

    /// Removes what the run's tests left in the cluster, and waits until it is gone.
    pub(crate) async fn leave_clean(&self, ctx: &Ctx, run_id: &str) {
        if let Err(error) = ctx.fixtures().sweep(&self.client, Some(run_id), false, &say).await {
            say(&format!(
                "something of this run may be left in {}: {error}; `cargo xtask cluster gc` removes it",
                self.access.server
            ));
        }
    }
}

/// Finds the cluster that the arguments name and asks it what it has and allows. Creates nothing there.
pub(crate) async fn ask(ctx: &Ctx, args: &AccessArgs) -> Result<(Access, kube::Client, Preflight), Failure> {
    let access = Access::read(&kubeconfigs(args)?, args.context.as_deref())?;
    let client = access.client().await?;
    let preflight = Preflight::of(&client, &access, &ctx.fixtures().owner()?).await?;
    Ok((access, client, preflight))
}

/// The kubeconfigs that kubectl would read.
fn kubeconfigs(args: &AccessArgs) -> Result<Vec<PathBuf>, Failure> {
    if let Some(file) = &args.kubeconfig {
        return match file.is_file() {
            true => Ok(vec![file.clone()]),
            false => Err(Failure::usage(format!("--kubeconfig {}: there is no such file", file.display()))),
        };
    }
    let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let listed: Vec<PathBuf> = std::env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty()).collect();
    match (listed.is_empty(), std::env::var_os("HOME")) {
        (false, _) => Ok(listed),
        (true, Some(home)) => Ok(vec![PathBuf::from(home).join(".kube/config")]),
        (true, None) => {
            Err(Failure::environment("neither KUBECONFIG nor HOME is set: name a kubeconfig with --kubeconfig FILE"))
        }
    }
}
