//! nextest's JUnit file with the verdicts in it.

use std::path::Path;

use quick_junit::{Property, Report};

use crate::gather::Run;
use crate::run_dir::{Error, row_name, write_atomic};

/// How nextest's JUnit file names the suite of a setup script.
const SETUP_SCRIPT: &str = "@setup-script:";

/// Copies nextest's JUnit file to `to`, giving each test case of a trial its verdict and the sentence that explains it
/// as properties `kubedyno.verdict` and `kubedyno.reason`. Returns nextest's run id.
///
/// # Errors
/// When the file cannot be read, parsed or written.
pub fn annotate_junit(from: &Path, to: &Path, run: &Run) -> Result<Option<String>, Error> {
    let mut report = read(from)?;
    for suite in &mut report.test_suites {
        for case in &mut suite.test_cases {
            let package = suite.name.as_str().split("::").next().unwrap_or_default();
            let row = row_name(case.name.as_str());
            if let Some(trial) = run.trials.iter().find(|trial| trial.suite == package && trial.test == row) {
                case.properties.push(Property::new("kubedyno.verdict", trial.verdict.as_str()));
                case.properties.push(Property::new("kubedyno.reason", trial.reason.as_str()));
            }
        }
    }
    let id = report.uuid.map(|uuid| uuid.to_string());
    let text = report.to_string().map_err(|error| bad(from, error.to_string()))?;
    write_atomic(to, text.as_bytes())?;
    Ok(id)
}

/// Seconds that the test functions of a JUnit file of nextest's took together: trials with what goes before and after what they
/// measure, and without nextest's setup scripts.
///
/// # Errors
/// When the file cannot be read or parsed.
pub fn tests_took_s(junit: &Path) -> Result<f64, Error> {
    let suites = read(junit)?.test_suites;
    let of_tests = suites.iter().filter(|suite| !suite.name.as_str().starts_with(SETUP_SCRIPT));
    Ok(of_tests.flat_map(|suite| &suite.test_cases).filter_map(|case| case.time).map(|time| time.as_secs_f64()).sum())
}

fn read(path: &Path) -> Result<Report, Error> {
    let text =
        std::fs::read_to_string(path).map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
    Report::deserialize_from_str(&text).map_err(|error| bad(path, error.to_string()))
}

fn bad(path: &Path, message: String) -> Error {
    Error::Junit { path: path.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gather::TrialSummary;
    use measure::Verdict;

    const NEXTEST: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="1" failures="1" errors="0" uuid="45c50042-482e-477e-88a2-60cfcc3eaf95" timestamp="2026-11-23T01:00:00.000+00:00" time="1.0">
    <testsuite name="kperf-suite::kwok" tests="1" disabled="0" errors="0" failures="1">
        <testcase name="nodepool::case_1_nodepool_smoke" classname="kperf-suite::kwok" timestamp="2026-11-23T01:00:00.000+00:00" time="1.0"/>
    </testsuite>
</testsuites>"#;

    #[test]
    fn a_test_case_gets_its_verdict_and_the_run_its_id() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("in.xml"), dir.path().join("out.xml"));
        std::fs::write(&from, NEXTEST).unwrap();
        let trial: TrialSummary = serde_json::from_value(serde_json::json!({
            "suite": "kperf-suite", "test": "nodepool_smoke", "provider": "kwok", "profile": "default",
            "verdict": Verdict::Stalled, "reason": "stalled at 1/2 <after> 3s", "deviations": [], "versions": {},
            "metrics": {}, "budgets": [], "wall_s": 1.0, "record": "",
        }))
        .unwrap();
        let run = Run { trials: vec![trial], ..Run::default() };
        let id = annotate_junit(&from, &to, &run).unwrap();
        assert_eq!(id.as_deref(), Some("45c50042-482e-477e-88a2-60cfcc3eaf95"));
        let text = std::fs::read_to_string(&to).unwrap();
        assert!(text.contains(r#"<property name="kubedyno.verdict" value="stalled"/>"#), "{text}");
        assert!(text.contains("stalled at 1/2 &lt;after"), "{text}");
    }

    #[test]
    fn what_tests_took_is_without_setup_scripts() {
        let script = r#"<testsuite name="@setup-script:kwok" tests="1" disabled="0" errors="0" failures="0">
        <testcase name="kwok" classname="@setup-script:kwok" time="7.0"/></testsuite></testsuites>"#;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("junit.xml");
        std::fs::write(&file, NEXTEST.replace("</testsuites>", script)).unwrap();
        assert!((tests_took_s(&file).unwrap() - 1.0).abs() < 1e-9);
    }
}
