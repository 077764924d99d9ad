//! Clocks: certificates are judged by the node's, and Leases are told by everybody's.

use jiff::Timestamp;

use super::Diagnosis;

const CHECK: &str = "clock";
/// Seconds that are no wonder: the API server's header has whole ones, and the answer took its way.
const USUAL: u64 = 3;
/// Seconds after which tokens and young certificates are refused.
const TOO_FAR: u64 = 60;

/// `here` while the API server said that it is `there`.
pub fn check(here: Timestamp, there: Timestamp) -> Diagnosis {
    let apart = here.as_second() - there.as_second();
    let said = format!("this node's clock is {apart} s off the API server's");
    match apart.unsigned_abs() {
        0..=USUAL => Diagnosis::good(CHECK, "this node's clock agrees with the API server's"),
        apart if apart <= TOO_FAR => Diagnosis::careful(CHECK, said, "let NTP set both"),
        _ => Diagnosis::breaks(CHECK, said, "let NTP set both: certificates and tokens are judged by them"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Outcome, *};

    #[test]
    fn seconds_are_usual_and_minutes_break() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        for (here, outcome) in [
            (1000, Outcome::Good),
            (1003, Outcome::Good),
            (996, Outcome::Careful),
            (1060, Outcome::Careful),
            (1061, Outcome::Breaks),
            (0, Outcome::Breaks),
        ] {
            assert_eq!(check(at(here), at(1000)).outcome, outcome, "{here}");
        }
    }
}
