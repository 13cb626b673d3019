//! The report of Spiderpool's own performance test (`test/e2e/performance`, P00002), in the form in which its
//! `tools/scripts/e2eperformance.sh` reads it: a ginkgo report whose entry holds JSON in a string.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The entry: what that test says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PerformanceResults {
    /// Always `Deployment`.
    pub controller_type: String,
    /// Pods; with several Deployments, of all of them.
    pub replicas: u32,
    /// Whole seconds until all pods run and their addresses are on record.
    pub create_time: u64,
    /// Whole seconds from the deletion of all pods until their successors run and are on record.
    pub rebuild_time: u64,
    /// Whole seconds until all pods are gone and their addresses free.
    pub delete_time: u64,
}

impl PerformanceResults {
    /// Results of phases that took so many seconds; parts of a second are cut off, as upstream does it.
    pub fn new(replicas: u32, create_s: f64, rebuild_s: f64, delete_s: f64) -> Self {
        let [create_time, rebuild_time, delete_time] = [create_s, rebuild_s, delete_s].map(|seconds| seconds as u64);
        Self { controller_type: "Deployment".to_owned(), replicas, create_time, rebuild_time, delete_time }
    }

    /// The whole report. Upstream's script wants the suite of subnets as well, and takes one that did not run.
    pub fn report(&self) -> String {
        let entry = serde_json::to_string(self).unwrap_or_default();
        let value = json!({"Name": "Performance Results", "Value": {"Representation": entry}});
        let performance = json!({"LeafNodeLabels": ["P00002"], "State": "passed", "ReportEntries": [value]});
        let subnet = json!({"LeafNodeLabels": ["I00006", "I00008"], "State": "skipped"});
        let suite = |name: &str, spec: &Value| json!({"SuiteDescription": name, "SpecReports": [spec]});
        json!([suite("Performance Suite", &performance), suite("Subnet Suite", &subnet)]).to_string()
    }

    /// Reads a report, ours or upstream's own; none when no test of it passed.
    pub fn read(report: &str) -> Option<Self> {
        let suites: Vec<Value> = serde_json::from_str(report).ok()?;
        let suite = suites.iter().find(|suite| suite["SuiteDescription"] == "Performance Suite")?;
        let passed = |spec: &&Value| spec["LeafNodeLabels"] == json!(["P00002"]) && spec["State"] == "passed";
        let spec = suite["SpecReports"].as_array()?.iter().find(passed)?;
        let entries = spec["ReportEntries"].as_array()?;
        let entry = entries.iter().find(|entry| entry["Name"] == "Performance Results")?;
        serde_json::from_str(entry["Value"]["Representation"].as_str()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let results = PerformanceResults::new(1000, 64.9, 203.0, 83.2);
        assert_eq!((results.create_time, results.rebuild_time, results.delete_time), (64, 203, 83));
        assert_eq!(PerformanceResults::read(&results.report()), Some(results));
    }

    /// The entry as upstream's `Sprintf` writes it, with its blanks.
    #[test]
    fn upstreams_own_entry_is_read() {
        let entry = r#"{ "controllerType" : "Deployment", "replicas": 40, "createTime": 21 , "rebuildTime": 33, "deleteTime": 12 }"#;
        let report = json!([{"SuiteDescription": "Performance Suite", "SpecReports": [{
            "LeafNodeLabels": ["P00002"], "State": "passed",
            "ReportEntries": [{"Name": "Performance Results", "Value": {"Representation": entry}}],
        }]}]);
        let wanted = PerformanceResults::new(40, 21.0, 33.0, 12.0);
        assert_eq!(PerformanceResults::read(&report.to_string()), Some(wanted));
        let failed = report.to_string().replace("passed", "failed");
        assert_eq!(PerformanceResults::read(&failed), None);
    }
}
