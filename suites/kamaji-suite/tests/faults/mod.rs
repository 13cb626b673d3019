//! Fault rows: what becomes of tenants when something breaks or was wrong from the beginning. The verdict says what
//! happened, and nothing is left behind.
//!
//! They run on the cluster that may be broken: `cargo nextest run -p kamaji-suite --profile nightly`.

use harness::judged;
use kamaji_suite::faults::{self, Fault, Request};
use kamaji_suite::{disturbed_row, lifecycle, narrow_row};
use measure::Verdict;
use record::Trial;
use rstest::rstest;

async fn faulted(row: &str, test: &str, fault: Fault) -> Trial {
    let (row, benchmark) = disturbed_row(row, test).unwrap();
    judged(row, async |trial| faults::drive(trial, &benchmark, fault).await).await.unwrap()
}

fn nothing_left(record: &Trial) {
    let left: Vec<_> = record.metrics.iter().filter(|(name, count)| name.ends_with("_left") && **count > 0.0).collect();
    assert!(left.is_empty() && record.metrics.contains_key("etcd_keys_left"), "{left:?} {:?}", record.notes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_is_killed_in_the_middle_finishes_when_it_is_back() {
    let record = faulted("tcp_fault", "operator_killed", Fault::OperatorKilled).await;
    // The row itself killed the operator, so that its death is no budget's.
    assert_eq!(record.verdict, Some(Verdict::Pass), "{}", record.reason);
    assert!(record.phases.iter().all(|phase| phase.verdict.is_none() && phase.unaccounted == 0), "{}", record.reason);
    nothing_left(&record);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_datastore_that_is_down_stalls_its_tenants_and_the_verdict_says_why() {
    let record = faulted("tcp_fault", "store_down", Fault::StoreDown).await;
    assert_eq!(record.verdict, Some(Verdict::Stalled), "{}", record.reason);
    assert!(record.reason.contains("create: stalled at 0/6"), "{}", record.reason);
    assert!(record.reason.contains("the operator says"), "{}", record.reason);
    nothing_left(&record);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_of_another_datastore_do_not_care_that_one_is_down() {
    let record = faulted("tcp_fault_two_stores", "one_store_down", Fault::StoreDown).await;
    assert_eq!(record.verdict, Some(Verdict::Stalled), "{}", record.reason);
    assert!(record.reason.contains("create: stalled at 3/6"), "{}", record.reason);
    nothing_left(&record);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_the_operator_cannot_read_is_named() {
    let record = faulted("tcp_fault_pkcs8", "key_in_pkcs8", Fault::None).await;
    assert_eq!(record.verdict, Some(Verdict::Stalled), "{}", record.reason);
    assert!(record.reason.contains("private key"), "{}", record.reason);
    nothing_left(&record);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_has_expired_is_made_anew() {
    let (row, benchmark) = disturbed_row("tcp_fault_expired", "certificate_expired").unwrap();
    let record = judged(row, async |trial| lifecycle::drive(trial, &benchmark, None).await).await.unwrap();
    assert_eq!(record.verdict, Some(Verdict::Pass), "{}", record.reason);
    let renewed = record.phases.iter().find(|phase| phase.name == "expire").unwrap();
    assert!(renewed.verdict.is_none() && renewed.done == 3, "{}", record.reason);
    nothing_left(&record);
}

/// The tenants that got an address are Ready; the others wait for ever, and nothing is busy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_service_range_stalls_tenants_and_the_verdict_says_why() {
    let (row, benchmark) = narrow_row("tcp_fault_narrow", "service_range_full").unwrap();
    let record = judged(row, async |trial| faults::drive(trial, &benchmark, Fault::None).await).await.unwrap();
    assert_eq!(record.verdict, Some(Verdict::Stalled), "{}", record.reason);
    assert!(record.reason.contains("create: stalled at 13/20"), "{}", record.reason);
    assert!(record.reason.contains("range is full"), "{}", record.reason);
    nothing_left(&record);
}

#[rstest]
#[case::an_unknown_version(Request::UnknownVersion, "greater than the supported one")]
#[case::a_name_too_long(Request::LongName, "must be no more than 63 characters")]
#[case::a_datastore_in_use(Request::StoreInUse, "used by multiple TenantControlPlanes")]
#[case::webhooks_that_nobody_answers(Request::NobodyAnswers, "failed calling webhook")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_refused_in_words(#[case] request: Request, #[case] words: &str) {
    let (row, benchmark) = disturbed_row("tcp_fault", &format!("{request:?}")).unwrap();
    let record = judged(row, async |trial| faults::ask(trial, &benchmark, request).await).await.unwrap();
    // There is nothing to measure of what was refused.
    assert_eq!(record.verdict, Some(Verdict::NoData), "{}", record.reason);
    assert!(record.reason.contains(words), "{}", record.reason);
}
