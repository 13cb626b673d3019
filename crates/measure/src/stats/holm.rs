//! Many tests at one error rate.
//!
//! Holm, "A simple sequentially rejective multiple test procedure" (1979): the probability of even one false rejection
//! stays at most alpha, whatever depends on what. That matters here, because the metrics of one run rise and fall
//! together. It finds all that Bonferroni's correction finds and more, for nothing: once one metric is found worse, the
//! others are held to a milder level.

/// The adjusted p of each test, in the order given: a test is rejected at the family's level alpha where its adjusted p
/// is at most alpha.
pub fn adjust(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut largest: f64 = 0.0;
    for (step, test) in order.into_iter().enumerate() {
        largest = largest.max(((p.len() - step) as f64 * p[test]).min(1.0));
        adjusted[test] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    /// The first is the example that texts on the procedure print: at 0.05 the fourth and the first test are rejected.
    #[rstest]
    #[case::four_tests(&[0.01, 0.04, 0.03, 0.005], &[0.03, 0.06, 0.06, 0.02])]
    #[case::a_step_that_would_fall(&[0.04, 0.045, 0.05], &[0.12, 0.12, 0.12])]
    #[case::one_test(&[0.02], &[0.02])]
    #[case::no_more_than_certain(&[0.6, 0.9], &[1.0, 1.0])]
    #[case::none(&[], &[])]
    fn adjusted_p_are_those_of_the_step_down(#[case] p: &[f64], #[case] adjusted: &[f64]) {
        let ours = adjust(p);
        assert_eq!(ours.len(), adjusted.len());
        assert!(ours.iter().zip(adjusted).all(|(a, b)| (a - b).abs() < 1e-12), "{ours:?}");
    }

    /// The procedure as Holm states it: reject the smallest while it is at most alpha / (n - step).
    fn rejected(p: &[f64], alpha: f64) -> Vec<bool> {
        let mut order: Vec<usize> = (0..p.len()).collect();
        order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
        let mut rejected = vec![false; p.len()];
        for (step, test) in order.into_iter().enumerate() {
            if p[test] > alpha / (p.len() - step) as f64 {
                break;
            }
            rejected[test] = true;
        }
        rejected
    }

    proptest! {
        #[test]
        fn an_adjusted_p_rejects_what_the_steps_reject(
            p in prop::collection::vec(0.0f64..0.2, 1..12), alpha in 0.001f64..0.2,
        ) {
            let by_p: Vec<bool> = adjust(&p).iter().map(|p| *p <= alpha).collect();
            prop_assert_eq!(by_p, rejected(&p, alpha));
        }

        #[test]
        fn it_lies_between_the_raw_p_and_bonferroni_s(p in prop::collection::vec(0.0f64..1.0, 1..12)) {
            for (raw, adjusted) in p.iter().zip(adjust(&p)) {
                prop_assert!(*raw <= adjusted && adjusted <= (raw * p.len() as f64).min(1.0) + 1e-12);
            }
        }
    }
}
