//! Where something stands in a TOML document: errors of suites' data name the line.

use toml::de::{DeTable, DeValue};

/// The line, from 1, of what `path` leads to in `text`: keys, and numbers for the elements of an array. Where the path ends too
/// early it is the line of the last that is there.
pub fn line_of(text: &str, path: &[&str]) -> usize {
    let Ok(document) = DeTable::parse(text) else { return 1 };
    let root = DeValue::Table(document.into_inner());
    let (mut at, mut here) = (0, &root);
    for step in path {
        let next = match here {
            DeValue::Table(table) => table.get_key_value(*step).map(|(key, value)| (key.span().start, value)),
            DeValue::Array(array) => {
                let element = step.parse::<usize>().ok().and_then(|index| array.get(index));
                element.map(|element| (element.span().start, element))
            }
            _ => None,
        };
        let Some((start, value)) = next else { break };
        (at, here) = (start, value.get_ref());
    }
    line_at(text, at)
}

/// The line, from 1, of the byte at `offset`.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const TEXT: &str = "# Rows.\n[row.small]\nnodes = 1\n\n[row.large]\nnodes = 2\n\n[[budget]]\nlimit = 1\n\n  [[budget]] # second\nrows = [\n  \"a\",\n  \"b\",\n]\n";

    #[rstest]
    #[case::a_table(&["row", "large"], 5)]
    #[case::a_key(&["row", "large", "nodes"], 6)]
    #[case::of_an_element(&["budget", "1", "rows"], 12)]
    #[case::an_element(&["budget", "1", "rows", "1"], 14)]
    #[case::a_table_of_an_array(&["budget", "1"], 11)]
    #[case::as_far_as_it_goes(&["row", "large", "pods"], 5)]
    #[case::nowhere(&["cost"], 1)]
    fn a_path_leads_to_a_line(#[case] path: &[&str], #[case] line: usize) {
        assert_eq!(line_of(TEXT, path), line);
    }

    #[test]
    fn what_is_no_toml_has_a_first_line() {
        assert_eq!(line_of("[", &["row"]), 1);
    }
}
