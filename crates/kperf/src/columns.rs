//! Tables as kperf prints them: columns three spaces apart, as of Go's `text/tabwriter`.

/// Rows under a header, each with a line break.
pub(crate) fn columns<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let header = header.map(str::to_owned);
    let all = || std::iter::once(&header).chain(rows);
    let widths: Vec<usize> =
        (0..N).map(|column| all().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}   "));
        format!("{}\n", cells.collect::<String>().trim_end())
    };
    all().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_three_spaces_apart() {
        let rows = [["example".to_owned(), "10 / 10".to_owned()], ["b".to_owned(), "0 / 3".to_owned()]];
        assert_eq!(columns(["NAME", "NODES"], &rows), "NAME      NODES\nexample   10 / 10\nb         0 / 3\n");
        assert_eq!(columns(["NAME", "NODES"], &[]), "NAME   NODES\n");
    }
}
