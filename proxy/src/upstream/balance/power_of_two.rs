//! The less busy of two random members (Mitzenmacher, "The power of two choices"): no herd, no global order.

/// Picks one of `count` members for which `eligible` holds; `load` is what is under way, `weight` divides it.
pub fn pick(
    count: usize,
    random: u64,
    eligible: impl Fn(usize) -> bool,
    load: impl Fn(usize) -> u32,
    weight: impl Fn(usize) -> u32,
) -> Option<usize> {
    let candidates = (0..count).filter(|index| eligible(*index)).count();
    let nth = |n: usize| (0..count).filter(|index| eligible(*index)).nth(n);
    match candidates {
        0 => None,
        1 => nth(0),
        _ => {
            let (first, second) = two_of(candidates, random);
            let (first, second) = (nth(first)?, nth(second)?);
            let busier = |a: usize, b: usize| {
                let (of_a, of_b) = (u64::from(load(a)) + 1, u64::from(load(b)) + 1);
                of_a * u64::from(weight(b)) > of_b * u64::from(weight(a))
            };
            Some(if busier(first, second) { second } else { first })
        }
    }
}

/// Two different numbers below `count`, which is at least 2.
fn two_of(count: usize, random: u64) -> (usize, usize) {
    let (high, low) = ((random >> 32) as usize, (random & u64::from(u32::MAX)) as usize);
    let first = low % count;
    let other = high % (count - 1);
    (first, if other >= first { other + 1 } else { other })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn randoms() -> impl Iterator<Item = u64> {
        (0..1000u64).map(|n| (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    #[test]
    fn the_two_differ() {
        for random in randoms() {
            for count in 2..5 {
                let (a, b) = two_of(count, random);
                assert!(a != b && a < count && b < count);
            }
        }
    }

    #[test]
    fn the_busiest_is_never_picked() {
        for random in randoms() {
            let picked = pick(3, random, |_| true, |index| if index == 1 { 9 } else { 0 }, |_| 1);
            assert_ne!(picked, Some(1));
        }
    }

    #[test]
    fn weight_divides_load() {
        for random in randoms() {
            let picked = pick(2, random, |_| true, |index| [9, 2][index], |index| [10, 1][index]);
            assert_eq!(picked, Some(0));
        }
    }

    #[test]
    fn only_the_eligible_are_picked() {
        for random in randoms() {
            assert_eq!(pick(3, random, |index| index == 2, |_| 100, |_| 1), Some(2));
            assert_eq!(pick(3, random, |_| false, |_| 0, |_| 1), None);
        }
    }
}
