//! CNIs that stand in for kube-proxy: what hand-over and adoption rely on is proven with kube-proxy alone.

use std::collections::BTreeMap;

use super::Diagnosis;

const CHECK: &str = "kube-proxy";

/// `cilium` is the data of Cilium's ConfigMap, `calico` whether Calico's eBPF data plane is on.
pub fn check(cilium: Option<&BTreeMap<String, String>>, calico: bool) -> Diagnosis {
    let replaced = |data: &BTreeMap<String, String>| {
        let word = data.get("kube-proxy-replacement").map(String::as_str);
        matches!(word, Some("true" | "strict" | "partial" | "probe"))
    };
    let remedy = "try the adopted Service with a client from outside before you rely on it";
    if cilium.is_some_and(replaced) {
        Diagnosis::careful(
            CHECK,
            "Cilium replaces kube-proxy: its programs at the NIC may answer before the host does",
            remedy,
        )
    } else if calico {
        Diagnosis::careful(CHECK, "Calico's eBPF data plane replaces kube-proxy", remedy)
    } else {
        Diagnosis::good(CHECK, "no CNI was found to replace kube-proxy")
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Outcome, *};

    #[test]
    fn replacements_are_told() {
        let cilium = |word: &str| BTreeMap::from([("kube-proxy-replacement".to_owned(), word.to_owned())]);
        for (cilium, calico, outcome) in [
            (None, false, Outcome::Good),
            (Some(cilium("false")), false, Outcome::Good),
            (Some(BTreeMap::new()), false, Outcome::Good),
            (Some(cilium("true")), false, Outcome::Careful),
            (Some(cilium("strict")), false, Outcome::Careful),
            (None, true, Outcome::Careful),
        ] {
            assert_eq!(check(cilium.as_ref(), calico).outcome, outcome, "{cilium:?} {calico}");
        }
    }
}
