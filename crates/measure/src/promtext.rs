//! A streaming reader of the Prometheus text exposition format, version 0.0.4.
//!
//! An apiserver's page is megabytes, of which a trial needs a few families: lines are borrowed, and nothing is kept.
//! Format: "Exposition formats" of the Prometheus documentation.

/// One sample line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<'a> {
    /// The metric's name.
    pub name: &'a str,
    labels: &'a str,
    /// The value.
    pub value: f64,
}

impl<'a> Sample<'a> {
    /// The raw value of a label: escape sequences are left as they stand.
    pub fn label(&self, name: &str) -> Option<&'a str> {
        let mut rest = self.labels;
        loop {
            let (key, after) = rest.split_once("=\"")?;
            let end = closing_quote(after)?;
            if key.trim_start_matches([',', ' ']).trim_end() == name {
                return Some(&after[..end]);
            }
            rest = &after[end + 1..];
        }
    }
}

/// The samples of a page, in order. Comments and lines that are not samples are passed over.
pub fn samples(page: &str) -> impl Iterator<Item = Sample<'_>> {
    page.lines().filter_map(parse)
}

/// The sum of all samples of the family `name` that `wanted` keeps; `None` where there is none, which is not zero.
pub fn sum(page: &str, name: &str, wanted: impl Fn(&Sample<'_>) -> bool) -> Option<f64> {
    samples(page)
        .filter(|sample| sample.name == name && wanted(sample))
        .fold(None, |sum, sample| Some(sum.unwrap_or(0.0) + sample.value))
}

fn parse(line: &str) -> Option<Sample<'_>> {
    let line = line.trim_start();
    if line.starts_with('#') {
        return None;
    }
    let name_end = line.find(['{', ' ', '\t'])?;
    let (name, rest) = line.split_at(name_end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inner) => {
            let end = closing_brace(inner)?;
            (&inner[..end], &inner[end + 1..])
        }
        None => ("", rest),
    };
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    (!name.is_empty()).then_some(Sample { name, labels, value })
}

/// Index of the brace that closes the labels: one outside a quoted value.
fn closing_brace(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let next = at + text.get(at..)?.find(['"', '}'])?;
        if text.as_bytes()[next] == b'}' {
            return Some(next);
        }
        at = next + 1 + closing_quote(&text[next + 1..])? + 1;
    }
}

/// Index of the quote that closes a value: one that no backslash escapes.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const PAGE: &str = r#"# HELP apiserver_request_total Counter of requests.
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",resource="pods",verb="LIST"} 3
apiserver_request_total{code="201",resource="pods",verb="POST"} 1.5e+01 1712345678000
etcd_mvcc_put_total 42
odd{path="a\"},b=\"",x="}"} +Inf
"#;

    #[test]
    fn a_family_is_summed_over_the_labels_that_are_wanted() {
        assert_eq!(sum(PAGE, "apiserver_request_total", |_| true), Some(18.0));
        assert_eq!(sum(PAGE, "apiserver_request_total", |s| s.label("verb") == Some("POST")), Some(15.0));
        assert_eq!(sum(PAGE, "etcd_mvcc_put_total", |_| true), Some(42.0));
    }

    #[test]
    fn a_family_that_is_absent_is_not_zero() {
        assert_eq!(sum(PAGE, "etcd_mvcc_delete_total", |_| true), None);
    }

    #[test]
    fn quotes_and_braces_inside_values_do_not_end_the_labels() {
        let odd = samples(PAGE).find(|sample| sample.name == "odd").expect("the odd line");
        assert_eq!(odd.label("path"), Some(r#"a\"},b=\""#));
        assert_eq!(odd.label("x"), Some("}"));
        assert!(odd.value.is_infinite());
    }

    #[rstest]
    #[case::no_value("name")]
    #[case::unclosed(r#"name{a="b" 1"#)]
    #[case::unclosed_quote(r#"name{a="b} 1"#)]
    #[case::no_number("name x")]
    #[case::no_name("{a=\"b\"} 1")]
    fn what_is_not_a_sample_is_passed_over(#[case] line: &str) {
        assert_eq!(samples(line).count(), 0);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(page in any::<String>()) {
            for sample in samples(&page) {
                let _ = sample.label("verb");
            }
        }
    }
}
