//! The tables of a snapshot find what trying every rule finds, for random rules and requests on every run of the tests.

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_tables_find_what_trying_every_rule_finds(draft in proptest::collection::vec(any::<u8>(), 2..100)) {
        postern_fuzz_targets::route_match(&draft);
    }
}
