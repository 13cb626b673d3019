//! Profiles as kperf writes them, and profiles as people mistype them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

use std::path::{Path, PathBuf};

use apiload::{Content, Protocol, Request};
use kperf::profile::{Form, OverrideError, Overrides, Sending};
use kperf::{LoadProfile, lint::Prediction};
use measure::{Arrivals, Rate, Until};
use rstest::rstest;
use schemars::generate::SchemaSettings;
use serde_json::Value;

const SMALL: &str = "\
version: 1
description: small
spec:
  rate: 100
  total: 10
  conns: 2
  client: 4
  requests:
    - staleList:
        version: v1
        resource: pods
      shares: 1
    - quorumList:
        version: v1
        resource: pods
        limit: 5
      shares: 1
";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/kperf").join(name)
}

fn sending() -> Sending {
    Sending { seed: 7, arrivals: kperf::profile::Arrivals::Even, user_agent: None, prefix: None }
}

#[test]
fn the_documents_profile_is_what_the_document_says() {
    let profile = LoadProfile::read(&fixture("example-loadprofile.yaml")).unwrap();
    assert_eq!((profile.form(), profile.description()), (Form::Spec, "example profile"));
    let plan = profile.plan(&sending()).unwrap();
    let [phase] = &plan.phases[..] else { panic!("{plan:?}") };
    assert_eq!((phase.connections, phase.clients), (100, 1_000));
    assert_eq!((phase.content, phase.protocol), (Content::Json, Protocol::Http2));
    assert_eq!(*phase.schedule.arrivals(), Arrivals::Even(Rate::Constant { per_second: 100.0 }));
    assert_eq!(phase.schedule.until(), Until::Total(10));
    let [stale, quorum] = &phase.mix[..] else { panic!("{:?}", phase.mix) };
    assert_eq!((stale.shares, stale.request.kind()), (1_000, "staleList"));
    let Request::QuorumList(list) = &quorum.request else { panic!("{quorum:?}") };
    assert_eq!((quorum.shares, list.limit, list.resource.as_str()), (1_000, 1_000, "pods"));
}

#[test]
fn every_kind_of_request_is_read() {
    let profile = LoadProfile::read(&fixture("every-kind.yaml")).unwrap();
    let plan = profile.plan(&sending()).unwrap();
    let kinds: Vec<&str> = plan.phases[0].mix.iter().map(|share| share.request.kind()).collect();
    let all = ["staleList", "quorumList", "watchList", "staleGet", "quorumGet", "put", "patch", "getPodLog", "postDel"];
    assert_eq!(kinds, all);
    assert_eq!((plan.phases[0].content, plan.phases[0].max_retries), (Content::Protobuf, 1));
}

#[test]
fn every_phase_has_its_own_rate_clients_and_connections() {
    let profile = LoadProfile::read(&fixture("timeseries_replay.yaml")).unwrap();
    assert_eq!(profile.form(), Form::Specs);
    let plan = profile.plan(&sending()).unwrap();
    let phases: Vec<_> = plan.phases.iter().map(|phase| (phase.connections, phase.clients)).collect();
    assert_eq!(phases, [(5, 10), (20, 50), (10, 20)]);
}

#[rstest]
#[case::as_up_to_v0_3_4("seletor")]
#[case::as_from_v0_3_5_on("selector")]
fn both_spellings_of_the_selector_are_read(#[case] spelling: &str) {
    let text = SMALL.replace("limit: 5", &format!("{spelling}: app=web"));
    let plan = LoadProfile::parse("p.yaml", &text).unwrap().plan(&sending()).unwrap();
    let Request::QuorumList(list) = &plan.phases[0].mix[1].request else { panic!("{plan:?}") };
    assert_eq!(list.selector, "app=web");
}

#[rstest]
#[case::a_total("total: 10", Some(10))]
#[case::a_duration("duration: 5", None)]
#[case::both_is_the_total("total: 10\n  duration: 5", Some(10))]
#[case::neither_is_a_thousand("disableHTTP2: true", Some(1_000))]
fn total_goes_before_duration(#[case] until: &str, #[case] total: Option<u64>) {
    let profile = LoadProfile::parse("p.yaml", &SMALL.replace("total: 10", until)).unwrap();
    assert_eq!(profile.specs()[0].total(), total);
}

#[test]
fn no_rate_is_as_fast_as_it_goes() {
    let plan = LoadProfile::parse("p.yaml", &SMALL.replace("rate: 100", "rate: 0")).unwrap().plan(&sending()).unwrap();
    assert_eq!(*plan.phases[0].schedule.arrivals(), Arrivals::Unlimited);
}

#[rstest]
#[case::not_yaml("rate: 100", "rate: [", "p.yaml:6:8: while parsing a flow mapping")]
#[case::empty(SMALL, "", "p.yaml:1:1: ")]
#[case::both_spec_and_specs("spec:", "specs: []\nspec:", "p.yaml:3:1: specs: stands beside `spec`")]
#[case::neither(&SMALL[30..], "", "p.yaml:1:1: neither `spec` nor `specs`")]
#[case::no_specs(&SMALL[30..], "specs: []\n", "p.yaml:3:1: specs: is empty: give at least one")]
#[case::another_version("version: 1", "version: 2", "p.yaml:1:1: version: 2 is not known: only 1 is")]
#[case::an_unknown_key("conns:", "connections:", "p.yaml:6:3: spec.connections: unknown field `connections`")]
#[case::an_unknown_key_of_a_request(
    "limit: 5",
    "limits: 5",
    "p.yaml:16:9: spec.requests[1].quorumList.limits: unknown"
)]
#[case::two_keys_of_a_name("rate: 100", "rate: 1\n  rate: 2", "p.yaml:5:3: ")]
#[case::words_for_a_number("rate: 100", "rate: fast", "p.yaml:4:9: spec.rate: ")]
#[case::a_negative_rate("rate: 100", "rate: -1", "p.yaml:4:3: spec.rate: -1 is no rate: give 0")]
#[case::an_infinite_rate("rate: 100", "rate: .inf", "p.yaml:4:3: spec.rate: inf is no rate")]
#[case::a_negative_total("total: 10", "total: -10", "p.yaml:5:10: spec.total: ")]
#[case::no_connections("conns: 2", "conns: 0", "p.yaml:6:3: spec.conns: is 0: give at least 1, or leave it out")]
#[case::no_clients("client: 4", "client: 0", "p.yaml:7:3: spec.client: is 0: give at least 1")]
#[case::a_limit_on_a_stale_list(
    "resource: pods\n      shares: 1\n    - quorumList",
    "resource: pods\n        limit: 5\n      shares: 1\n    - quorumList",
    "p.yaml:12:9: spec.requests[0].staleList.limit: is set, but the watch cache gives no pages"
)]
#[case::shares_all_zero("shares: 1", "shares: 0", "p.yaml:8:3: spec.requests: every `shares` is 0")]
#[case::negative_shares("shares: 1", "shares: -1", "p.yaml:12:15: spec.requests[0].shares: ")]
#[case::two_kinds(
    "      shares: 1\n    - quorumList",
    "      quorumList",
    "p.yaml:9:7: spec.requests[0]: names staleList and quorumList: name exactly one of"
)]
#[case::no_kind(
    "    - staleList:\n        version: v1\n        resource: pods\n      shares: 1\n",
    "    - shares: 1\n",
    "p.yaml:9:7: spec.requests[0]: names no kind: name exactly one of"
)]
#[case::no_resource(
    "resource: pods\n      shares",
    "resource: ''\n      shares",
    "p.yaml:11:9: spec.requests[0].staleList.resource: is empty: name one"
)]
#[case::a_missing_field(
    "        resource: pods\n      shares",
    "      shares",
    "p.yaml:10:9: spec.requests[0].staleList"
)]
#[case::another_content("conns: 2", "contentType: xml", "p.yaml:6:16: spec.contentType: ")]
fn a_profile_that_cannot_be_is_refused_with_file_line_column_and_field(
    #[case] from: &str,
    #[case] to: &str,
    #[case] message: &str,
) {
    let text = SMALL.replace(from, to);
    assert_ne!(text, SMALL);
    let error = LoadProfile::parse("p.yaml", &text).unwrap_err().to_string();
    assert!(error.starts_with(message) && error.len() > message.len() - 1, "{error}");
    assert!(!error.contains('\n'), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = LoadProfile::read(Path::new("/nowhere/p.yaml")).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere/p.yaml: cannot be read: No such file"), "{error}");
}

#[test]
fn flags_override_one_spec_and_never_several() {
    let flags = Overrides { rate: Some(5.0), total: Some(3), conns: Some(9), ..Overrides::default() };
    let profile = LoadProfile::parse("p.yaml", SMALL).unwrap().with(&flags).unwrap();
    let spec = &profile.specs()[0];
    assert_eq!((spec.rate, spec.total(), spec.conns(), spec.clients()), (5.0, Some(3), 9, 4));
    let several = LoadProfile::read(&fixture("timeseries_replay.yaml")).unwrap();
    assert_eq!(several.clone().with(&Overrides::default()).unwrap(), several);
    assert_eq!(several.with(&flags), Err(OverrideError::SeveralSpecs(3)));
    let wrong = Overrides { rate: Some(-1.0), ..Overrides::default() };
    let error = LoadProfile::parse("p.yaml", SMALL).unwrap().with(&wrong).unwrap_err().to_string();
    assert!(error.starts_with("--rate -1 is no rate"), "{error}");
}

#[test]
fn a_prediction_follows_from_rate_total_and_shares() {
    let text = SMALL.replace("limit: 5", "limit: 5\n      # a quarter").replace("shares: 1\n    -", "shares: 3\n    -");
    let profile = LoadProfile::parse("p.yaml", &text).unwrap();
    let prediction = Prediction::of(&profile.specs()[0], &[]);
    assert_eq!((prediction.requests, prediction.duration.unwrap().as_millis()), (Some(10), 100));
    let sent: Vec<_> = prediction.kinds.iter().map(|kind| kind.requests.unwrap()).collect();
    assert_eq!(sent, [7.5, 2.5]);
    assert_eq!(prediction.problems, [""; 0]);
}

#[test]
fn a_rate_that_no_server_could_answer_over_these_connections_is_refused() {
    let text = SMALL.replace("rate: 100", "rate: 100000");
    let problems = Prediction::of(&LoadProfile::parse("p.yaml", &text).unwrap().specs()[0], &[]).problems;
    let expected = "rate 100000 is more than 4 clients on 2 connections can carry: 4 requests in flight that take 0.1 ms \
                    each are at most 40000 a second; give at least 10 clients";
    assert_eq!(problems, [expected]);
}

#[test]
fn what_writes_is_counted_and_a_patch_writes_each_object_once() {
    let profile = LoadProfile::read(&fixture("every-kind.yaml")).unwrap();
    let kinds = Prediction::of(&profile.specs()[0], &[]).kinds;
    let written = |kind: &str| kinds.iter().find(|k| k.label.starts_with(kind)).unwrap().written.unwrap();
    assert_eq!((written("put"), written("patch"), written("staleList")), (10.0, 2.0, 0.0));
}

fn schema() -> Value {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<LoadProfile>();
    serde_json::to_value(schema).unwrap()
}

#[test]
fn the_committed_schema_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/load-profile.schema.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    if std::env::var_os("KUBEDYNO_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "{} is not the schema of the code: run `KUBEDYNO_BLESS=1 cargo test -p kperf --test profile` to refresh it",
        path.display()
    );
}

#[rstest]
fn every_profile_of_the_fixtures_is_read_and_keeps_to_the_schema(
    #[files("../../fixtures/kperf/*.yaml")]
    #[exclude("runnergroup")]
    path: PathBuf,
) {
    LoadProfile::read(&path).unwrap().plan(&sending()).unwrap();
    let value: Value = serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let problems: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
    assert_eq!(problems, [""; 0]);
}

#[rstest]
#[case::both(SMALL.replace("spec:", "specs: []\nspec:"))]
#[case::unknown(SMALL.replace("conns", "connections"))]
#[case::two_kinds(SMALL.replace("      shares: 1\n    - quorumList", "      quorumList"))]
fn the_schema_refuses_what_the_reader_refuses(#[case] text: String) {
    assert!(LoadProfile::parse("p.yaml", &text).is_err());
    let value: Value = serde_saphyr::from_str(&text).unwrap();
    assert!(!jsonschema::is_valid(&schema(), &value));
    let old: Value = serde_saphyr::from_str(&SMALL.replace("limit: 5", "seletor: app=web")).unwrap();
    assert!(jsonschema::is_valid(&schema(), &old));
}
