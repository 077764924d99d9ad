//! Divides a rule's requests between its backends by weight (0 is never chosen), without state per rule.
//!
//! The position comes from one low-discrepancy sequence per worker ([`Sequence`]): of a hundred requests with weights
//! 90 and 10 about ten go to the second, where random numbers would let it be four or sixteen.

/// Which of `weights` the `position` (a fraction of 2⁶⁴) falls to; `None` when all are 0.
pub fn pick(weights: impl Iterator<Item = u32> + Clone, position: u64) -> Option<usize> {
    let total: u64 = weights.clone().map(u64::from).sum();
    let mut rest = ((u128::from(position) * u128::from(total)) >> 64) as u64;
    for (index, weight) in weights.enumerate() {
        let weight = u64::from(weight);
        if rest < weight {
            return Some(index);
        }
        rest -= weight;
    }
    None
}

/// A Weyl sequence: multiples of the golden ratio modulo one, as fractions of 2⁶⁴.
#[derive(Debug, Default)]
pub struct Sequence(std::cell::Cell<u64>);

impl Sequence {
    /// The next position.
    pub fn next(&self) -> u64 {
        let next = self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0.set(next);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_as_the_weights_say() {
        for weights in [&[90, 10][..], &[1, 0, 1], &[1], &[70, 30, 0], &[1_000_000, 1_000_000]] {
            let sequence = Sequence::default();
            let mut counts = vec![0i64; weights.len()];
            for _ in 0..1000 {
                counts[pick(weights.iter().copied(), sequence.next()).expect("a weight is not 0")] += 1;
            }
            let total: u32 = weights.iter().sum();
            for (count, weight) in counts.iter().zip(weights) {
                let want = 1000 * i64::from(*weight) / i64::from(total);
                assert!((count - want).abs() <= 3, "{weights:?}: {counts:?}");
            }
        }
    }

    #[test]
    fn a_weight_of_0_is_never_chosen() {
        for position in [0, 1, u64::MAX / 2, u64::MAX] {
            assert_eq!(pick([0, 1, 0].into_iter(), position), Some(1));
            assert_eq!(pick([0, 0].into_iter(), position), None);
            assert_eq!(pick([].into_iter(), position), None);
        }
    }
}
