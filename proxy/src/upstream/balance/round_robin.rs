//! Smooth weighted round robin, as nginx's: over any run of as many picks as the weights add up to, each member is
//! picked exactly as often as its weight says, and picks of one member are spread evenly.

/// One worker's position in one cluster.
#[derive(Debug, Default)]
pub struct Cursor {
    /// Which build of the cluster this is a position in.
    pub(in crate::upstream) build: u64,
    next: usize,
    credit: Vec<i64>,
}

impl Cursor {
    /// Begins anew at a place that `random` says, so that workers do not all begin with the first member.
    pub fn reset(&mut self, build: u64, random: u64) {
        self.build = build;
        self.next = random as usize;
        self.credit.clear();
    }

    /// The next of `count` equal members for which `eligible` holds.
    pub fn pick_equal(&mut self, count: usize, eligible: impl Fn(usize) -> bool) -> Option<usize> {
        if count == 0 {
            return None;
        }
        let start = self.next % count;
        let found = (start..count).chain(0..start).find(|index| eligible(*index))?;
        self.next = found + 1;
        Some(found)
    }

    /// The next of the members with these weights for which `eligible` holds.
    pub fn pick_weighted(
        &mut self,
        weights: impl ExactSizeIterator<Item = u32>,
        eligible: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        self.credit.resize(weights.len(), 0);
        let mut total = 0;
        let mut best: Option<(usize, i64)> = None;
        for (index, (credit, weight)) in self.credit.iter_mut().zip(weights).enumerate() {
            if !eligible(index) {
                continue;
            }
            let weight = i64::from(weight);
            *credit += weight;
            total += weight;
            if best.is_none_or(|(_, most)| *credit > most) {
                best = Some((index, *credit));
            }
        }
        let (index, _) = best?;
        if let Some(credit) = self.credit.get_mut(index) {
            *credit -= total;
        }
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(weights: &[u32], picks: usize, eligible: impl Fn(usize) -> bool) -> Vec<u32> {
        let mut cursor = Cursor::default();
        let mut counts = vec![0; weights.len()];
        for _ in 0..picks {
            let index = cursor.pick_weighted(weights.iter().copied(), &eligible).expect("somebody is eligible");
            counts[index] += 1;
        }
        counts
    }

    #[test]
    fn each_is_picked_exactly_as_often_as_its_weight_says() {
        for weights in [&[5, 1, 1][..], &[1], &[3, 7, 90], &[1_000_000, 1], &[2, 2, 2]] {
            let total: u32 = weights.iter().sum();
            if total < 10_000 {
                assert_eq!(counts(weights, total as usize, |_| true), weights);
                assert_eq!(counts(weights, 3 * total as usize, |_| true).iter().sum::<u32>(), 3 * total);
            }
        }
    }

    #[test]
    fn picks_of_one_member_are_spread() {
        let mut cursor = Cursor::default();
        let order: Vec<_> = (0..7).filter_map(|_| cursor.pick_weighted([5, 1, 1].into_iter(), |_| true)).collect();
        assert_eq!(order, [0, 0, 1, 0, 2, 0, 0], "the order that nginx's documentation of the algorithm gives");
    }

    #[test]
    fn who_is_not_eligible_is_passed_over_and_the_others_share_by_weight() {
        assert_eq!(counts(&[5, 3, 1], 8, |index| index != 2), [5, 3, 0]);
        assert_eq!(Cursor::default().pick_weighted([1, 1].into_iter(), |_| false), None);
        assert_eq!(Cursor::default().pick_weighted([].into_iter(), |_| true), None);
    }

    #[test]
    fn equal_members_take_turns_from_anywhere() {
        let mut cursor = Cursor::default();
        cursor.reset(1, 7);
        let order: Vec<_> = (0..6).filter_map(|_| cursor.pick_equal(3, |_| true)).collect();
        assert_eq!(order, [1, 2, 0, 1, 2, 0]);
        assert_eq!(cursor.pick_equal(3, |index| index == 2), Some(2));
        assert_eq!(cursor.pick_equal(3, |_| false), None);
        assert_eq!(cursor.pick_equal(0, |_| true), None);
    }
}
