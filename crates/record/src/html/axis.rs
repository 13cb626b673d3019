//! Scales from values to places, and the round values that an axis is labelled with.

/// Values beyond this are drawn at the edge: no count of objects or bytes comes near it, and arithmetic stays finite.
const LARGEST: f64 = 1e15;
/// The smallest value of a logarithmic axis: a nanosecond in milliseconds.
const SMALLEST: f64 = 1e-6;

/// A scale from values to places along one axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    domain: (f64, f64),
    range: (f64, f64),
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Linear,
    Log,
}

impl Scale {
    /// A linear scale; an empty domain is widened to one unit.
    pub(crate) fn linear(domain: (f64, f64), range: (f64, f64)) -> Self {
        let clean = |value: f64| if value.is_nan() { 0.0 } else { value.clamp(-LARGEST, LARGEST) };
        let (from, to) = (clean(domain.0), clean(domain.1));
        let to = if to > from { to } else { from + 1.0 };
        Self { domain: (from, to), range, kind: Kind::Linear }
    }

    /// A logarithmic scale over whole decades around the domain.
    pub(crate) fn log(domain: (f64, f64), range: (f64, f64)) -> Self {
        let clean = |value: f64| if value.is_nan() { 1.0 } else { value.clamp(SMALLEST, LARGEST) };
        let (from, to) = (clean(domain.0).log10().floor(), clean(domain.1).log10().ceil());
        let to = if to > from { to } else { from + 1.0 };
        Self { domain: (from, to), range, kind: Kind::Log }
    }

    /// The place of `value`, at the edge when it lies outside.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let value = match self.kind {
            Kind::Linear => value,
            Kind::Log => value.max(SMALLEST).log10(),
        };
        let (from, to) = self.domain;
        let share = if value.is_nan() { 0.0 } else { (value.clamp(from, to) - from) / (to - from) };
        self.range.0 + share * (self.range.1 - self.range.0)
    }

    /// Round values inside the domain: steps of 1, 2 or 5, or decades of a logarithmic scale.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        let (from, to) = self.domain;
        match self.kind {
            Kind::Linear => {
                let step = self.step();
                let first = (from / step).ceil();
                (0..12).map(|i| (first + f64::from(i)) * step).take_while(|tick| *tick <= to + step * 1e-6).collect()
            }
            Kind::Log => {
                let decades = (to - from).round() as i32;
                let every = (decades / 5).max(1);
                let fine: &[f64] = if decades <= 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let decades = (0..=decades).step_by(every as usize).map(|i| 10f64.powf(from + f64::from(i)));
                let ticks = decades.flat_map(|decade| fine.iter().map(move |part| decade * part));
                ticks.filter(|tick| tick.log10() <= to + 1e-9).collect()
            }
        }
    }

    /// A tick in as many digits as tell it from the next.
    pub(crate) fn label(&self, tick: f64) -> String {
        let digits = |step: f64| (-(step.log10() + 1e-9).floor()).clamp(0.0, 6.0) as usize;
        let digits = match self.kind {
            Kind::Linear => digits(self.step()),
            Kind::Log => digits(tick.max(SMALLEST)),
        };
        match tick.abs() {
            size if size >= 1e6 => format!("{}M", tick / 1e6),
            size if size >= 1e4 => format!("{}k", tick / 1e3),
            _ => format!("{tick:.digits$}"),
        }
    }

    fn step(&self) -> f64 {
        let rough = (self.domain.1 - self.domain.0) / 4.0;
        let decade = 10f64.powf(rough.log10().floor());
        let round = [1.0, 2.0, 5.0].into_iter().find(|part| decade * part >= rough * 0.999);
        decade * round.unwrap_or(10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::a_minute((0.0, 63.0), &["0", "20", "40", "60"])]
    #[case::two_cores((0.0, 2.0), &["0.0", "0.5", "1.0", "1.5", "2.0"])]
    #[case::ten_thousand_pods((0.0, 10_000.0), &["0", "5000", "10k"])]
    #[case::nothing((0.0, 0.0), &["0.0", "0.5", "1.0"])]
    fn a_linear_axis_has_round_ticks(#[case] domain: (f64, f64), #[case] labels: &[&str]) {
        let scale = Scale::linear(domain, (0.0, 100.0));
        let ticks: Vec<String> = scale.ticks().into_iter().map(|tick| scale.label(tick)).collect();
        assert_eq!(ticks, labels);
    }

    #[rstest]
    #[case::one_decade((2.0, 9.0), &["1", "2", "5", "10"])]
    #[case::four_decades((0.3, 2_500.0), &["0.1", "1", "10", "100", "1000", "10k"])]
    fn a_logarithmic_axis_has_decades(#[case] domain: (f64, f64), #[case] labels: &[&str]) {
        let scale = Scale::log(domain, (0.0, 100.0));
        let ticks: Vec<String> = scale.ticks().into_iter().map(|tick| scale.label(tick)).collect();
        assert_eq!(ticks, labels);
    }

    #[test]
    fn a_value_outside_is_drawn_at_the_edge() {
        let scale = Scale::linear((0.0, 10.0), (100.0, 0.0));
        assert_eq!([-5.0, 0.0, 5.0, 99.0].map(|value| scale.at(value) as i32), [100, 100, 50, 0]);
        assert_eq!(Scale::log((1.0, 100.0), (0.0, 1.0)).at(0.0) as i32, 0);
    }

    proptest! {
        #[test]
        fn every_number_has_a_place_and_ticks_are_few(from in any::<f64>(), to in any::<f64>(), value in any::<f64>()) {
            for scale in [Scale::linear((from, to), (40.0, 460.0)), Scale::log((from, to), (40.0, 460.0))] {
                let at = scale.at(value);
                prop_assert!((40.0..=460.0).contains(&at), "{scale:?} {at}");
                let ticks = scale.ticks();
                prop_assert!(ticks.len() <= 12, "{scale:?} {ticks:?}");
                prop_assert!(ticks.iter().all(|tick| !scale.label(*tick).contains("NaN")));
            }
        }
    }
}
