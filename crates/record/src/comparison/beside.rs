//! What stands beside the answers and decides nothing: whether the machine was at rest while the arms took turns, and the
//! ratio of the medians, which is what most people would have looked at.

use measure::gate::Metric;
use measure::stats::bootstrap::{Resampling, ratio_of_quantiles_by_repeat};
use measure::stats::drift::{Drift, Placed};

use super::read::Repeat;

/// From this p on a drift is chance.
const CHANCE: f64 = 0.01;

/// The drift of a metric over all runs of both arms, in words; none where there was none, or runs do not know their place.
pub(super) fn drift(metric: &Metric, base: &[Repeat], head: &[Repeat]) -> Option<String> {
    let placed = |repeats: &[Repeat], samples: &[f64]| {
        let place = |(repeat, value): (&Repeat, &f64)| {
            Some(Placed { position: repeat.trial.arm.as_ref()?.position, value: *value })
        };
        repeats.iter().zip(samples).map(place).collect::<Option<Vec<_>>>()
    };
    let (base, head) = (placed(base, &metric.base)?, placed(head, &metric.head)?);
    let positions = || base.iter().chain(&head).map(|placed| placed.position);
    let span = positions().max()?.checked_sub(positions().min()?)?;
    let drift = Drift::of(&[("base", &base), ("head", &head)], 0.95).ok().filter(|drift| drift.p < CHANCE)?;
    Some(format!("{} drifted by {:.2} x from the first run to the last", metric.name, drift.over(span)))
}

/// The ratio of the medians of a metric that changed, with the interval that drawing its repeats again gives.
pub(super) fn medians(metric: &Metric) -> Option<String> {
    let repeats = |samples: &[f64]| samples.iter().map(|sample| vec![*sample]).collect::<Vec<_>>();
    let (base, head) = (repeats(&metric.base), repeats(&metric.head));
    let drawn = ratio_of_quantiles_by_repeat(&base, &head, 0.5, &Resampling::seeded(0)).ok()?;
    let (low, high) = (drawn.interval.low, drawn.interval.high);
    Some(format!("{}: the medians' ratio is {:.3} ({low:.3} to {high:.3} by bootstrap)", metric.name, drawn.ratio))
}
