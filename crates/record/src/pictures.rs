//! Plots as files of their own: those of a page, and the ratios of a comparison.

use measure::gate::{Answer, Metric, Outcome};

use crate::html::{Point, Scale, Svg};

/// Width of a picture of ratios, and the frame for the ratios inside it.
const WIDTH: f64 = 720.0;
const FRAME: (f64, f64) = (310.0, 700.0);
/// Height of the room above the first metric, of each metric, and below the last.
const ROOM: (f64, f64, f64) = (44.0, 46.0, 40.0);
/// Ratios beyond this are drawn at the edge.
const EDGE: f64 = 4.0;

/// The style sheet of the page, with what its figures inherit from it.
const STYLE: &str = concat!(
    include_str!("../templates/style.css"),
    "svg { font: 12px system-ui, sans-serif; fill: var(--fg); background: var(--bg); }\n",
    "svg .relevance { fill: var(--band); } svg .interval { stroke: var(--fg); stroke-width: 3; fill: none; }\n",
    "svg .pair { fill: none; stroke: var(--c0); stroke-width: 1.3; }\n"
);

/// A picture that stands alone: `markup` is an image of the page.
pub(crate) fn standalone(markup: &str) -> String {
    let open = "<svg xmlns=\"http://www.w3.org/2000/svg\"";
    let image = markup.replacen("<svg", open, 1);
    let end = image.find('>').map_or(0, |end| end + 1);
    format!("{}<style>{STYLE}</style>{}\n", &image[..end], &image[end..])
}

/// The pictures of a page: the name of each, and the picture.
pub fn pictures_of_page(page: &str) -> Vec<(String, String)> {
    let images = page.split("<svg viewBox").skip(1).filter_map(|rest| rest.split_once("</svg>"));
    let titled = images.filter_map(|(image, _)| {
        let (_, title) = image.split_once("<title>")?;
        let (title, _) = title.split_once("</title>")?;
        Some((slug(title), standalone(&format!("<svg viewBox{image}</svg>"))))
    });
    titled.collect()
}

/// How a gate decided: for each metric the ratio of every pair, the interval, and the band that does not matter.
pub fn ratio_picture(title: &str, metrics: &[Metric], outcomes: &[Outcome]) -> String {
    let rows = metrics.iter().zip(outcomes);
    let ratios =
        |metric: &Metric| metric.base.iter().zip(&metric.head).map(|(base, head)| head / base).collect::<Vec<_>>();
    let far = |ratio: f64| ratio.max(1.0 / ratio).min(EDGE);
    let all = rows.clone().flat_map(|(metric, outcome)| {
        [ratios(metric), vec![outcome.interval.low, outcome.interval.high, outcome.relevance]].concat()
    });
    let widest = all.map(far).fold(1.1, f64::max) * 1.02;
    let scale = Scale::linear((-widest.ln(), widest.ln()), FRAME);
    let x = |ratio: f64| scale.at(ratio.ln());
    let height = ROOM.0 + ROOM.1 * metrics.len() as f64 + ROOM.2;
    let answers: Vec<&str> = outcomes.iter().map(|outcome| outcome.sentence.as_str()).collect();
    let mut svg = Svg::new((WIDTH, height), title, &answers.join("; "));
    svg.texts("name", [(Point::new(8.0, 18.0), title)]);
    let (top, bottom) = (ROOM.0 - 12.0, height - ROOM.2);
    let ticks = [0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0].into_iter().filter(|tick| far(*tick) <= widest);
    let ticks: Vec<f64> = ticks.filter(|tick| 1.0 / widest <= *tick && *tick <= widest).collect();
    svg.path("grid", ticks.iter().map(|tick| [Point::new(x(*tick), top), Point::new(x(*tick), bottom)]));
    svg.texts("tx", ticks.iter().map(|tick| (Point::new(x(*tick), bottom + 16.0), format!("{tick}"))));
    svg.texts("tx", [(Point::new((FRAME.0 + FRAME.1) / 2.0, bottom + 33.0), "head / base, log scale")]);
    for (i, (metric, outcome)) in rows.enumerate() {
        let middle = ROOM.0 + ROOM.1 * (i as f64 + 0.5) - 6.0;
        let (low, high) =
            (Point::new(x(1.0 / metric.relevance), middle - 17.0), Point::new(x(metric.relevance), middle + 17.0));
        svg.area("relevance", low, high, "what does not matter");
        for (pair, ratio) in ratios(metric).into_iter().enumerate() {
            // Pairs from above to below in the order in which they ran.
            let down = -11.0 + 22.0 * (pair as f64 + 0.5) / metric.base.len() as f64;
            svg.dot("pair", Point::new(x(ratio), middle + down), 2.6);
        }
        let (low, high) = (x(outcome.interval.low), x(outcome.interval.high));
        svg.path("interval", [[Point::new(low, middle), Point::new(high, middle)]]);
        svg.path(
            "interval",
            [[Point::new(x(outcome.ratio), middle - 8.0), Point::new(x(outcome.ratio), middle + 8.0)]],
        );
        svg.texts(
            "",
            [(Point::new(8.0, middle - 2.0), &metric.name), (Point::new(8.0, middle + 13.0), &answer(outcome))],
        );
    }
    svg.path("limit", [[Point::new(x(1.0), top), Point::new(x(1.0), bottom)]]);
    standalone(&svg.finish())
}

fn answer(outcome: &Outcome) -> String {
    let answer = match outcome.answer {
        Answer::Better => "better",
        Answer::Worse => "worse",
        Answer::Same => "the same",
        Answer::CannotTell { .. } => "cannot tell",
    };
    format!("{answer}: {:.2} x, could have seen {:.2} x", outcome.ratio, outcome.detectable)
}

fn slug(title: &str) -> String {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}
