//! `kperf runner run` and `kperf profile lint` from the outside, against a scripted apiserver.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use http::StatusCode;
use rstest::rstest;
use rustix::process::{Pid, Signal, kill_process};
use scripted::{Asked, Ending, Reply, Server, Speaks};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A place with a kubeconfig of a scripted server.
struct Place {
    dir: TempDir,
    server: Server,
}

impl Place {
    fn new(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let server = Server::start(Speaks::Http2, script);
        let dir = tempfile::tempdir().unwrap();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{}", server.address)}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {}}],
        });
        std::fs::write(dir.path().join("kubeconfig"), kubeconfig.to_string()).unwrap();
        Self { dir, server }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn profile(&self, text: &str) -> PathBuf {
        let path = self.path("profile.yaml");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// `kperf runner run --config PROFILE` with more arguments.
    fn command(&self, profile: &Path, more: &[&str]) -> Command {
        let mut command = kperf();
        command.args(["runner", "run", "--config"]).arg(profile).arg("--kubeconfig").arg(self.path("kubeconfig"));
        command.args(more).current_dir(self.dir.path());
        command
    }

    fn run(&self, profile: &Path, more: &[&str]) -> Output {
        self.command(profile, more).output().unwrap()
    }
}

fn kperf() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kperf"));
    command.env_remove("KUBECONFIG");
    command
}

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/kperf/example-loadprofile.yaml")
}

/// Two lists of pods at 200 requests/s, in the form of v0.3.5 with this end.
fn lists(until: &str) -> String {
    format!(
        "version: 1\ndescription: lists\nspecs:\n  - rate: 200\n    {until}\n    conns: 2\n    client: 8\n    requests:\n    \
         - {{shares: 1, staleList: {{version: v1, resource: pods}}}}\n    - {{shares: 1, quorumList: {{version: v1, \
         resource: pods, limit: 5}}}}\n"
    )
}

fn list(_: &Asked) -> Reply {
    Reply::ok(r#"{"kind":"PodList","items":[]}"#)
}

fn stdout(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

/// Whether a load was run to its end. On a busy machine its latencies may be invalid, which is another exit code.
fn ran(output: &Output) -> bool {
    let late = output.status.code() == Some(11) && stderr(output).lines().all(|line| line.contains("are invalid"));
    output.status.success() || late
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The keys and kinds of values that document 003 shows, in its order, and behind them ours.
#[test]
fn the_documents_example_gives_the_documents_result() {
    let place = Place::new(list);
    let mut command = kperf();
    command.args(["-v", "3", "runner", "run", "--config"]).arg(document());
    let output = command.env("KUBECONFIG", place.path("kubeconfig")).output().unwrap();
    assert!(
        stderr(&output).contains("\"Setting\" clients=1000 connections=100 rate=100 total=10 http2=true"),
        "{output:?}"
    );
    let result = stdout(&output);
    assert_eq!(result["total"], 10);
    assert_eq!(result["totalReceivedBytes"], 10 * 29);
    assert!(result["duration"].as_str().is_some_and(|text| text.ends_with("ms")), "{result}");
    let no_errors = json!({"unknownErrors": [], "netErrors": {}, "responseCodes": {}, "http2Errors": {}});
    assert_eq!(result["errorStats"], no_errors);
    let at: Vec<f64> = percentiles(&result["percentileLatencies"]).iter().map(|[p, _]| *p).collect();
    assert_eq!(at, [0.0, 0.5, 0.9, 0.95, 0.99, 1.0]);
    let base = format!("http://{}/api/v1/pods?", place.server.address);
    let urls: Vec<&String> = result["percentileLatenciesByURL"].as_object().unwrap().keys().collect();
    assert_eq!(urls, [&format!("{base}limit=1000&timeout=1m0s"), &format!("{base}resourceVersion=0&timeout=1m0s")]);
    assert!(result["latency"].as_str().unwrap().starts_with("response time from the intended send"));
}

fn percentiles(value: &Value) -> Vec<[f64; 2]> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn a_profile_of_v0_3_5_gives_each_phase_and_all_of_them() {
    let place = Place::new(list);
    let text = lists("total: 60");
    let second = text.split_once("specs:\n").unwrap().1.replace("total: 60", "total: 40");
    let output = place.run(&place.profile(&format!("{text}{second}")), &[]);
    let result = stdout(&output);
    assert_eq!(result["perSpecResults"].as_array().unwrap().len(), 2);
    let totals = [&result["perSpecResults"][0], &result["perSpecResults"][1], &result["aggregated"]];
    assert_eq!(totals.map(|part| part["total"].as_u64().unwrap()), [60, 40, 100]);
    assert!(result["aggregated"].get("errorStats").is_none(), "{result}");
    let urls = result["aggregated"]["percentileLatenciesByURL"].as_object().unwrap();
    assert!(urls.keys().all(|url| url.starts_with("LIST http://")), "{urls:?}");
}

/// A server that stalls: kperf's own meaning hides it, the response time has it, and the report says which it is.
#[rstest]
#[case::response("response", "response time from the intended send", 0.15)]
#[case::service("service", "service time from the send", 0.0)]
fn the_report_says_which_latency_it_has(#[case] latency: &str, #[case] named: &str, #[case] median_at_least: f64) {
    let place = Place::new(|_| list_after(Duration::from_millis(50)));
    let profile = place.profile(&lists("total: 100").replace("client: 8", "client: 4"));
    let output = place.run(&profile, &["--latency", latency, "--format", "v0.3.4"]);
    let result = stdout(&output);
    assert!(result["latency"].as_str().unwrap().starts_with(named), "{result}");
    let [_, [_, median], ..] = percentiles(&result["percentileLatencies"])[..] else { panic!("{result}") };
    // Four clients carry 80 a second where 200 are due: the wait is in the response time alone.
    assert!(median >= median_at_least && (latency == "response" || median < 0.15), "{median}");
}

fn list_after(after: Duration) -> Reply {
    Reply::ok("{}").after(after)
}

#[test]
fn our_own_form_has_both_latencies_and_every_request_in_one_count() {
    let place = Place::new(list);
    let output = place.run(&place.profile(&lists("total: 150")), &["--format", "full", "--seed", "5"]);
    let result = stdout(&output);
    assert_eq!((&result["seed"], &result["profile"]["description"]), (&json!(5), &json!("lists")));
    let total = &result["phases"][0]["total"];
    assert_eq!((&total["counts"]["offered"], &total["counts"]["completed"]), (&json!(150), &json!(150)));
    let [response, service] = ["response", "service"].map(|column| total[column]["p50_ms"].as_f64().unwrap());
    assert!(response >= service, "{response} {service}");
}

#[rstest]
#[case::as_up_to_v0_1_6("v0.1.5", json!({"unknownErrors": [], "netErrors": {}, "responseCodes": {"429": 20}, "http2Errors": {}}))]
#[case::as_from_v0_1_7_on("v0.3.4", json!({"http/429": 20}))]
fn failures_are_counted_and_are_no_error(#[case] format: &str, #[case] stats: Value) {
    let place = Place::new(|asked| {
        let status = if asked.number % 2 == 0 { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::OK };
        Reply { status, ..Reply::ok(r#"{"message":"slow down"}"#) }
    });
    let output = place.run(&place.profile(&lists("total: 40")), &["--format", format, "--raw-data=raw.csv"]);
    assert!(ran(&output), "{output:?}");
    let result = stdout(&output);
    assert_eq!(result["errorStats"], stats);
    let error = &result["errors"][0];
    assert_eq!((&error["type"], &error["code"], &error["method"]), (&json!("http"), &json!(429), &json!("LIST")));
    let raw = std::fs::read_to_string(place.path("raw.csv")).unwrap();
    assert_eq!(raw.lines().count(), 41, "{raw}");
    assert_eq!(raw.lines().filter(|line| line.contains("status-429")).count(), 20);
}

#[test]
fn an_interrupt_writes_what_there_is() {
    let place = Place::new(list);
    let result = place.path("out/result.json");
    let profile = place.profile(&lists("duration: 60"));
    let child =
        place.command(&profile, &["--result", result.to_str().unwrap()]).stderr(Stdio::piped()).spawn().unwrap();
    while place.server.stamps.lock().unwrap().len() < 50 {
        std::thread::sleep(Duration::from_millis(10));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(11), "{output:?}");
    assert!(stderr(&output).contains("interrupted: the result is what there was until then"), "{output:?}");
    let result: Value = serde_json::from_slice(&std::fs::read(result).unwrap()).unwrap();
    let counts = &result["aggregated"]["counts"];
    assert!(counts["completed"].as_u64().unwrap() >= 40, "{counts}");
}

#[test]
fn a_full_disk_loses_no_result() {
    let place = Place::new(list);
    let output = place.run(&place.profile(&lists("total: 20")), &["--result", "/dev/full"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(stderr(&output).contains("error: cannot write /dev/full: No space left on device"), "{output:?}");
    assert_eq!(stdout(&output)["aggregated"]["total"], 20);
}

#[test]
fn a_result_that_cannot_be_written_is_refused_before_anything_is_sent() {
    let place = Place::new(list);
    let profile = place.profile(&lists("total: 20"));
    let output = place.run(&profile, &["--result", "profile.yaml/result.json"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(stderr(&output).contains("cannot write profile.yaml/result.json: "), "{output:?}");
    assert!(place.server.stamps.lock().unwrap().is_empty());
}

#[test]
fn raw_data_on_a_full_disk_is_an_error_and_the_result_is_there() {
    let place = Place::new(list);
    let output = place.run(&place.profile(&lists("total: 20")), &["--raw-data=/dev/full"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(stderr(&output).contains("cannot write /dev/full: "), "{output:?}");
    assert_eq!(stdout(&output)["aggregated"]["total"], 20);
}

#[rstest]
#[case::a_negative_rate(&["--rate", "-1"], 2, "error: --rate -1 is no rate")]
#[case::another_content(&["--content-type", "xml"], 2, "give json or protobuf")]
#[case::no_clients(&["--client", "0"], 2, "error: --client is 0")]
fn a_flag_that_means_nothing_is_refused(#[case] flags: &[&str], #[case] code: i32, #[case] message: &str) {
    let place = Place::new(list);
    let output = place.run(&place.profile(&lists("total: 20")), flags);
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert!(stderr(&output).contains(message), "{output:?}");
}

#[test]
fn a_profile_is_refused_with_its_line() {
    let place = Place::new(list);
    let output = place.run(&place.profile("version: 1\nspec: {rate: 1, requests: []}\n"), &[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(stderr(&output).contains("profile.yaml:2:17: spec.requests: is empty: give at least one"), "{output:?}");
}

#[test]
fn credentials_that_are_refused_are_told_with_the_fix() {
    let place =
        Place::new(|_| Reply { status: StatusCode::UNAUTHORIZED, ..Reply::ok(r#"{"message":"Unauthorized"}"#) });
    let output = place.run(&place.profile(&lists("total: 20")), &[]);
    assert_eq!(output.status.code(), Some(11), "{output:?}");
    let error = stderr(&output);
    assert!(error.contains("20 failed of status-401 (Unauthorized): the credentials of the kubeconfig"), "{error}");
    assert_eq!(stdout(&output)["aggregated"]["errorStats"]["http/401"], 20);
}

#[test]
fn a_server_that_hangs_up_is_counted_and_survived() {
    let place =
        Place::new(|asked| list(asked).ending(if asked.number % 10 == 5 { Ending::Dropped } else { Ending::Kept }));
    let output = place.run(&place.profile(&lists("total: 60")), &[]);
    assert!(ran(&output), "{output:?}");
    let result = stdout(&output);
    let reset = result["aggregated"]["errorStats"]["connection/connection reset by peer"].as_u64().unwrap();
    assert!((5..30).contains(&reset), "{result}");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let place = Place::new(list);
    place.server.stop();
    std::thread::sleep(Duration::from_millis(200));
    let output = place.run(&place.profile(&lists("total: 20")), &[]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(stderr(&output).contains(&format!("no connection to http://{}", place.server.address)), "{output:?}");
}

fn lint(place: &Place, text: &str, online: bool) -> Output {
    let mut command = kperf();
    command.args(["profile", "lint"]).arg(place.profile(text));
    if online {
        command.arg("--kubeconfig").arg(place.path("kubeconfig"));
    }
    command.output().unwrap()
}

#[test]
fn lint_says_what_a_profile_will_do() {
    let place = Place::new(list);
    let text = std::fs::read_to_string(document().with_file_name("every-kind.yaml")).unwrap();
    let output = lint(&place, &text, false);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    insta::assert_snapshot!("every_kind", String::from_utf8(output.stdout).unwrap());
}

#[test]
fn lint_asks_a_cluster_for_the_size_of_its_answers() {
    let place = Place::new(list);
    let output = lint(&place, &lists("total: 1000"), true);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("14.5 kB"), "500 answers of 29 bytes: {text}");
}

#[test]
fn lint_refuses_a_put_whose_objects_are_not_there_and_a_rate_that_the_clients_cannot_carry() {
    let place = Place::new(|asked| {
        let missing = asked.uri.path().contains("/configmaps/");
        let status = if missing { StatusCode::NOT_FOUND } else { StatusCode::OK };
        let body = if missing { r#"{"message":"configmaps \"cm-0\" not found"}"# } else { "{}" };
        Reply { status, ..Reply::ok(body) }.after(Duration::from_millis(60))
    });
    let put = "{shares: 1, put: {version: v1, resource: configmaps, namespace: a, name: cm, keySpaceSize: 3, payloadSize: 9}}";
    let output = lint(&place, &format!("{}    - {put}\n", lists("total: 30")), true);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let error = stderr(&output);
    let missing = "put writes objects that are not there (configmaps \"cm-0\" not found): create configmaps cm-0 to cm-2 in \
                   namespace `a` first";
    assert!(error.contains(missing), "{error}");
    assert!(error.contains("rate 200 is more than 8 clients on 2 connections can carry"), "{error}");
}
