//! What components used, from the looks at them: cores over time, memory over time, cores between two moments.

use super::series::{Components, Look};

/// Points of a line in a plot. Cores are means over as many looks as that takes; memory is its largest value.
const POINTS: usize = 100;

/// A line with gaps: points of `(seconds from the start of the trial, value)`.
pub(crate) type Pieces = Vec<Vec<(f64, f64)>>;

/// A component's use over the trial.
#[derive(Clone, Debug)]
pub(crate) struct Use {
    /// Its name.
    pub(crate) name: String,
    /// Cores, each point the mean since the one before.
    pub(crate) cores: Pieces,
    /// Resident memory in MiB.
    pub(crate) memory_mib: Pieces,
    /// CPU seconds while it was looked at.
    pub(crate) cpu_s: f64,
}

/// The use of each component, the busiest first.
pub(crate) fn over_time(components: &Components) -> Vec<Use> {
    let mut uses: Vec<Use> = components.iter().map(|(name, looks)| of_component(name, looks)).collect();
    uses.sort_by(|a, b| b.cpu_s.total_cmp(&a.cpu_s));
    uses
}

/// Seconds between two points of a line, for the caption.
pub(crate) fn seconds_a_point(components: &Components) -> f64 {
    let longest = components.values().max_by_key(|looks| looks.len());
    let ends = longest.and_then(|looks| Some((looks.first()?.t_s, looks.last()?.t_s, looks.len())));
    let Some((first, last, looks)) = ends.filter(|(first, last, looks)| *looks > 1 && last > first) else { return 0.0 };
    (last - first) / (looks - 1) as f64 * looks.div_ceil(POINTS) as f64
}

/// Cores that each component used between two offsets, from the looks inside that are nearest to them.
pub(crate) fn cores_between(components: &Components, from_s: f64, to_s: f64) -> Vec<(String, f64)> {
    let used = components.iter().filter_map(|(name, looks)| {
        let inside = looks.iter().filter(|look| look.t_s >= from_s && look.t_s <= to_s);
        let mut inside = inside.filter_map(|look| Some((look.t_s, look.used?.0)));
        let (first, last) = (inside.next()?, inside.next_back()?);
        (last.0 > first.0 && last.1 >= first.1).then(|| (name.clone(), (last.1 - first.1) / (last.0 - first.0)))
    });
    used.collect()
}

fn of_component(name: &str, looks: &[Look]) -> Use {
    let stride = looks.len().div_ceil(POINTS).max(1);
    let (mut cores, mut memory, mut total) = (Pieces::new(), Pieces::new(), 0.0);
    for alive in lives(looks) {
        let bounds: Vec<usize> = (0..alive.len()).step_by(stride).chain(alive.len().checked_sub(1)).collect();
        let steps = bounds.windows(2).filter_map(|pair| {
            let ((from_s, from, _), (to_s, to, _)) = (alive[pair[0]], alive[pair[1]]);
            (to_s > from_s).then(|| (to_s, (to - from) / (to_s - from_s)))
        });
        cores.push(steps.collect());
        let largest = alive.chunks(stride).filter_map(|chunk| {
            let mib = chunk.iter().map(|look| look.2).fold(0.0, f64::max) / f64::from(1 << 20);
            Some((chunk.first()?.0, mib))
        });
        memory.push(largest.collect());
        total += alive.first().zip(alive.last()).map_or(0.0, |(first, last)| last.1 - first.1);
    }
    Use { name: name.to_owned(), cores, memory_mib: memory, cpu_s: total }
}

/// The stretches of looks in which one process lived: its CPU time never falls.
fn lives(looks: &[Look]) -> Vec<Vec<(f64, f64, f64)>> {
    let mut lives: Vec<Vec<(f64, f64, f64)>> = Vec::new();
    let mut last = None;
    for look in looks {
        let Some((cpu_s, rss)) = look.used else {
            last = None;
            continue;
        };
        if last.is_none_or(|last| cpu_s < last) {
            lives.push(Vec::new());
        }
        last = Some(cpu_s);
        if let Some(life) = lives.last_mut() {
            life.push((look.t_s, cpu_s, rss));
        }
    }
    lives
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(t_s: f64, cpu_s: f64) -> Look {
        Look { t_s, used: Some((cpu_s, f64::from(1 << 20))) }
    }

    #[test]
    fn cores_are_differences_and_a_restart_is_a_gap() {
        let looks = [
            look(0.0, 1.0),
            look(1.0, 1.5),
            Look { t_s: 2.0, used: None },
            look(3.0, 0.0),
            look(4.0, 1.0),
            look(5.0, 0.5),
        ];
        let used = of_component("etcd", &looks);
        assert_eq!(used.cores, [vec![(1.0, 0.5)], vec![(4.0, 1.0)], vec![]]);
        assert_eq!(used.memory_mib[0], [(0.0, 1.0), (1.0, 1.0)]);
        assert!((used.cpu_s - 1.5).abs() < 1e-9);
        let components = Components::from([("etcd".to_owned(), looks.to_vec())]);
        assert_eq!(cores_between(&components, 0.0, 1.0), [("etcd".to_owned(), 0.5)]);
        assert_eq!(cores_between(&components, 3.5, 4.5), [], "one look shows no use");
    }

    #[test]
    fn a_long_trial_is_told_in_means_that_lose_no_cpu_time() {
        let looks: Vec<Look> = (0..1500).map(|i| look(f64::from(i), f64::from(i) * 0.25)).collect();
        let used = of_component("etcd", &looks);
        assert!(used.cores[0].len() <= POINTS + 1);
        assert!(used.cores[0].iter().all(|(_, cores)| (cores - 0.25).abs() < 1e-9));
        let components = Components::from([("etcd".to_owned(), looks)]);
        assert!((seconds_a_point(&components) - 15.0).abs() < 1e-9);
    }
}
