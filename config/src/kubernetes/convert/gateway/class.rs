//! GatewayClasses: whose a Gateway is.

use super::reason;
use crate::{
    kubernetes::{
        convert::{Contribution, Settings, exposure},
        object::{Item, gateway::GatewayClass},
        view::View,
    },
    report::Finding,
};

/// The controller that is Postern's own; classes of others are taken over without their parameters.
const OWN_CONTROLLER: &str = "postern.dev/gateway";

/// Whose a class is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// Ours, and our own controller's.
    Own,
    /// Ours, taken over from another product.
    TakenOver,
    /// Another controller's.
    Foreign,
    /// Ours, but not accepted.
    Refused,
    /// There is no such class.
    Missing,
}

/// Whose the class `name` is.
pub(super) fn ownership(view: &View<'_>, settings: &Settings, name: &str) -> Ownership {
    view.get::<GatewayClass>("", name).map_or(Ownership::Missing, |class| of(class, settings))
}

/// Whether the class `name` is one that is taken over.
pub(in crate::kubernetes::convert) fn is_taken_over(view: &View<'_>, settings: &Settings, name: &str) -> bool {
    ownership(view, settings, name) == Ownership::TakenOver
}

fn of(class: &Item<GatewayClass>, settings: &Settings) -> Ownership {
    let controller = &class.body.spec.controller_name;
    match (settings.gateway_controllers.contains(controller), **controller == *OWN_CONTROLLER) {
        (false, _) => Ownership::Foreign,
        (true, true) if class.body.spec.parameters_ref.is_some() => Ownership::Refused,
        (true, true) => Ownership::Own,
        (true, false) => Ownership::TakenOver,
    }
}

/// A class contributes nothing by itself.
pub(super) fn convert(class: &Item<GatewayClass>, view: &View<'_>, settings: &Settings) -> Contribution {
    let ownership = of(class, settings);
    let finding = match ownership {
        Ownership::Refused => Some(
            Finding::refused("spec.parametersRef", reason::INVALID_PARAMETERS, "parameters of a class are not carried")
                .remedy("remove parametersRef"),
        ),
        Ownership::Foreign => Some(Finding::note(
            "spec.controllerName",
            reason::NOT_OURS,
            format!("the class belongs to {}", class.body.spec.controller_name),
        )),
        _ => class.body.spec.parameters_ref.map(|_| {
            Finding::ignored(
                "spec.parametersRef",
                reason::INVALID_PARAMETERS,
                "the parameters are those of the product that is replaced and have no effect",
            )
        }),
    };
    let mut findings: Vec<_> = finding.into_iter().collect();
    if matches!(ownership, Ownership::Own | Ownership::TakenOver) {
        findings.extend(exposure::of_class(class, view));
    }
    Contribution { findings, ..Contribution::default() }
}
