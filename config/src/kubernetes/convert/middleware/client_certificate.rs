//! `passTLSClientCert`. The order of what is told is Traefik's.

use super::Site;
use crate::{
    kubernetes::object::traefik::{self, DistinguishedName},
    model::middleware::{
        Spec,
        pass_tls_client_cert::{Attribute, Field, PassTlsClientCert},
    },
};

pub(super) fn convert(site: &mut Site<'_, '_>, options: &traefik::PassTlsClientCert) -> Spec {
    let pem = options.pem.unwrap_or(false);
    let info = options.info.as_ref().map(|info| fields(site, info));
    if !pem && info.as_ref().is_none_or(Vec::is_empty) {
        site.warn("", "NoEffect", "tells the backend nothing: set pem, or something in info");
    }
    Spec::PassTlsClientCert(PassTlsClientCert { pem, info })
}

fn fields(site: &mut Site<'_, '_>, info: &traefik::ClientCertInfo) -> Vec<Field> {
    if info.issuer.as_ref().is_some_and(|issuer| issuer.organizational_unit.is_some()) {
        site.warn("info.issuer.organizationalUnit", "NoEffect", "has no effect: it is told of subjects alone");
    }
    let subject = info.subject.as_ref().map(|name| Field::Subject(attributes(name, true)));
    let issuer = info.issuer.as_ref().map(|name| Field::Issuer(attributes(name, false)));
    let field = |asked: Option<bool>, field: Field| asked.unwrap_or(false).then_some(field);
    let fields = [
        subject,
        issuer,
        field(info.serial_number, Field::SerialNumber),
        field(info.not_before, Field::NotBefore),
        field(info.not_after, Field::NotAfter),
        field(info.sans, Field::Sans),
    ];
    fields.into_iter().flatten().collect()
}

fn attributes(name: &DistinguishedName, of_subject: bool) -> Vec<Attribute> {
    let asked = [
        (Attribute::DomainComponent, name.domain_component),
        (Attribute::Country, name.country),
        (Attribute::Province, name.province),
        (Attribute::Locality, name.locality),
        (Attribute::Organization, name.organization),
        (Attribute::OrganizationalUnit, name.organizational_unit.filter(|_| of_subject)),
        (Attribute::SerialNumber, name.serial_number),
        (Attribute::CommonName, name.common_name),
    ];
    asked.into_iter().filter(|(_, asked)| asked.unwrap_or(false)).map(|(attribute, _)| attribute).collect()
}
