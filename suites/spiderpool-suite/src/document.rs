//! The four tables of document 004, and where our rows stand in them.

use record::{Cell, Published};

use crate::system::{Families, PluginName};

const PHASES: [&str; 4] = ["create", "rebuild", "recover", "delete"];
const SPIDERPOOL: &str = "macvlan + Spiderpool v0.4.1";
const WHEREABOUTS: &str = "macvlan + Whereabouts v0.6.1";
pub(crate) const KUBE_OVN: &str = "Kube-OVN v1.11.3";
pub(crate) const CALICO: &str = "Calico + calico-ipam v3.23.3";
// No rows of the document's: the floor of ours, and other ways to ask or to set up what it has.
const HOST_LOCAL: &str = "host-local";
const NODE_SLICES: &str = "Whereabouts with node slices";
const BY_EXEC: &str = "Spiderpool through its CNI program";
const SUBNETS: &str = "Spiderpool with SpiderSubnets";
/// Pods of every table.
const PODS: u32 = 1000;

/// A table: its title, and the figures of each system by phase.
type Table = (&'static str, [(&'static str, [&'static str; 4]); 4]);

/// The table of these families and this shape.
fn table(families: Families, deployments: u32) -> Table {
    match (families, deployments == 1) {
        (Families::Dual, true) => (
            "Dual stack, 1 Deployment of 1000",
            [
                (SPIDERPOOL, ["2m35s", "9m50s", "3m4s", "1m50s"]),
                (WHEREABOUTS, ["25m18s", "failed", "failed", "3m5s"]),
                (KUBE_OVN, ["3m55s", "7m20s", "11m6s", "2m13s"]),
                (CALICO, ["1m56s", "4m6s", "3m42s", "1m36s"]),
            ],
        ),
        (Families::Dual, false) => (
            "Dual stack, 100 Deployments of 10",
            [
                (SPIDERPOOL, ["1m37s", "3m27s", "3m3s", "1m22s"]),
                (WHEREABOUTS, ["21m49s", "failed", "failed", "2m9s"]),
                (KUBE_OVN, ["4m6s", "7m46s", "10m22s", "2m8s"]),
                (CALICO, ["1m57s", "3m58s", "4m16s", "1m35s"]),
            ],
        ),
        (Families::V4, true) => (
            "IPv4, 1 Deployment of 1000",
            [
                (SPIDERPOOL, ["2m18s", "6m41s", "3m1s", "1m37s"]),
                (WHEREABOUTS, ["8m16s", "failed", "failed", "2m7s"]),
                (KUBE_OVN, ["3m32s", "7m7s", "9m41s", "1m47s"]),
                (CALICO, ["1m41s", "3m33s", "3m42s", "1m27s"]),
            ],
        ),
        (Families::V4, false) => (
            "IPv4, 100 Deployments of 10",
            [
                (SPIDERPOOL, ["1m4s", "3m23s", "3m3s", "1m23s"]),
                (WHEREABOUTS, ["8m13s", "failed", "failed", "2m7s"]),
                (KUBE_OVN, ["3m36s", "7m14s", "8m52s", "1m41s"]),
                (CALICO, ["1m39s", "3m25s", "4m24s", "1m27s"]),
            ],
        ),
    }
}

impl PluginName {
    /// Its place in the tables.
    pub(crate) fn system(self) -> &'static str {
        match self {
            Self::HostLocal => HOST_LOCAL,
            Self::Whereabouts => WHEREABOUTS,
            Self::WhereaboutsNodeSlice => NODE_SLICES,
            Self::Spiderpool => SPIDERPOOL,
            Self::SpiderpoolExec => BY_EXEC,
            Self::SpiderpoolSubnet => SUBNETS,
        }
    }
}

/// The figures that stand beside those of a row of the system `own`: its own, and those of the others in its table when it has
/// as many pods as the document.
pub(crate) fn published(own: &str, families: Families, deployments: u32, replicas: u32) -> Vec<Published> {
    let (title, rows) = table(families, deployments);
    let whole = deployments * replicas == PODS;
    let unpublished = [HOST_LOCAL, NODE_SLICES, BY_EXEC, SUBNETS].map(|name| (name, ["-"; 4]));
    let unpublished = unpublished.into_iter().filter(|(name, _)| *name == HOST_LOCAL || *name == own);
    let rows = rows.into_iter().chain(unpublished).filter(|(name, _)| *name == own || whole);
    let figures = rows.flat_map(|(name, figures)| PHASES.into_iter().zip(figures).map(move |pair| (name, pair)));
    let figures = figures.filter(|(name, (_, theirs))| *theirs != "-" || (*name == own && whole));
    let figure = |(name, (phase, theirs)): (&str, (&str, &str))| Published {
        figure: format!("{phase}, 1,000 pods, {name}"),
        theirs: theirs.to_owned(),
        source: "document 004, results".to_owned(),
        metric: (name == own).then(|| format!("{phase}_s")),
        cell: whole.then(|| Cell {
            table: title.to_owned(),
            row: name.to_owned(),
            column: phase.to_owned(),
            baseline: [CALICO, HOST_LOCAL].contains(&name),
        }),
    };
    figures.map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Matrix;
    use crate::row::parameters;
    use rstest::rstest;
    use std::collections::BTreeMap;

    #[rstest]
    #[case::the_subject("spiderpool_v4_1x1000_published", 16, Some("2m18s"))]
    #[case::a_comparator("whereabouts_dual_100x10_published", 16, Some("21m49s"))]
    #[case::the_floor("host_local_v4_1x1000_published", 20, Some("-"))]
    #[case::another_way_to_ask("spiderpool_exec_v4_100x10_published", 20, Some("-"))]
    #[case::a_smaller_row("spiderpool_v4_1x100", 4, Some("2m18s"))]
    #[case::a_smaller_floor("host_local_v4_1x100", 0, None)]
    fn a_row_knows_its_place_in_the_document(#[case] row: &str, #[case] figures: usize, #[case] create: Option<&str>) {
        let (matrix, ..) = parameters().unwrap().row::<Matrix>(row, &BTreeMap::new()).unwrap();
        let published = published(matrix.plugin.system(), matrix.families, matrix.deployments, matrix.replicas);
        assert_eq!(published.len(), figures);
        let own = published.iter().find(|figure| figure.metric.as_deref() == Some("create_s"));
        assert_eq!(own.map(|figure| figure.theirs.as_str()), create);
    }
}
