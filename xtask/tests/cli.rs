//! The command line without a cluster: bad input has a cause, a fix and its exit code; a dry run is a transcript.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use rstest::rstest;

/// `xtask` with directories of its own and nothing of the test's environment that it reads.
fn xtask(directory: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let own =
        std::env::vars().map(|(key, _)| key).filter(|key| key.starts_with("NEXTEST") || key.starts_with("KUBEDYNO"));
    own.for_each(|key| {
        command.env_remove(key);
    });
    command.args(args).env("KUBEDYNO_STATE", directory.join("state")).env("KUBEDYNO_CACHE", directory.join("cache"));
    command
}

fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].concat().iter().map(|byte| char::from(*byte)).collect()
}

#[rstest]
#[case::unknown_suite(&["run", "kperv"], 2, "there is no suite `kperv`; there are image-pull, kamaji, kperf, spegel, spiderpool")]
#[case::unknown_parameter(&["run", "kperf", "--set", "node=5"], 2, "there is no parameter `node`; there are ")]
#[case::wrong_type(&["run", "kperf", "--set", "nodes=many"], 2, "parameter `nodes`: `many` is no whole number; the row has ")]
#[case::no_value(&["run", "kperf", "--set", "nodes"], 2, "--set nodes: write it as KEY=VALUE")]
#[case::unknown_profile(&["run", "--profile", "fast"], 2, "[possible values: default, kind, published, published-kind]")]
#[case::unknown_cluster(&["cluster", "status", "--name", "nope"], 2, "there is no cluster `nope`: `cargo xtask cluster up --name nope` makes one")]
#[case::no_such_cluster_to_end(&["cluster", "down", "--name", "nope"], 2, "there is no cluster `nope`")]
#[case::bad_name(&["cluster", "down", "--name", "../etc"], 2, "`../etc` cannot name a cluster")]
#[case::unknown_program(&["tools", "ensure", "helm"], 2, "there is no program `helm`; there are etcd, ")]
#[case::flag_of_others(&["run", "kperf", "--allow-nodes"], 2, "--allow-nodes goes with --provider existing")]
#[case::no_such_kubeconfig(&["cluster", "preflight", "--kubeconfig", "/nonexistent"], 2, "--kubeconfig /nonexistent: there is no such file")]
#[case::clusters_of_others_are_not_made(&["cluster", "up", "--provider", "existing"], 2, "[possible values: kwok, kind]")]
#[case::no_such_shape(&["cluster", "up", "--provider", "kind", "--nodes", "3", "--dry-run"], 2, "there is no shape of 3 workers: there are 2, 4, 9; write ")]
#[case::no_rows_on_kind(&["run", "kamaji", "--provider", "kind"], 13, "kamaji-suite has rows on kwok clusters only: --provider kwok")]
#[case::profile_of_others(&["run", "--profile", "kind", "--provider", "kwok"], 2, "--profile kind is of rows on kind clusters: take --provider away")]
#[case::no_build(&["gate", "kperf", "--head", "fast"], 2, "`fast` is no build: write `pinned`, a path, or a version such as v1.36.2")]
#[case::no_such_program(&["gate", "kperf", "--head", "./nowhere/kube-apiserver"], 2, "nowhere/kube-apiserver: there is no such program")]
#[case::no_such_component(&["gate", "kperf", "--component", "cubelet", "--head", "pinned"], 2, "no pinned program is named `cubelet`; there are etcd, ")]
#[case::component_of_no_kwok_cluster(&["gate", "kperf", "--component", "kubelet", "--head", "pinned"], 2, "`kubelet` runs on the nodes of kind clusters, and gates run on kwok clusters")]
#[case::no_slowdown(&["gate", "kperf", "--head", "pinned+cpu:etcd"], 2, "`cpu:etcd` is no slowdown: it has no `=`")]
#[case::no_revision(&["gate", "kperf", "--component", "kubedyno", "--base", "no-such", "--head", "HEAD"], 2, "`no-such` is no revision of this repository")]
#[case::too_few_pairs(&["gate", "kperf", "--head", "pinned", "--pairs", "4"], 2, "4 is not in 5..=200")]
#[case::nothing_to_see(&["gate", "kperf", "--head", "pinned", "--allow-untold", "--must-see", "0.9"], 2, "it has to be a ratio above 1, such as 1.3")]
#[case::nothing_untold(&["gate", "kperf", "--head", "pinned", "--must-see", "1.3"], 2, "--allow-untold")]
#[case::no_arm(&["compare", "yesterday", "today"], 3, "yesterday")]
#[case::no_run(&["report", "yesterday"], 12, "holds no run: `cargo xtask run` makes one")]
fn a_bad_command_line_is_refused(#[case] args: &[&str], #[case] code: i32, #[case] message: &str) {
    let directory = tempfile::tempdir().unwrap();
    let output = xtask(directory.path(), args).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", text(&output));
    assert!(text(&output).contains(message), "{}", text(&output));
}

/// A variable stands before the pins: that `pinned` is not the pinned build then is said before anything runs.
#[test]
fn a_pinned_arm_says_when_a_variable_names_its_program() {
    let directory = tempfile::tempdir().unwrap();
    let mut gate = xtask(directory.path(), &["gate", "kperf", "--base", "pinned", "--head", "fast"]);
    let output = gate.env("KUBEDYNO_KUBE_APISERVER", "/opt/mine/kube-apiserver").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    let said = "an arm is pinned, which KUBEDYNO_KUBE_APISERVER makes /opt/mine/kube-apiserver";
    assert!(text(&output).contains(said), "{}", text(&output));
}

/// The page is there for whoever looks, and the exit code says that a record was lost.
#[test]
fn a_report_as_a_page_shows_a_torn_record_as_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let run = record::RunDir::at(directory.path().join("run"));
    run.write_json(&run.run_json(), &record::Run::default()).unwrap();
    let report = |code: i32| {
        let output =
            xtask(directory.path(), &["report", &run.path().display().to_string(), "--format", "html"]).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        let page = run.path().join("index.html");
        assert!(text(&output).contains(&page.display().to_string()), "{}", text(&output));
        (text(&output), std::fs::read_to_string(page).unwrap())
    };
    assert!(report(12).1.contains("<h1>Nothing ran</h1>"));
    run.write_file("trials/kperf-suite/torn.json", b"{\n").unwrap();
    let (said, page) = report(11);
    assert!(said.contains("torn.json:2: not a record: "), "{said}");
    assert!(page.contains("<h1>The row did not pass</h1>"), "{page}");
    assert!(page.contains("Cannot be read: trials/kperf-suite/torn.json:2: not a record: "), "{page}");
}

#[rstest]
#[case::one(&["KUBEDYNO_STATE"], "HOME is not set: name a directory in KUBEDYNO_STATE\n")]
#[case::both(
    &["KUBEDYNO_CACHE", "KUBEDYNO_STATE"],
    "HOME is not set: name a directory in KUBEDYNO_CACHE and one in KUBEDYNO_STATE\n"
)]
fn without_a_home_the_fix_is_named(#[case] unset: &[&str], #[case] message: &str) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = xtask(directory.path(), &["cluster", "list"]);
    for variable in ["HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"].iter().chain(unset) {
        command.env_remove(variable);
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(text(&output).contains(message), "{}", text(&output));
}

#[rstest]
#[case::state("KUBEDYNO_STATE", &["cluster", "up"], "/dev/null is a file, and no directory; move it away, or set KUBEDYNO_STATE")]
#[case::cache("KUBEDYNO_CACHE", &["cluster", "up"], "/dev/null is a file, and no directory; move it away, or set KUBEDYNO_CACHE")]
#[case::doctor("KUBEDYNO_CACHE", &["doctor"], "/dev/null is a file, and no directory; move it away, or set KUBEDYNO_CACHE")]
#[case::results("UNUSED", &["run", "kperf", "--out", "/dev/null/results"], "or name another directory with --out")]
fn where_nothing_can_be_written_nothing_begins(#[case] variable: &str, #[case] args: &[&str], #[case] fix: &str) {
    let directory = tempfile::tempdir().unwrap();
    let output = xtask(directory.path(), args).env(variable, "/dev/null/kubedyno").output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(text(&output).contains(fix), "{}", text(&output));
}

#[rstest]
#[case::no_kubeconfig(None, &[], 3, "there is no kubeconfig at [DIR]/.kube/config: name one with --kubeconfig FILE, or set KUBECONFIG")]
#[case::unknown_context(Some(""), &["--context", "prd"], 2, "there is no context `prd` in [DIR]/config; there are lab")]
#[case::broken_yaml(Some("x: ["), &[], 2, "error: [DIR]/config:")]
#[case::unreachable(Some(""), &[], 3, "error: cannot use https://127.0.0.1:1 (context `lab`): Connection refused")]
fn a_cluster_of_others_that_cannot_be_used_is_told_with_its_cause(
    #[case] kubeconfig: Option<&str>,
    #[case] args: &[&str],
    #[case] code: i32,
    #[case] message: &str,
) {
    const LAB: &str = "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
        contexts: [{name: lab, context: {cluster: c, user: u}}]\ncurrent-context: lab\n";
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config");
    for verb in [&["cluster", "preflight"][..], &["run", "kperf", "--provider", "existing"]] {
        let mut command = xtask(directory.path(), &[verb, args].concat());
        command.env("HOME", directory.path()).env_remove("KUBECONFIG");
        if let Some(more) = kubeconfig {
            std::fs::write(&config, format!("{LAB}{more}")).unwrap();
            command.env("KUBECONFIG", &config);
        }
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        let said = text(&output).replace(&directory.path().display().to_string(), "[DIR]");
        assert!(said.contains(message), "{said}");
    }
}

/// Docker's client alone is no Docker: CI images carry it without an engine.
const NO_ENGINE: &str =
    "#!/bin/sh\necho 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock.' >&2\nexit 1\n";

#[rstest]
#[case::no_client(None, "Docker: `docker` is not on PATH; install Docker")]
#[case::no_engine(
    Some(NO_ENGINE),
    "Docker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock.; start it"
)]
fn rows_on_real_nodes_are_unsupported_without_a_docker_engine(#[case] docker: Option<&str>, #[case] message: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bin");
    std::fs::create_dir(&path).unwrap();
    if let Some(script) = docker {
        let program = path.join("docker");
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    for (args, code) in [
        (&["run", "--profile", "kind"][..], 13),
        (&["run", "image-pull", "--provider", "kind"], 13),
        (&["cluster", "up", "--provider", "kind"], 3),
        (&["node-image"], 3),
    ] {
        let output = xtask(directory.path(), args).env("PATH", &path).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output));
        assert!(text(&output).contains(message), "{args:?}: {}", text(&output));
    }
}

#[test]
fn a_descriptor_of_a_newer_version_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = directory.path().join("state/fixtures/default");
    std::fs::create_dir_all(&fixture).unwrap();
    std::fs::write(fixture.join("fixture.json"), r#"{"schema": 99, "name": "default"}"#).unwrap();
    let output = xtask(directory.path(), &["cluster", "status"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(text(&output).contains("has schema 99, this kubedyno knows up to 2"), "{}", text(&output));
    let output = xtask(directory.path(), &["cluster", "down"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(text(&output).contains("or with this one and --force"), "{}", text(&output));
    assert!(fixture.exists());
    let output = xtask(directory.path(), &["cluster", "down", "--force"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(!fixture.exists());
}

#[test]
fn a_program_of_the_users_own_that_cannot_be_used_has_its_own_fix() {
    let directory = tempfile::tempdir().unwrap();
    let output = xtask(directory.path(), &["doctor"]).env("KUBEDYNO_ETCD", "/nonexistent/etcd").output().unwrap();
    let said = text(&output);
    let line = said.lines().find(|line| line.contains("programs") && line.contains("LACKS")).unwrap();
    assert!(line.contains("KUBEDYNO_ETCD=/nonexistent/etcd: it cannot be used"), "{line}");
    assert!(line.contains("unset KUBEDYNO_ETCD") && !line.contains("install Go"), "{line}");
}

#[rstest]
#[case::up("up", &["cluster", "up", "--nodes", "20", "--dry-run"])]
#[case::up_kind("up_kind", &["cluster", "up", "--provider", "kind", "--dry-run"])]
#[case::gc("gc", &["cluster", "gc", "--dry-run"])]
fn a_dry_run_is_a_transcript(#[case] name: &str, #[case] args: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = xtask(directory.path(), args);
    // No program is there: each is called by its name.
    let output = command.env("PATH", "/nonexistent").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let transcript = text(&output).replace(&directory.path().display().to_string(), "[DIR]");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let transcript = transcript.replace(&root.display().to_string(), "[ROOT]");
    // The Docker name of a kind cluster has a hash of its directory.
    let transcript = hide_hash(&transcript);
    insta::assert_snapshot!(name, transcript);
    let fixtures = directory.path().join("state/fixtures");
    assert!(!fixtures.exists() || std::fs::read_dir(fixtures).unwrap().count() == 0, "a dry run made something");
}

fn hide_hash(transcript: &str) -> String {
    let mut parts = transcript.split("kd-kind-");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "kd-kind-HASH" + part.get(4..).unwrap_or_default())
}

#[rstest]
#[case::up(&["cluster", "up", "--provider", "kind"])]
#[case::fixture(&["fixture", "ensure", "kind"])]
#[case::node_image(&["node-image"])]
fn without_docker_every_verb_of_kind_says_what_is_missing(#[case] args: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let output = xtask(directory.path(), args).env("PATH", "/nonexistent").output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    let lack = "the kind provider lacks Docker: `docker` is not on PATH; install Docker";
    assert!(text(&output).contains(lack), "{}", text(&output));
    assert!(!directory.path().join("state/fixtures/kind").exists(), "nothing is begun that cannot work");
}
