//! `cargo xtask cluster preflight`: what somebody's cluster has, what its user may do, and which rows can run there.

use std::collections::BTreeMap;

use cluster::{FREE_OBJECTS, Leave, METRICS, Needs, Preflight};
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::cli::AccessArgs;
use crate::ctx::{Ctx, print, print_json};
use crate::exit::{Exit, Failure};
use crate::guest::ask;
use crate::suites;

/// A row, and whether it can run.
#[derive(Debug, Serialize)]
struct RowFinding {
    suite: String,
    row: String,
    /// Whether it is made for clusters of others at all.
    for_others: bool,
    /// What is missing; absent when it can run.
    needs: Option<String>,
    /// Flags without which it is refused, each with what the row would do.
    flags: Vec<String>,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    preflight: &'a Preflight,
    capabilities: Vec<String>,
    rows: &'a [RowFinding],
}

pub(crate) async fn preflight(ctx: &Ctx, args: &AccessArgs, json: bool) -> Result<Exit, Failure> {
    let (_, _, preflight) = ask(ctx, args).await?;
    let rows = rows(ctx, &preflight)?;
    if json {
        print_json(&Report { capabilities: preflight.capabilities(), preflight: &preflight, rows: &rows });
    } else {
        print(&text(&preflight, &rows));
    }
    let can_run = rows.iter().any(|row| row.needs.is_none());
    Ok(if can_run { Exit::Ok } else { Exit::Unsupported })
}

/// The rows of every suite, with the parameters as they stand, those aside that nobody can ask for.
fn rows(ctx: &Ctx, preflight: &Preflight) -> Result<Vec<RowFinding>, Failure> {
    let mut found = Vec::new();
    for suite in suites::select(ctx, &[])? {
        let (_, rows) = suites::data(&suite)?;
        let disturbed: Vec<&str> = rows.disturbed().collect();
        for row in rows.names().filter(|row| !disturbed.contains(row)) {
            let absent = rows.absent().find(|(absent, _)| *absent == row).map(|(_, needs)| needs);
            let needs = rows.needs(row, &BTreeMap::new());
            let needs = needs.map_err(|error| Failure::usage(error.to_string()))?;
            found.push(finding(&suite.package, row, needs, absent, preflight));
        }
    }
    Ok(found)
}

fn finding(suite: &str, row: &str, needs: Option<Needs>, absent: Option<&str>, preflight: &Preflight) -> RowFinding {
    // Whether kwok is there is seen only when a node is there; a run finds out by making one.
    let lacks = match needs {
        Some(needs) => needs.lacks_rights(&preflight.capabilities()),
        None => Needs::lacks(None, &[]),
    };
    RowFinding {
        suite: suite.to_owned(),
        row: row.to_owned(),
        for_others: needs.is_some(),
        needs: absent.map(str::to_owned).or(lacks),
        flags: needs.map(|needs| needs.wants_leave(Leave::default())).unwrap_or_default(),
    }
}

fn text(preflight: &Preflight, rows: &[RowFinding]) -> String {
    let unreadable = || "not readable by this user".to_owned();
    let nodes = preflight.nodes.map_or_else(unreadable, |nodes| {
        let kind = |all, ready, what| format!("{all} {what} ({ready} Ready)");
        format!(
            "{}, {}",
            kind(nodes.real, nodes.real_ready, "real"),
            kind(nodes.simulated, nodes.simulated_ready, "simulated")
        )
    });
    let kwok = match preflight.nodes {
        Some(nodes) if nodes.simulated_ready > 0 => "there: simulated nodes are Ready",
        _ => "not seen: a run with --allow-nodes makes one node and looks whether it becomes Ready",
    };
    let metrics = match preflight.rights.get(&METRICS.to_string()) {
        Some(true) => "of the apiserver; etcd's are not, because a kubeconfig names no etcd",
        _ => "none: /metrics may not be read, so records have no API requests",
    };
    let fairness = preflight.flow_schemas.map_or_else(unreadable, |n| format!("{n} FlowSchemas"));
    let others = preflight.namespaces_of_others.map_or_else(unreadable, |n| match n {
        0 => "no namespace of other people's runs".to_owned(),
        n => format!("{n} namespace(s) of other people's runs: both measure each other"),
    });
    let mut lines = vec![
        format!("cluster   {} (context `{}`)", preflight.server, preflight.context),
        format!("version   Kubernetes {}", preflight.kubernetes),
        format!("user      {}", preflight.user.clone().unwrap_or_else(|| "unknown".to_owned())),
        format!("nodes     {nodes}"),
        format!("kwok      {kwok}"),
        format!("metrics   {metrics}"),
        format!("fairness  {fairness}"),
        format!("others    {others}"),
        "lease     local: it keeps this machine's runs apart, and knows of nobody else's".to_owned(),
        "\nwhat the user may do:".to_owned(),
    ];
    let mut by_resource: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (right, allowed) in &preflight.rights {
        let (verb, resource) = right.split_once(" on ").unwrap_or((right, ""));
        let not = if *allowed { "" } else { "NOT " };
        by_resource.entry(resource).or_default().push(format!("{not}{verb}"));
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (resource, verbs) in by_resource {
        table.add_row([resource.to_owned(), verbs.join(", ")]);
    }
    lines.push(table.trim_fmt());
    lines.push("\nrows:".to_owned());
    let (for_others, ours): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.for_others);
    for row in for_others {
        lines.push(match (&row.needs, row.flags.as_slice()) {
            (Some(needs), _) => format!(" {} {}: not selected: needs {needs}", row.suite, row.row),
            (None, []) => format!(" {} {}: can run", row.suite, row.row),
            (None, flags) => format!(" {} {}: can run with\n   {}", row.suite, row.row, flags.join("\n   ")),
        });
    }
    let mut by_need: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for row in ours {
        by_need.entry((row.suite.as_str(), row.needs.as_deref().unwrap_or_default())).or_default().push(&row.row);
    }
    for ((suite, needs), rows) in by_need {
        lines.push(format!(" {suite}, {} rows: not selected: needs {needs}\n   {}", rows.len(), rows.join(", ")));
    }
    lines.push(format!(
        "\nnothing was created; smaller sizes (--set) of up to {FREE_OBJECTS} nodes and pods need no --allow-load"
    ));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::NodeCount;
    use rstest::rstest;

    fn preflight(forbidden: &[&str]) -> Preflight {
        let rights = Needs::all_rights().chain([METRICS]).map(|right| right.to_string());
        Preflight {
            context: "lab".to_owned(),
            server: "https://10.0.0.1:6443".to_owned(),
            user: Some("jane".to_owned()),
            kubernetes: "v1.36.3".to_owned(),
            nodes: Some(NodeCount { real: 3, real_ready: 2, simulated: 5, simulated_ready: 5 }),
            rights: rights.map(|right| (right.clone(), !forbidden.contains(&right.as_str()))).collect(),
            flow_schemas: Some(13),
            namespaces_of_others: Some(1),
        }
    }

    fn findings(preflight: &Preflight) -> Vec<RowFinding> {
        let needs = Needs { nodes: 200, pods: 1000 };
        vec![
            finding("kperf-suite", "nodepool_smoke", Some(needs), None, preflight),
            finding("kperf-suite", "example_smoke", None, None, preflight),
            finding("kperf-suite", "example_group", None, None, preflight),
            finding("spiderpool-suite", "kube_ovn_v4_1x100", None, Some("KUBEDYNO_KUBE_OVN"), preflight),
        ]
    }

    #[rstest]
    #[case::everything("everything", preflight(&[]))]
    #[case::little("little", Preflight {
        nodes: None, user: None, flow_schemas: None, namespaces_of_others: None,
        ..preflight(&["create on nodes", "list on nodes", "get on /metrics", "create on namespaces"])
    })]
    fn a_preflight_reads_as_text(#[case] name: &str, #[case] preflight: Preflight) {
        insta::assert_snapshot!(name, text(&preflight, &findings(&preflight)));
    }

    /// Every row that a run can select is there, with what it lacks, and none that only disturbed tests run.
    #[test]
    fn every_row_is_listed_with_whether_it_can_run() {
        let root = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
        let ctx = Ctx { root, cache: std::path::PathBuf::new(), state: std::path::PathBuf::new() };
        let found = rows(&ctx, &preflight(&[])).map_err(|failure| failure.to_string()).unwrap();
        let of = |row: &str| found.iter().find(|finding| finding.row == row);
        assert_eq!(of("nodepool_smoke").unwrap().needs, None);
        assert_eq!(of("tcp_10").unwrap().needs.as_deref(), Some("a cluster that this project made"));
        assert!(of("kube_ovn_v4_1x100").unwrap().needs.as_deref().unwrap().contains("KUBE_OVN"));
        let aside =
            |row: &str| ["disturbed", "_fault", "_lagging", "_arms", "_burdened"].iter().any(|word| row.contains(word));
        assert_eq!(found.iter().find(|finding| aside(&finding.row)).map(|finding| &finding.row), None);
    }
}
