//! Services of Postern's own that a route may lead to, under the names that Traefik gives its own.

use std::fmt;

/// What answers in place of a backend. All of them are read only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Internal {
    /// The admin API, Traefik's API, and the dashboard.
    Api,
    /// The dashboard's page alone, which needs the API beside it.
    Dashboard,
    /// Whether the node is ready.
    Ping,
    /// Metrics.
    Prometheus,
}

impl Internal {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Api, Self::Dashboard, Self::Ping, Self::Prometheus];

    /// The one of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|internal| internal.as_str() == name)
    }

    /// The name as routes write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api@internal",
            Self::Dashboard => "dashboard@internal",
            Self::Ping => "ping@internal",
            Self::Prometheus => "prometheus@internal",
        }
    }

    /// Whether it says more than that the node is there.
    pub const fn is_telling(self) -> bool {
        !matches!(self, Self::Ping)
    }
}

impl fmt::Display for Internal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_no_other() {
        for internal in Internal::ALL {
            assert_eq!(Internal::find(internal.as_str()), Some(internal));
        }
        for other in ["rest@internal", "api", "API@internal", "api@internal ", ""] {
            assert_eq!(Internal::find(other), None, "{other}");
        }
    }
}
