//! Tells the backend the client's certificate.

/// Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassTlsClientCert {
    /// Whether the certificates themselves are told.
    pub pem: bool,
    /// What of them is told by name, in the order in which it is told; `None` tells nothing by name.
    pub info: Option<Vec<Field>>,
}

/// What is told of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// Whose it is: these attributes, in this order.
    Subject(Vec<Attribute>),
    /// Who signed it.
    Issuer(Vec<Attribute>),
    /// Its number, in decimal.
    SerialNumber,
    /// Valid from, in seconds since 1970.
    NotBefore,
    /// Valid until, in seconds since 1970.
    NotAfter,
    /// Its alternative names.
    Sans,
}

/// An attribute of a distinguished name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// `DC` (RFC 2247).
    DomainComponent,
    /// `C`.
    Country,
    /// `ST`.
    Province,
    /// `L`.
    Locality,
    /// `O`.
    Organization,
    /// `OU`.
    OrganizationalUnit,
    /// `SN`.
    SerialNumber,
    /// `CN`.
    CommonName,
}

impl Attribute {
    /// As Traefik abbreviates it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DomainComponent => "DC",
            Self::Country => "C",
            Self::Province => "ST",
            Self::Locality => "L",
            Self::Organization => "O",
            Self::OrganizationalUnit => "OU",
            Self::SerialNumber => "SN",
            Self::CommonName => "CN",
        }
    }

    /// Whether only the last one of a name counts; of the others all do.
    pub fn is_single(self) -> bool {
        matches!(self, Self::SerialNumber | Self::CommonName)
    }
}
