use super::*;

const BEFORE: &str = "\
h_bucket{op=\"pull\",le=\"1\"} 1
h_bucket{op=\"pull\",le=\"2\"} 1
h_bucket{op=\"pull\",le=\"+Inf\"} 1
h_sum{op=\"pull\"} 0.5
h_count{op=\"pull\"} 1
";
const AFTER: &str = "\
h_bucket{op=\"pull\",le=\"1\"} 2
h_bucket{op=\"pull\",le=\"2\"} 5
h_bucket{op=\"pull\",le=\"+Inf\"} 5
h_sum{op=\"pull\"} 6.5
h_count{op=\"pull\"} 5
h_bucket{op=\"start\",le=\"1\"} 1
h_bucket{op=\"start\",le=\"2\"} 1
h_bucket{op=\"start\",le=\"+Inf\"} 2
h_sum{op=\"start\"} 9
h_count{op=\"start\"} 2
";
const FAMILY: Family = Family { document: "H", unit: "s", page: Page::Kubelet, names: &["h_new", "h"], by: Some("op") };

fn scrape(text: &str) -> Scrape {
    Scrape(BTreeMap::from([(("n".to_owned(), Page::Kubelet), text.to_owned())]))
}

#[test]
fn a_difference_is_by_node_and_label_and_new_series_count_from_zero() {
    let deltas = scrape(AFTER).since(&scrape(BEFORE), &FAMILY);
    let pull = &deltas[&("n".to_owned(), "pull".to_owned())];
    assert_eq!((pull.count, pull.sum, pull.mean()), (4.0, 6.0, Some(1.5)));
    assert_eq!(pull.buckets, [(1.0, 1.0), (2.0, 4.0), (f64::INFINITY, 4.0)]);
    assert_eq!(deltas[&("n".to_owned(), "start".to_owned())].mean(), Some(4.5));
}

#[test]
fn the_older_name_is_found_when_the_newer_is_not_there() {
    assert_eq!(scrape(AFTER).name(&FAMILY), Some("h"));
    assert_eq!(scrape("").name(&FAMILY), None);
    assert!(scrape("").since(&scrape(BEFORE), &FAMILY).is_empty());
}

#[test]
fn a_counter_that_fell_makes_no_difference() {
    let deltas = scrape(BEFORE).since(&scrape(AFTER), &FAMILY);
    assert!(!deltas.contains_key(&("n".to_owned(), "pull".to_owned())));
}

#[test]
fn a_quantile_is_as_prometheus_has_it() {
    let delta = Delta { count: 4.0, sum: 6.0, buckets: vec![(1.0, 1.0), (2.0, 4.0), (f64::INFINITY, 4.0)] };
    assert_eq!(delta.quantile(0.25), Some(1.0));
    assert_eq!(delta.quantile(0.625), Some(1.5));
    assert_eq!(delta.quantile(1.0), Some(2.0));
    let beyond = Delta { count: 2.0, sum: 9.0, buckets: vec![(1.0, 1.0), (2.0, 1.0), (f64::INFINITY, 2.0)] };
    assert_eq!(beyond.quantile(0.99), Some(2.0), "what is above the last bound is told as that bound");
    assert_eq!(Delta::default().quantile(0.5), None);
}

#[test]
fn nodes_are_added_bound_by_bound() {
    let one = Delta { count: 1.0, sum: 2.0, buckets: vec![(1.0, 0.0), (f64::INFINITY, 1.0)] };
    let two = Delta { count: 3.0, sum: 1.0, buckets: vec![(1.0, 2.0), (f64::INFINITY, 3.0)] };
    let all = Delta::sum_of([&one, &two].into_iter());
    assert_eq!(all, Delta { count: 4.0, sum: 3.0, buckets: vec![(1.0, 2.0), (f64::INFINITY, 4.0)] });
}
