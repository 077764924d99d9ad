//! Conditions joined by and, or, not: what routes say that no table can be filed by.

/// A condition, or several joined. An empty `All` always holds, an empty `Any` never does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expression<C> {
    /// One condition.
    Is(C),
    /// The opposite.
    Not(Box<Self>),
    /// Every one of them.
    All(Vec<Self>),
    /// At least one of them.
    Any(Vec<Self>),
}

impl<C> Expression<C> {
    /// What always holds.
    pub const ALWAYS: Self = Self::All(Vec::new());
    /// What never holds.
    pub const NEVER: Self = Self::Any(Vec::new());

    /// Whether the expression holds where `is` says which conditions do. It asks from left to right, and no more than
    /// it must.
    pub fn holds(&self, is: &impl Fn(&C) -> bool) -> bool {
        match self {
            Self::Is(condition) => is(condition),
            Self::Not(inner) => !inner.holds(is),
            Self::All(parts) => parts.iter().all(|part| part.holds(is)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(is)),
        }
    }

    /// All conditions, from left to right.
    pub fn conditions(&self) -> Vec<&C> {
        match self {
            Self::Is(condition) => vec![condition],
            Self::Not(inner) => inner.conditions(),
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::conditions).collect(),
        }
    }
}

impl<C: std::fmt::Display> std::fmt::Display for Expression<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Is(condition) => condition.fmt(f),
            Self::Not(inner) => write!(f, "!{inner}"),
            Self::All(parts) if parts.is_empty() => f.write_str("always"),
            Self::Any(parts) if parts.is_empty() => f.write_str("never"),
            Self::All(parts) => join(f, parts, " && "),
            Self::Any(parts) => join(f, parts, " || "),
        }
    }
}

fn join<C: std::fmt::Display>(
    f: &mut std::fmt::Formatter<'_>,
    parts: &[Expression<C>],
    between: &str,
) -> std::fmt::Result {
    f.write_str("(")?;
    for (index, part) in parts.iter().enumerate() {
        let between = if index == 0 { "" } else { between };
        write!(f, "{between}{part}")?;
    }
    f.write_str(")")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_holds_as_its_operators_say() {
        let is = |letter: char| Expression::Is(letter);
        let not_b = Expression::Not(Box::new(is('b')));
        let expression = Expression::Any(vec![Expression::All(vec![is('a'), not_b]), is('c')]);
        assert_eq!(expression.to_string(), "((a && !b) || c)");
        for (true_ones, want) in [("", false), ("a", true), ("ab", false), ("abc", true), ("c", true), ("b", false)] {
            assert_eq!(expression.holds(&|letter| true_ones.contains(*letter)), want, "{true_ones}");
        }
        assert!(Expression::<char>::ALWAYS.holds(&|_| false));
        assert!(!Expression::<char>::NEVER.holds(&|_| true));
    }
}
