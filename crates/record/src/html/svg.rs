//! A small SVG writer for pages: escaped text, finite numbers, and colours left to the page's style sheet.

use std::fmt::{self, Write as _};

/// A place on the image, in its own units; y grows downwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

/// An image that names and describes itself, for whoever does not see it.
#[derive(Debug)]
pub(crate) struct Svg {
    out: String,
}

/// No coordinate is written beyond this: a figure out of all proportion stays out of the frame.
const FAR: f64 = 10_000.0;

impl Point {
    pub(crate) fn new(x: f64, y: f64) -> Self {
        Self { x, y }
    }

    /// The nearest whole unit, which is about a pixel: finer ones are hardly seen, and cost a page of many plots a tenth of its
    /// size.
    fn units(self) -> Option<(i64, i64)> {
        let nearest = |value: f64| value.clamp(-FAR, FAR).round() as i64;
        (self.x.is_finite() && self.y.is_finite()).then(|| (nearest(self.x), nearest(self.y)))
    }
}

impl Svg {
    /// An empty image. Its title is its name, as SVG's accessibility mapping has it.
    pub(crate) fn new((width, height): (f64, f64), title: &str, description: &str) -> Self {
        let (title, description) = (Text(title), Text(description));
        let mut out = format!(
            "<svg viewBox=\"0 0 {width} {height}\" role=\"img\"><title>{title}</title><desc>{description}</desc>"
        );
        out.reserve(4096);
        Self { out }
    }

    /// Lines through the points of each piece; points that are not finite are left out.
    pub(crate) fn path<P: AsRef<[Point]>>(&mut self, class: &str, pieces: impl IntoIterator<Item = P>) {
        let pieces = pieces.into_iter().map(|piece| piece.as_ref().iter().filter_map(|point| point.units()).collect());
        let pieces: Vec<Vec<(i64, i64)>> = pieces.filter(|piece: &Vec<_>| !piece.is_empty()).collect();
        if pieces.is_empty() {
            return;
        }
        self.write(format_args!("<path class=\"{}\" d=\"", Text(class)));
        for piece in pieces {
            let (mut x, mut y) = piece[0];
            self.write(format_args!("M{x} {y}"));
            for (to_x, to_y) in piece {
                match (to_x - x, to_y - y) {
                    (0, 0) => {}
                    (dx, 0) => self.write(format_args!("h{dx}")),
                    (0, dy) => self.write(format_args!("v{dy}")),
                    (dx, dy) if dy < 0 => self.write(format_args!("l{dx}{dy}")),
                    (dx, dy) => self.write(format_args!("l{dx} {dy}")),
                }
                (x, y) = (to_x, to_y);
            }
        }
        self.write(format_args!("\"/>"));
    }

    /// A filled area from `at` to the opposite corner `to`, with a title of its own.
    pub(crate) fn area(&mut self, class: &str, at: Point, to: Point, title: &str) {
        let (Some((left, top)), Some((right, bottom))) = (at.units(), to.units()) else { return };
        let (width, height) = ((right - left).max(0), (bottom - top).max(0));
        self.write(format_args!(
            "<rect class=\"{}\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"><title>{}</title></rect>",
            Text(class),
            Text(title),
        ));
    }

    /// A dot.
    pub(crate) fn dot(&mut self, class: &str, at: Point, radius: f64) {
        let Some((x, y)) = at.units() else { return };
        let class = Text(class);
        self.write(format_args!("<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"/>"));
    }

    /// Texts of one class, which says on which side of its place each stands.
    pub(crate) fn texts<T: AsRef<str>>(&mut self, class: &str, texts: impl IntoIterator<Item = (Point, T)>) {
        let mut open = false;
        for (at, text) in texts {
            let Some((x, y)) = at.units() else { continue };
            if !std::mem::replace(&mut open, true) {
                self.write(format_args!("<g class=\"{}\">", Text(class)));
            }
            let text = Text(text.as_ref());
            self.write(format_args!("<text x=\"{x}\" y=\"{y}\">{text}</text>"));
        }
        if open {
            self.write(format_args!("</g>"));
        }
    }

    /// The markup.
    pub(crate) fn finish(mut self) -> String {
        self.out.push_str("</svg>");
        self.out
    }

    /// Writing to a string cannot fail.
    fn write(&mut self, text: fmt::Arguments<'_>) {
        self.out.write_fmt(text).ok();
    }
}

/// Text that cannot end what it stands in: an element or a quoted attribute.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c if c.is_control() && c != '\n' && c != '\t' => f.write_char(char::REPLACEMENT_CHARACTER)?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn image() -> Svg {
        Svg::new((100.0, 50.0), "a < b", "what \"it\" shows & more")
    }

    #[test]
    fn an_image_is_compact_named_and_escaped() {
        let mut svg = image();
        let points = [(0.0, 0.0), (10.04, 0.0), (10.0, -5.5), (12.5, 7.0), (12.5, 7.01)];
        let far = [Point::new(20.0, 20.0), Point::new(30.0, 20.0)];
        svg.path("s0", [points.map(|(x, y)| Point::new(x, y)).to_vec(), far.to_vec()]);
        svg.area("band", Point::new(1.0, 2.0), Point::new(31.0, 48.0), "create-pods");
        svg.dot("s0", Point::new(0.4, 12.0), 3.0);
        svg.texts("tx", [(Point::new(50.0, 49.0), "10 ms"), (Point::new(90.5, 49.0), "1 < 2")]);
        insta::assert_snapshot!(svg.finish().replace("><", ">\n<"));
    }

    #[test]
    fn what_is_not_finite_is_not_drawn() {
        let mut svg = image();
        let nowhere = Point::new(f64::NAN, 1.0);
        svg.path("s0", [[nowhere, Point::new(1.0, f64::INFINITY)]]);
        svg.area("band", nowhere, Point::new(1.0, 1.0), "t");
        svg.dot("s0", nowhere, 3.0);
        svg.texts("tx", [(nowhere, "t")]);
        assert_eq!(svg.finish(), image().finish());
    }

    proptest! {
        #[test]
        fn no_text_and_no_number_breaks_the_markup(
            text in any::<String>(), points in prop::collection::vec((any::<f64>(), any::<f64>()), 0..20),
        ) {
            let mut svg = Svg::new((100.0, 50.0), &text, &text);
            let points: Vec<Point> = points.into_iter().map(|(x, y)| Point::new(x, y)).collect();
            svg.path(&text, [&points]);
            for point in &points {
                svg.texts(&text, [(*point, &text)]);
                svg.area(&text, *point, Point::new(1.0, 1.0), &text);
            }
            let markup = svg.finish();
            let mut reader = quick_xml::Reader::from_str(&markup);
            let mut depth = 0i32;
            loop {
                match reader.read_event().map_err(|error| TestCaseError::fail(format!("{error}: {markup}")))? {
                    quick_xml::events::Event::Start(_) => depth += 1,
                    quick_xml::events::Event::End(_) => depth -= 1,
                    quick_xml::events::Event::Eof => break,
                    _ => {}
                }
            }
            prop_assert_eq!(depth, 0);
            for path in markup.split(" d=\"").skip(1) {
                let path = path.split('"').next().unwrap_or_default();
                prop_assert!(path.chars().all(|c| "Mhvl 0123456789.-".contains(c)), "{}", path);
            }
        }
    }
}
