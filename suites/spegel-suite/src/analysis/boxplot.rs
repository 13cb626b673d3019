//! A box plot of the arms of one step, as an SVG file that stands by itself.

use std::fmt::Write as _;

use super::{Comparison, Summary};

const WIDTH: f64 = 720.0;
const ROW: f64 = 44.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 44.0;
const TICKS: usize = 5;

/// Whiskers from the shortest to the longest pull, a box from the lower to the upper quartile, and a line at the median. Each arm's
/// figures are in its tooltip.
pub fn boxplot(comparison: &Comparison) -> String {
    let arms: Vec<(&str, Summary)> =
        comparison.arms.iter().filter_map(|(name, times)| Some((name.as_str(), Summary::of(times)?))).collect();
    let longest = arms.iter().map(|(_, summary)| summary.max).fold(0.0, f64::max);
    let top = ceiling(longest);
    let x = |seconds: f64| LEFT + seconds / top * (WIDTH - LEFT - RIGHT);
    let height = TOP + BOTTOM + ROW * arms.len() as f64;
    let title = text(&format!("{} {}: pull time in seconds", comparison.cell, comparison.step));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" font-family=\"sans-serif\" \
         font-size=\"12\"><title>{title}</title><rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"14\">{title}</text>\n"
    );
    // Writing to a String cannot fail.
    for tick in 0..=TICKS {
        let seconds = top * tick as f64 / TICKS as f64;
        let (at, foot) = (x(seconds), height - BOTTOM);
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{foot}\" stroke=\"#ddd\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{seconds}</text>",
            foot + 18.0
        );
    }
    for (number, (name, summary)) in arms.iter().enumerate() {
        let middle = TOP + ROW * (number as f64 + 0.5);
        let [min, q25, median, q75, max] = [summary.min, summary.q25, summary.median, summary.q75, summary.max].map(x);
        let (above, below) = (middle - ROW * 0.3, middle + ROW * 0.3);
        let tooltip = text(&format!(
            "{name}: {} pulls, min {:.3}, q25 {:.3}, median {:.3}, q75 {:.3}, max {:.3} s",
            summary.n, summary.min, summary.q25, summary.median, summary.q75, summary.max
        ));
        let _ = writeln!(
            svg,
            "<g stroke=\"#333\"><title>{tooltip}</title>\
             <line x1=\"{min:.1}\" y1=\"{middle}\" x2=\"{max:.1}\" y2=\"{middle}\"/>\
             <line x1=\"{min:.1}\" y1=\"{above:.1}\" x2=\"{min:.1}\" y2=\"{below:.1}\"/>\
             <line x1=\"{max:.1}\" y1=\"{above:.1}\" x2=\"{max:.1}\" y2=\"{below:.1}\"/>\
             <rect x=\"{q25:.1}\" y=\"{above:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#9ecae1\"/>\
             <line class=\"median\" x1=\"{median:.1}\" y1=\"{above:.1}\" x2=\"{median:.1}\" y2=\"{below:.1}\" stroke-width=\"3\"/></g>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            q75 - q25,
            below - above,
            LEFT - 10.0,
            middle + 4.0,
            text(name)
        );
    }
    svg + "</svg>\n"
}

/// The next of 1, 2, 2.5 and 5 times a power of ten.
fn ceiling(longest: f64) -> f64 {
    if !longest.is_finite() || longest <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(longest.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0].into_iter().find(|step| step * power >= longest);
    step.unwrap_or(10.0) * power
}

fn text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0.9, 1.0)]
    #[case(1.0, 1.0)]
    #[case(2.3, 2.5)]
    #[case(31.6, 50.0)]
    #[case(0.0, 1.0)]
    fn the_axis_ends_at_a_round_figure(#[case] longest: f64, #[case] wanted: f64) {
        assert!((ceiling(longest) - wanted).abs() < 1e-9, "{}", ceiling(longest));
    }

    #[test]
    fn the_line_in_the_box_is_the_median() {
        let arms = vec![("a<b".to_owned(), vec![0.0, 1.0, 1.0, 1.0, 5.0])];
        let svg = boxplot(&Comparison { cell: "10MB-1".to_owned(), step: "update", arms });
        // The axis ends at 5 s: 1 s is a fifth of it, and the mean would be at 1.6 s.
        let at = LEFT + (WIDTH - LEFT - RIGHT) / 5.0;
        assert!(svg.contains(&format!("class=\"median\" x1=\"{at:.1}\"")), "{svg}");
        assert!(svg.contains("a&lt;b: 5 pulls") && svg.ends_with("</svg>\n"), "{svg}");
    }
}
