//! The condition that says whether the addresses of a Service or a Gateway are announced. It names no node, so that a move
//! writes nothing: who announces is in MetalLB's ServiceL2Status and in events.

use super::{
    Context, Desired,
    condition::{Condition, said, said_except, shortened},
};
use crate::{
    kubernetes::announced::Told,
    report::{Finding, Severity},
};

/// Its type.
pub(super) const ANNOUNCED: &str = "postern.dev/Announced";

/// Adds to `desired` the condition as far as anything is known, and leaves what is shown otherwise.
pub(super) fn add(desired: &mut Desired, context: &Context<'_>) {
    match context.announced.filter(|told| told.is_known) {
        Some(told) => desired.conditions.push(condition(told)),
        None => desired.left = &[ANNOUNCED],
    }
}

fn condition(told: &Told) -> Condition {
    let findings: Vec<&Finding> = told.findings.iter().collect();
    match findings.first() {
        Some(first) if first.severity == Severity::Refused => {
            Condition::no(ANNOUNCED, first.reason, shortened(said(&findings)))
        }
        _ => Condition::yes(ANNOUNCED, "Announced", said_except("Its addresses are announced", &findings)),
    }
}
