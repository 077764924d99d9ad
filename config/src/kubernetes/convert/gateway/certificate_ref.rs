//! References of a Gateway to Secrets with certificates: those of its listeners, and the one that it presents to
//! backends. Which of them may be followed is decided without a look at the Secrets, so that a renewal touches no route.

use std::sync::Arc;

use super::{
    grant::{self, Reference},
    reason,
};
use crate::{
    kubernetes::{
        convert::{secret, slot},
        object::{
            Item, Kind,
            core::Secret,
            gateway::{Gateway, ObjectRef},
        },
        view::View,
    },
    report::Finding,
};

/// One reference.
pub(super) struct CertificateRef<'a> {
    /// Whose it is.
    pub(super) gateway: &'a Item<Gateway>,
    /// As written.
    pub(super) reference: &'a ObjectRef,
    /// Where.
    pub(super) field: String,
    /// What is said of one that leads to no certificate.
    pub(super) invalid: &'static str,
}

/// What is presented to backends that are spoken to over TLS.
pub(super) fn towards_backends(gateway: &Item<Gateway>) -> Option<CertificateRef<'_>> {
    let reference = gateway.body.spec.tls.as_ref()?.backend.as_ref()?.client_certificate_ref.as_ref()?;
    let field = "spec.tls.backend.clientCertificateRef".to_owned();
    Some(CertificateRef { gateway, reference, field, invalid: reason::INVALID_CLIENT_CERTIFICATE_REF })
}

impl<'a> CertificateRef<'a> {
    /// Namespace of the Secret.
    pub(super) fn namespace(&self) -> &'a Arc<str> {
        self.reference.namespace.as_ref().unwrap_or(&self.gateway.meta.namespace)
    }

    /// What a cluster's id says of it: the Secret, or that there is none which may be used.
    pub(super) fn variant(&self, view: &View<'_>) -> Arc<str> {
        match self.check(view) {
            Ok(()) => format!("{}/{}", self.namespace(), self.reference.name).into(),
            Err(_) => slot::NO_CERTIFICATE.into(),
        }
    }

    /// Whether it may be followed: to a Secret, in a namespace that consents.
    pub(super) fn check(&self, view: &View<'_>) -> Result<(), Finding> {
        let (namespace, name) = (self.namespace(), &self.reference.name);
        let group = self.reference.group.as_deref().unwrap_or("");
        let kind = self.reference.kind.as_deref().unwrap_or("Secret");
        if (group, kind) != ("", "Secret") {
            let message = format!("{} is no kind of certificate", reason::kind(kind, group));
            return Err(
                Finding::refused(&self.field, self.invalid, message).remedy("name a Secret of type kubernetes.io/tls")
            );
        }
        let consent = Reference {
            from: Kind::Gateway,
            from_namespace: &self.gateway.meta.namespace,
            to: Kind::Secret,
            to_namespace: namespace,
            to_name: name,
        };
        if grant::permits(view, consent) {
            return Ok(());
        }
        let message = format!("namespace {namespace} does not consent to the use of its Secret {name}");
        Err(Finding::refused(&self.field, reason::REF_NOT_PERMITTED, message).remedy(grant::remedy(consent)))
    }

    /// Whether there is a certificate now.
    pub(super) fn existing(&self, view: &View<'_>) -> Result<(), Finding> {
        let (namespace, name) = (self.namespace(), &self.reference.name);
        let message = match view.get::<Secret>(namespace, name).map(|item| secret::certificate_of(item)) {
            Some(Ok(_)) => return Ok(()),
            Some(Err(problem)) => format!("Secret {namespace}/{name} is no certificate: {problem}"),
            None => format!("there is no Secret {namespace}/{name}"),
        };
        Err(Finding::refused(&self.field, self.invalid, message))
    }
}
