//! What is known of a trial before it runs: its record, and whether its cluster supports it at all.

use std::collections::BTreeMap;

use cluster::Descriptor;
use measure::Verdict;
use record::RunDir;

use crate::context::Context;
use crate::error::Result;
use crate::trial::Row;

/// The record of a row that its cluster, or the project as it is, does not support; nothing was created.
pub(crate) fn unsupported(row: &Row, context: &Context, descriptor: &Descriptor, lacks: &str) -> Result<record::Trial> {
    let mut record = opening_record(row, context, descriptor);
    record.verdict = Some(Verdict::Unsupported);
    record.reason = format!("needs {lacks}");
    write_opening(row, context, &record)?;
    Ok(record)
}

/// Writes the record that a row begins with. The first record of a session of nextest makes its run the latest: one in which no
/// row began leaves `latest` where it is.
pub(crate) fn write_opening(row: &Row, context: &Context, record: &record::Trial) -> Result<RunDir> {
    let run = RunDir::at(&context.results);
    let first = context.is_session && !run.has_records();
    let run_dir = run_dir(row, context);
    run_dir.write_trial(record)?;
    if first {
        run.mark_latest()?;
    }
    Ok(run_dir)
}

/// Where the record of a row goes.
pub(crate) fn run_dir(row: &Row, context: &Context) -> RunDir {
    let aside = row.aside.as_ref().map(|aside| context.results.join(aside));
    RunDir::at(aside.unwrap_or_else(|| context.results.clone()))
}

/// The record that a trial begins with.
pub(crate) fn opening_record(row: &Row, context: &Context, descriptor: &Descriptor) -> record::Trial {
    let json = |table: &toml::Table| {
        let entries = table.iter().map(|(key, value)| (key.clone(), serde_json::to_value(value).unwrap_or_default()));
        entries.collect::<BTreeMap<_, _>>()
    };
    record::Trial {
        schema: record::SCHEMA,
        metrics_version: record::METRICS,
        run_id: context.run_id.clone(),
        suite: row.suite.to_owned(),
        test: row.test.clone(),
        provider: descriptor.provider.clone(),
        profile: context.profile.clone(),
        document: row.document.clone(),
        comparator: row.comparator,
        arm: context.arm.clone(),
        started_at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        reason: "before the first phase".to_owned(),
        deviations: deviations(row, descriptor),
        parameters: json(&row.parameters),
        overridden: json(&row.overridden),
        versions: descriptor.versions.clone(),
        settings: serde_json::to_value(&descriptor.settings).unwrap_or_default(),
        programs: descriptor.programs.iter().filter_map(|program| serde_json::to_value(program).ok()).collect(),
        published: row.published.clone(),
        ..record::Trial::default()
    }
}

fn deviations(row: &Row, descriptor: &Descriptor) -> Vec<String> {
    let of_others = [
        "The cluster is not ours: its settings, its machines and who else loads it are unknown, and no component's CPU is seen.",
        "The machine of this record is the one that measured; what the network in between costs is in every time.",
        "API requests are those that one apiserver counted, other people's among them.",
    ];
    let of_provider = match descriptor.is_existing() {
        true => of_others.map(str::to_owned).into(),
        false => row.deviations_of_our_clusters.clone(),
    };
    let given = descriptor.programs.iter().filter(|program| program.deviates);
    let given = given
        .map(|program| format!("{} is not the pinned build: {} ({})", program.name, program.version, program.source));
    [row.deviations.clone(), of_provider, given.collect()].concat()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn row(aside: Option<&str>) -> Row {
        Row {
            suite: "x-suite",
            test: "row".to_owned(),
            fixture: "",
            document: record::Document::default(),
            needs: None,
            lacks: None,
            deviations: Vec::new(),
            deviations_of_our_clusters: Vec::new(),
            published: Vec::new(),
            aside: aside.map(str::to_owned),
            kubeconfig: None,
            arm: None,
            comparator: false,
            budgets: measure::Budgets::default(),
            parameters: toml::Table::new(),
            overridden: toml::Table::new(),
        }
    }

    /// A session whose `run.json` is there, as the setup script leaves it.
    fn session(results: &Path, run_id: &str, is_session: bool) -> Context {
        let run = results.join(run_id);
        RunDir::at(&run).write_file("run.json", b"{}").unwrap();
        Context {
            run_id: run_id.to_owned(),
            results: run,
            profile: "default".to_owned(),
            sets: BTreeMap::new(),
            leave: cluster::Leave::default(),
            arm: None,
            profile_of: None,
            kubeconfig: None,
            is_session,
        }
    }

    #[test]
    fn the_first_record_of_a_session_makes_it_the_latest_and_nothing_else_does() {
        let results = tempfile::tempdir().unwrap();
        let latest = || std::fs::read_link(results.path().join("latest")).ok();
        let begin = |context: &Context, aside| write_opening(&row(aside), context, &record::Trial::default()).unwrap();
        let of_unit_tests = session(results.path(), "b", true);
        assert!(!RunDir::at(&of_unit_tests.results).has_records());
        let disturbed = session(results.path(), "a", true);
        RunDir::at(&disturbed.results).show_progress("x-suite", "row", "waiting for `default`");
        begin(&disturbed, Some("disturbed/test"));
        assert_eq!(latest().as_deref(), Some(Path::new("a")));
        begin(&session(results.path(), "c", true), None);
        begin(&disturbed, Some("disturbed/another"));
        begin(&session(results.path(), "d", false), None);
        assert_eq!(
            latest().as_deref(),
            Some(Path::new("c")),
            "an older session goes on, and another's run is marked by it"
        );
    }
}
