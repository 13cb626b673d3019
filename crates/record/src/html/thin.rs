//! Fewer points for the same picture.

use super::svg::Point;

/// Width of a column within which only the first, the lowest, the highest and the last point can be told apart.
const COLUMN: f64 = 0.5;

/// The points of a curve that a plot can show: no point that is left out lies farther than about `tolerance` from the
/// line. Points that are not finite are left out as well.
///
/// First each column of half a unit keeps at most four points, as in Jugel et al., "M4: A Visualization-Oriented Time
/// Series Data Aggregation" (2014); then the line is simplified by Douglas and Peucker's algorithm (1973).
pub(crate) fn thin(points: impl IntoIterator<Item = Point>, tolerance: f64) -> Vec<Point> {
    let finite = points.into_iter().filter(|point| point.x.is_finite() && point.y.is_finite());
    simplify(&by_columns(finite), tolerance)
}

fn by_columns(points: impl Iterator<Item = Point>) -> Vec<Point> {
    let mut kept = Vec::new();
    let mut column: Vec<Point> = Vec::new();
    for point in points {
        let number = |point: &Point| (point.x / COLUMN).floor() as i64;
        if column.first().is_some_and(|first| number(first) != number(&point)) {
            extremes(&column, &mut kept);
            column.clear();
        }
        column.push(point);
    }
    extremes(&column, &mut kept);
    kept
}

fn extremes(column: &[Point], kept: &mut Vec<Point>) {
    let by_y = |a: &usize, b: &usize| column[*a].y.total_cmp(&column[*b].y);
    let (Some(low), Some(high)) = ((0..column.len()).min_by(by_y), (0..column.len()).max_by(by_y)) else { return };
    let mut ends = [0, low, high, column.len() - 1];
    ends.sort_unstable();
    let mut last = None;
    for index in ends {
        if last != Some(index) {
            kept.push(column[index]);
        }
        last = Some(index);
    }
}

fn simplify(points: &[Point], tolerance: f64) -> Vec<Point> {
    let mut keep = vec![false; points.len()];
    let mut spans = Vec::new();
    if let Some(last) = points.len().checked_sub(1) {
        (keep[0], keep[last]) = (true, true);
        spans.push((0, last));
    }
    while let Some((from, to)) = spans.pop() {
        let inner = from + 1..to;
        let far = inner.map(|i| (i, distance(points[i], points[from], points[to]))).max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((index, distance)) = far
            && distance > tolerance
        {
            keep[index] = true;
            spans.extend([(from, index), (index, to)]);
        }
    }
    points.iter().zip(keep).filter_map(|(point, keep)| keep.then_some(*point)).collect()
}

/// Distance of a point from the line between two others.
fn distance(point: Point, from: Point, to: Point) -> f64 {
    let (dx, dy) = (to.x - from.x, to.y - from.y);
    let length = dx * dx + dy * dy;
    let along = if length > 0.0 { ((point.x - from.x) * dx + (point.y - from.y) * dy) / length } else { 0.0 };
    let along = along.clamp(0.0, 1.0);
    (point.x - from.x - along * dx).hypot(point.y - from.y - along * dy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_straight_line_of_ten_thousand_points_is_its_ends() {
        let points = (0..10_000).map(|i| Point::new(f64::from(i) * 0.0625, f64::from(i) * 0.03125));
        let thinned = thin(points, 0.4);
        assert_eq!(thinned, [Point::new(0.0, 0.0), Point::new(624.9375, 312.46875)]);
    }

    #[test]
    fn a_spike_of_one_point_stays() {
        let flat = (0..400).map(|i| Point::new(f64::from(i), if i == 200 { 0.0 } else { 100.0 }));
        assert!(thin(flat, 0.4).contains(&Point::new(200.0, 0.0)));
    }

    proptest! {
        #[test]
        fn no_point_is_farther_from_the_picture_than_can_be_seen(
            steps in prop::collection::vec((0.0f64..3.0, -20.0f64..20.0), 1..400),
        ) {
            let mut x = 0.0;
            let points: Vec<Point> = steps.into_iter().map(|(dx, y)| { x += dx; Point::new(x, y) }).collect();
            let thinned = thin(points.iter().copied(), 0.4);
            for point in &points {
                let near = thinned.windows(2).map(|pair| distance(*point, pair[0], pair[1]));
                let near = near.chain(thinned.iter().map(|kept| distance(*point, *kept, *kept)));
                prop_assert!(near.fold(f64::MAX, f64::min) <= 0.4 + COLUMN + 1e-9);
            }
        }

        #[test]
        fn any_points_give_finite_ones(points in prop::collection::vec((any::<f64>(), any::<f64>()), 0..50)) {
            let thinned = thin(points.into_iter().map(|(x, y)| Point::new(x, y)), 0.4);
            prop_assert!(thinned.iter().all(|point| point.x.is_finite() && point.y.is_finite()));
        }
    }
}
