//! Figures as people read them, whatever a record holds.

use std::time::Duration;

use measure::budget::Figure;
use measure::human;

/// Seconds as in the documents: `14m25s`; `-` for what is no duration.
pub(crate) fn seconds(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| "-".to_owned(), human)
}

/// A text as a cell of a Markdown table.
pub(crate) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// The same, `-` when there are none.
pub(crate) fn maybe_seconds(value: &Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), seconds)
}

/// A figure in three significant digits.
pub(crate) fn figure(value: f64) -> String {
    Figure(value).to_string()
}

/// The same, `-` when there is none.
pub(crate) fn maybe_figure(value: &Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), figure)
}

/// A share of 1 as a percentage.
pub(crate) fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent.abs() < 10.0 => format!("{percent:.1} %"),
        percent => format!("{percent:.0} %"),
    }
}

/// Bytes in the unit that leaves few digits.
pub(crate) fn bytes(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut size, mut unit) = (bytes, 0);
    while size.abs() >= 1024.0 && unit + 1 < units.len() {
        (size, unit) = (size / 1024.0, unit + 1);
    }
    match unit {
        0 => format!("{size:.0} B"),
        _ if size.abs() < 10.0 => format!("{size:.1} {}", units[unit]),
        _ => format!("{size:.0} {}", units[unit]),
    }
}

/// A word of a shell's command line.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::usual(865.0, "14m25s")]
    #[case::negative(-1.0, "-")]
    #[case::not_a_number(f64::NAN, "-")]
    #[case::out_of_proportion(1e300, "-")]
    fn seconds_are_a_duration_or_a_dash(#[case] value: f64, #[case] text: &str) {
        assert_eq!(seconds(value), text);
    }

    #[rstest]
    #[case::none(0.0, "0 B")]
    #[case::small(1536.0, "1.5 KiB")]
    #[case::large(265_289_728.0, "253 MiB")]
    fn bytes_have_their_unit(#[case] value: f64, #[case] text: &str) {
        assert_eq!(bytes(value), text);
    }

    #[rstest]
    #[case::plain("--filter", "--filter")]
    #[case::parentheses("test(example)", "'test(example)'")]
    #[case::a_quote("it's", r"'it'\''s'")]
    #[case::nothing("", "''")]
    fn a_word_is_quoted_where_a_shell_would_not_take_it(#[case] word: &str, #[case] text: &str) {
        assert_eq!(quoted(word), text);
    }
}
