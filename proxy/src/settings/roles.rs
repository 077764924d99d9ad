//! What a process does of all that Postern does.

use super::value::Refused;

/// Parts of the work, so that those who serve need no right to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Binds listeners and serves; others wait for it before they call something programmed.
    pub serve: bool,
    /// Announces addresses.
    pub announce: bool,
    /// May hold the Lease, and writes what the cluster is shown.
    pub control: bool,
}

impl Default for Roles {
    fn default() -> Self {
        Self { serve: true, announce: true, control: true }
    }
}

impl Roles {
    /// Of their names.
    pub(super) fn parse(names: &[&str]) -> Result<Self, Refused> {
        let mut roles = Self { serve: false, announce: false, control: false };
        for name in names {
            match *name {
                "serve" => roles.serve = true,
                "announce" => roles.announce = true,
                "control" => roles.control = true,
                other => return Err(format!("{other:?} is none of serve, announce, control").into()),
            }
        }
        if names.is_empty() {
            return Err("at least one role is wanted: serve, announce, control".to_owned().into());
        }
        Ok(roles)
    }

    /// As they are written.
    pub fn names(self) -> Vec<&'static str> {
        let all = [(self.serve, "serve"), (self.announce, "announce"), (self.control, "control")];
        all.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_those_that_are_named_and_at_least_one() {
        let parse = |text: &[&str]| Roles::parse(text).map_err(|refused| refused.message);
        assert_eq!(parse(&["serve", "announce", "control"]), Ok(Roles::default()));
        assert_eq!(parse(&["control"]).map(Roles::names), Ok(vec!["control"]));
        assert_eq!(parse(&["serve", "sevre"]), Err("\"sevre\" is none of serve, announce, control".to_owned()));
        assert!(parse(&[]).is_err());
    }
}
