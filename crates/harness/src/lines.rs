//! Lines out of a body that comes in pieces, each with the time at which its last piece was read.

use bytes::{Buf as _, Bytes};

/// Puts the pieces of lines together.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes a piece and calls `line` for every line that it completes, without its newline.
    ///
    /// Each line is a copy of its own size: a slice would keep the connection's whole read buffer alive for as long as
    /// the line waits, which was 64 MB for a thousand lines.
    pub(crate) fn push(&mut self, mut piece: Bytes, mut line: impl FnMut(Bytes)) {
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            line(Bytes::from([&self.partial[..], &piece[..end]].concat()));
            self.partial.clear();
            piece.advance(end + 1);
        }
        self.partial.extend_from_slice(&piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lines_are_the_same_however_the_body_was_cut(
            lines in prop::collection::vec("[a-z]{0,12}", 0..12), cut in 1usize..9,
        ) {
            let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let mut found = Vec::new();
            let mut reader = Lines::default();
            for piece in body.as_bytes().chunks(cut) {
                reader.push(Bytes::copy_from_slice(piece), |line| found.push(line));
            }
            let found: Vec<&[u8]> = found.iter().map(|line| &line[..]).collect();
            let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
            prop_assert_eq!(found, lines);
        }
    }
}
