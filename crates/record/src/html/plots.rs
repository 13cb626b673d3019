//! The plots of a row: progress of a phase, times of its stages, use of the components.
//!
//! Lines are told apart by dash patterns and letters, which the legend below a plot repeats; colour only helps.

use super::axis::Scale;
use super::svg::{Point, Svg};
use super::thin::thin;
use super::usage::Pieces;
use crate::schema::{Breakdown, PhaseRecord};
use crate::text::{figure, seconds};

/// Size of a plot in its own units: about pixels, at the width of half a page.
const SIZE: (f64, f64) = (480.0, 240.0);
/// The frame inside it: left, top, right, bottom.
const FRAME: (f64, f64, f64, f64) = (46.0, 30.0, 466.0, 200.0);
/// Height of a line of text.
const LINE: f64 = 14.0;
/// What is hardly seen in a plot: about a unit, less than a line is wide.
const TOLERANCE: f64 = 1.2;
/// A limit this much above the highest line would flatten the lines.
const HEADROOM: f64 = 2.5;
/// Lines that can be told apart in one plot.
pub(crate) const LINES: usize = 8;

/// A stage's times in a CDF.
#[derive(Debug)]
pub(crate) struct Cdf<'a> {
    /// `observed -> running`.
    pub(crate) stage: &'a str,
    /// Milliseconds of each object, sorted.
    pub(crate) ms: &'a [f64],
}

/// A phase as a stretch of time.
#[derive(Clone, Debug)]
pub(crate) struct Band {
    /// Its name.
    pub(crate) name: String,
    /// Its begin and its end, in seconds from the start of the trial.
    pub(crate) span_s: (f64, f64),
}

/// Lines over the time of a trial.
#[derive(Debug)]
pub(crate) struct OverTime<'a> {
    /// What it shows.
    pub(crate) title: &'a str,
    /// What it says, for whoever does not see it.
    pub(crate) description: &'a str,
    /// The unit of its values.
    pub(crate) unit: &'a str,
    /// The phases.
    pub(crate) bands: &'a [Band],
    /// The lines: at most [`LINES`] are drawn.
    pub(crate) lines: Vec<&'a Pieces>,
    /// A value that cannot be exceeded, and its name.
    pub(crate) limit: Option<(f64, String)>,
}

/// Height of a bar, and of the whole plot of one.
const BAR: (f64, f64) = (26.0, 70.0);

/// The letter by which a line is known in its plot and in the legend.
pub(crate) fn letter(index: usize) -> char {
    char::from(b'A' + (index % 26) as u8)
}

/// Objects done over the time of a phase. `waited_s` is how long the phase went on without an object more, if it did.
pub(crate) fn progress(phase: &PhaseRecord, points: &[(f64, f64)], waited_s: Option<f64>) -> String {
    let last = points.last().copied().unwrap_or_default();
    let most = points.iter().map(|point| point.1).fold(phase.expected as f64, f64::max);
    let longest = last.0.max(phase.took_s).max(waited_s.unwrap_or(0.0));
    let title = format!("Progress of {}", phase.name);
    let times = &phase.progress;
    let shares = [("half", times.t50_s), ("90 %", times.t90_s), ("99 %", times.t99_s), ("all", times.t100_s)];
    let reached = shares.iter().filter_map(|(share, at)| Some(format!("{share} after {}", seconds((*at)?))));
    let reached: Vec<String> = reached.collect();
    let description = format!("{} of {} objects: {}. {}", phase.done, phase.expected, reached.join(", "), phase.end);
    let mut plot = Plot::new(&title, &description, Scale::linear((0.0, longest), across()), up((0.0, most)));
    plot.axes("s from the start of the phase", "objects done");
    plot.limit(phase.expected as f64, -5.0, &format!("{} expected", phase.expected));
    plot.curve(0, [steps(points.iter().copied(), (0.0, 0.0))]);
    let mut notes = Vec::new();
    for (share, label, at) in [(1.0, "100 %", times.t100_s), (0.9, "90 %", times.t90_s), (0.5, "50 %", times.t50_s)] {
        if let Some(at) = at {
            let place = plot.at(at, (phase.expected as f64 * share).ceil());
            plot.svg.dot("s0", place, 3.5);
            notes.push((place, format!("{label} {}", seconds(at))));
        }
    }
    if phase.verdict.is_some() {
        let end = waited_s.unwrap_or(last.0).max(last.0);
        plot.svg.path("wait", [[plot.at(last.0, last.1), plot.at(end, last.1)]]);
        plot.cross(plot.at(last.0, last.1));
        // Above the line along which nothing moved.
        let place = plot.at(last.0, last.1);
        notes.insert(0, (Point::new(place.x, place.y - LINE), phase.end.clone()));
    }
    plot.notes(&notes);
    plot.svg.finish()
}

/// The share of objects that took at most so long, for each stage of a phase.
pub(crate) fn stage_times(phase: &str, stages: &[Cdf<'_>]) -> String {
    let stages = &stages[..stages.len().min(LINES)];
    let all = || stages.iter().flat_map(|stage| stage.ms.iter().copied());
    let smallest = all().filter(|ms| *ms > 0.0).fold(f64::MAX, f64::min);
    let largest = all().fold(0.0, f64::max);
    let smallest = if smallest > largest { 1.0 } else { smallest };
    let title = format!("Times of the stages of {phase}");
    let samples: usize = stages.iter().map(|stage| stage.ms.len()).sum();
    let description = format!("Share of objects over time: {samples} times in {} stages.", stages.len());
    let x = Scale::log((smallest, largest.max(smallest)), across());
    let mut plot = Plot::new(&title, &description, x, up((0.0, 100.0)));
    plot.axes("ms in the stage, log scale", "% of objects");
    for (index, stage) in stages.iter().enumerate() {
        let share = 100.0 / stage.ms.len().max(1) as f64;
        let points = stage.ms.iter().enumerate().map(|(i, ms)| (*ms, (i + 1) as f64 * share));
        plot.curve(index, [steps(points, (stage.ms.first().copied().unwrap_or(smallest), 0.0))]);
    }
    // Letters at different heights, so that lines which lie on each other keep theirs apart.
    let letters = stages.iter().enumerate().filter_map(|(index, stage)| {
        let height = 0.25 + 0.5 * (index as f64 + 0.5) / stages.len() as f64;
        let ms = stage.ms.get((stage.ms.len() as f64 * height) as usize)?;
        let place = plot.at(*ms, height * 100.0);
        Some((Point::new(place.x, place.y + 4.5), letter(index).to_string()))
    });
    let letters: Vec<_> = letters.collect();
    plot.svg.texts("letter", letters);
    plot.svg.finish()
}

/// The parts of a figure behind each other, as one bar. At most [`LINES`] have a letter.
pub(crate) fn stacked(breakdown: &Breakdown) -> String {
    let whole: f64 = breakdown.parts.iter().map(|part| part.value).sum();
    let named = breakdown.parts.iter().map(|part| format!("{} {} {}", part.name, figure(part.value), breakdown.unit));
    let description = named.collect::<Vec<_>>().join(", ");
    let mut svg = Svg::new((SIZE.0, BAR.1), &breakdown.name, &description);
    let x = Scale::linear((0.0, whole), (4.0, FRAME.2));
    let (top, bottom) = (LINE, LINE + BAR.0);
    let (mut from, mut edges, mut letters) = (0.0, Vec::new(), Vec::new());
    for (index, part) in breakdown.parts.iter().enumerate() {
        let (left, right) = (x.at(from), x.at(from + part.value));
        from += part.value;
        let class = if index.is_multiple_of(2) { "band odd" } else { "band" };
        let said = format!("{}: {} {}", part.name, figure(part.value), breakdown.unit);
        svg.area(class, Point::new(left, top), Point::new(right, bottom), &said);
        edges.extend([left, right].map(|x| [Point::new(x, top), Point::new(x, bottom)]));
        if index < LINES && right - left > 9.0 {
            letters.push((Point::new((left + right) / 2.0, top + 18.0), letter(index).to_string()));
        }
    }
    svg.path("limit", edges);
    svg.texts("letter", letters);
    let label = |tick| (Point::new(x.at(tick), bottom + 15.0), x.label(tick));
    let name = (Point::new((4.0 + FRAME.2) / 2.0, bottom + 29.0), breakdown.unit.clone());
    svg.texts("tx", x.ticks().into_iter().map(label).chain([name]));
    svg.finish()
}

/// Lines over the time of a trial, with its phases as bands.
pub(crate) fn over_time(shown: &OverTime<'_>) -> String {
    let lines = &shown.lines[..shown.lines.len().min(LINES)];
    let points = || lines.iter().flat_map(|line| line.iter().flatten());
    let bands_end = shown.bands.iter().map(|band| band.span_s.1).fold(0.0, f64::max);
    let end = points().map(|point| point.0).fold(bands_end, f64::max);
    let highest = points().map(|point| point.1).fold(0.0, f64::max);
    let limit = shown.limit.as_ref().filter(|(limit, _)| *limit <= highest * HEADROOM);
    let top = limit.map_or(highest, |(limit, _)| highest.max(*limit));
    let x = Scale::linear((0.0, end), across());
    let mut plot = Plot::new(shown.title, shown.description, x, up((0.0, top * 1.05)));
    plot.bands(shown.bands);
    plot.axes("s from the start of the trial", shown.unit);
    if let Some((limit, name)) = limit {
        plot.limit(*limit, LINE, name);
    }
    for (index, line) in lines.iter().enumerate() {
        plot.curve(index, line.iter().map(|piece| piece.iter().copied()));
    }
    let (mut taken, mut letters) = (Vec::new(), Vec::new());
    for (index, line) in lines.iter().enumerate() {
        let places: Vec<Point> = line.iter().flatten().map(|point| plot.at(point.0, point.1)).collect();
        if let Some(place) = free_place(&places, &taken) {
            letters.push((Point::new(place.x, place.y - 5.0), letter(index).to_string()));
            taken.push(place);
        }
    }
    plot.svg.texts("letter", letters);
    plot.svg.finish()
}

/// The highest point of a line that no other letter stands near; failing that, the highest.
fn free_place(places: &[Point], taken: &[Point]) -> Option<Point> {
    let near = |a: &Point, b: &Point| (a.x - b.x).abs() < 14.0 && (a.y - b.y).abs() < 13.0;
    let free = places.iter().filter(|place| !taken.iter().any(|other| near(place, other)));
    let highest = |a: &&Point, b: &&Point| a.y.total_cmp(&b.y);
    free.min_by(highest).or_else(|| places.iter().min_by(highest)).copied()
}

/// A line that goes up in steps, as a count does.
fn steps(points: impl Iterator<Item = (f64, f64)>, start: (f64, f64)) -> impl Iterator<Item = (f64, f64)> {
    let mut height = start.1;
    std::iter::once(start).chain(points.flat_map(move |(x, y)| [(x, std::mem::replace(&mut height, y)), (x, y)]))
}

fn across() -> (f64, f64) {
    (FRAME.0, FRAME.2)
}

fn up(domain: (f64, f64)) -> Scale {
    Scale::linear(domain, (FRAME.3, FRAME.1))
}

/// A frame with its scales.
struct Plot {
    svg: Svg,
    x: Scale,
    y: Scale,
}

impl Plot {
    fn new(title: &str, description: &str, x: Scale, y: Scale) -> Self {
        Self { svg: Svg::new(SIZE, title, description), x, y }
    }

    fn at(&self, x: f64, y: f64) -> Point {
        Point::new(self.x.at(x), self.y.at(y))
    }

    fn axes(&mut self, x_label: &str, y_label: &str) {
        let (left, top, right, bottom) = FRAME;
        let (x, y) = (self.x, self.y);
        let rules = y.ticks().into_iter().map(|tick| [Point::new(left, y.at(tick)), Point::new(right, y.at(tick))]);
        let marks =
            x.ticks().into_iter().map(|tick| [Point::new(x.at(tick), bottom), Point::new(x.at(tick), bottom + 4.0)]);
        self.svg.path("grid", rules.chain(marks));
        let label = |tick| (Point::new(left - 6.0, y.at(tick) + 4.0), y.label(tick));
        self.svg.texts("ty", y.ticks().into_iter().map(label));
        let label = |tick| (Point::new(x.at(tick), bottom + 17.0), x.label(tick));
        let name = (Point::new((left + right) / 2.0, bottom + 35.0), x_label.to_owned());
        self.svg.texts("tx", x.ticks().into_iter().map(label).chain([name]));
        self.svg.texts("name", [(Point::new(4.0, top - 18.0), y_label)]);
    }

    fn curve(&mut self, index: usize, pieces: impl IntoIterator<Item = impl IntoIterator<Item = (f64, f64)>>) {
        let (x, y) = (self.x, self.y);
        let place = |(px, py)| Point::new(x.at(px), y.at(py));
        let thinned = pieces.into_iter().map(|piece| thin(piece.into_iter().map(place), TOLERANCE));
        self.svg.path(&format!("s s{index}"), thinned);
    }

    fn bands(&mut self, bands: &[Band]) {
        let mut numbers = Vec::new();
        for (index, band) in bands.iter().enumerate() {
            let (from, to) = (self.x.at(band.span_s.0), self.x.at(band.span_s.1));
            let class = if index.is_multiple_of(2) { "band" } else { "band odd" };
            let span = format!("{}: {} to {}", band.name, seconds(band.span_s.0), seconds(band.span_s.1));
            self.svg.area(class, Point::new(from, FRAME.1), Point::new(to, FRAME.3), &span);
            // The phase's number, which its heading carries too: names do not fit into short phases.
            if to - from > 9.0 {
                numbers.push((Point::new((from + to) / 2.0, FRAME.1 - 4.0), (index + 1).to_string()));
            }
        }
        self.svg.texts("tx", numbers);
    }

    /// A line at a value, its name so far below it.
    fn limit(&mut self, value: f64, below: f64, name: &str) {
        let y = self.y.at(value);
        self.svg.path("limit", [[Point::new(FRAME.0, y), Point::new(FRAME.2, y)]]);
        self.svg.texts("note left", [(Point::new(FRAME.2, y + below), name)]);
    }

    fn cross(&mut self, at: Point) {
        let stroke = |dy: f64| [Point::new(at.x - 5.0, at.y - dy), Point::new(at.x + 5.0, at.y + dy)];
        self.svg.path("cross", [stroke(5.0), stroke(-5.0)]);
    }

    /// Texts beside places, from the highest down, none over another: each on the side where there is room, for a rising
    /// curve leaves it on the upper left and on the lower right.
    fn notes(&mut self, notes: &[(Point, String)]) {
        let middle = (FRAME.0 + FRAME.2) / 2.0;
        let mut free = FRAME.1 + LINE;
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for (at, text) in notes {
            let y = (at.y + 4.0).max(free);
            if at.x > middle {
                left.push((Point::new(at.x - 8.0, y), text));
            } else {
                right.push((Point::new(at.x + 9.0, y), text));
            }
            free = y + LINE;
        }
        self.svg.texts("note left", left);
        self.svg.texts("note", right);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Part, ProgressTimes};
    use measure::Verdict;
    use proptest::prelude::*;

    fn phase() -> PhaseRecord {
        let progress = ProgressTimes { t50_s: Some(1.0), t90_s: Some(1.5), t99_s: None, t100_s: None };
        let end = "stalled at 19/20 after 1.50s".to_owned();
        let verdict = Some(Verdict::Stalled);
        PhaseRecord {
            name: "create-pods".into(),
            expected: 20,
            done: 19,
            took_s: 1.5,
            end,
            verdict,
            progress,
            ..PhaseRecord::default()
        }
    }

    fn lines(markup: &str) -> String {
        markup.replace("><", ">\n<")
    }

    #[test]
    fn a_stalled_phase_shows_where_it_stopped_and_how_long_nothing_moved() {
        let points = [(0.5, 5.0), (1.0, 10.0), (1.5, 19.0)];
        insta::assert_snapshot!(lines(&progress(&phase(), &points, Some(3.0))));
    }

    #[test]
    fn the_times_of_stages_are_steps_with_letters() {
        let (a, b) = ([1.0, 2.0, 4.0], [10.0, 10.0, 400.0]);
        let stages = [Cdf { stage: "intended -> observed", ms: &a }, Cdf { stage: "observed -> running", ms: &b }];
        insta::assert_snapshot!(lines(&stage_times("create-pods", &stages)));
    }

    #[test]
    fn the_use_of_components_lies_over_the_phases() {
        let bands = [("create-nodes", 0.0, 3.0), ("create-pods", 3.0, 10.0)]
            .map(|(name, from, to)| Band { name: name.to_owned(), span_s: (from, to) });
        let (etcd, apiserver) =
            (vec![vec![(1.0, 0.25), (9.0, 0.5)]], vec![vec![(1.0, 1.0)], vec![(5.0, 1.5), (9.0, 1.0)]]);
        let (title, description) = ("CPU of the components", "kube-apiserver most");
        let lines_shown = vec![&apiserver, &etcd];
        let limit = Some((2.0, "all 2 cores".to_owned()));
        let shown = OverTime { title, description, unit: "cores", bands: &bands, lines: lines_shown, limit };
        insta::assert_snapshot!(lines(&over_time(&shown)));
    }

    #[test]
    fn parts_of_a_figure_stand_behind_each_other() {
        let parts = [("in the queue", 6.0), ("keys", 1.5), ("writes", 0.5)];
        insta::assert_snapshot!(lines(&stacked(&Breakdown::with_rest(
            "where the time goes",
            "s",
            10.0,
            &parts,
            "rest"
        ))));
    }

    #[test]
    fn what_is_more_than_the_whole_leaves_no_rest() {
        let breakdown = Breakdown::with_rest("x", "s", 1.0, &[("a", 2.0)], "rest");
        assert_eq!(breakdown.parts[1], Part { name: "rest".to_owned(), value: 0.0 });
    }

    proptest! {
        #[test]
        fn no_figure_breaks_a_plot(
            points in prop::collection::vec((any::<f64>(), any::<f64>()), 0..30),
            figures in prop::array::uniform3(any::<f64>()),
            expected in any::<usize>(),
        ) {
            let [took_s, at, limit] = figures;
            let progress_times = ProgressTimes { t50_s: Some(at), t90_s: Some(took_s), t99_s: None, t100_s: Some(limit) };
            let phase = PhaseRecord { took_s, expected, progress: progress_times, ..phase() };
            let mut ms: Vec<f64> = points.iter().map(|point| point.1).collect();
            ms.sort_unstable_by(f64::total_cmp);
            let pieces = vec![points.clone()];
            let bands = [Band { name: "x".to_owned(), span_s: (at, took_s) }];
            let limit = Some((limit, "limit".to_owned()));
            let shown = OverTime { title: "", description: "", unit: "", bands: &bands, lines: vec![&pieces], limit };
            for markup in [
                progress(&phase, &points, Some(at)),
                stage_times("x", &[Cdf { stage: "a -> b", ms: &ms }]),
                over_time(&shown),
                stacked(&Breakdown::with_rest("x", "s", at, &[("a", took_s), ("b", figures[2])], "rest")),
            ] {
                let coordinates = markup.split(" d=\"").skip(1).filter_map(|rest| rest.split('"').next());
                for path in coordinates {
                    prop_assert!(path.chars().all(|c| "Mhvl 0123456789.-".contains(c)), "{path}");
                }
            }
        }
    }
}
