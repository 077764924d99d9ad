//! Would a firewall drop connections to our ports? In pods the old edge was reached by FORWARD; on the host's network
//! it is INPUT.
//!
//! Rules are read with `nft`, where that is installed and may be run: iptables' are shown by it too. A rule set can do
//! anything, so the answer is a reading of what is usual: chains at the hook `input` that drop by policy, or whose last
//! rule drops or rejects everything, and rules in them, or in chains that they jump to, that accept the port.

use std::process::Command;

use postern_config::kubernetes::doctor::Diagnosis;
use serde_json::Value;

const CHECK: &str = "firewall";

/// What `nft` says.
pub(super) fn look(ports: &[u16]) -> Vec<Diagnosis> {
    let output = Command::new("nft").args(["-j", "list", "ruleset"]).output();
    match output {
        Ok(output) if output.status.success() => match serde_json::from_slice(&output.stdout) {
            Ok(rules) => check(&rules, ports),
            Err(error) => vec![unknown(&format!("nft prints what cannot be read: {error}"))],
        },
        Ok(output) => vec![unknown(String::from_utf8_lossy(&output.stderr).trim())],
        Err(error) => vec![unknown(&format!("nft cannot be run: {error}"))],
    }
}

fn unknown(why: &str) -> Diagnosis {
    let message = format!(
        "whether a firewall drops connections cannot be seen from here ({why}): run `postern doctor` on the host, as root and with nft"
    );
    Diagnosis::unknown(CHECK, message)
}

fn check(rules: &Value, ports: &[u16]) -> Vec<Diagnosis> {
    let items = rules["nftables"].as_array().map(Vec::as_slice).unwrap_or_default();
    let set = RuleSet { items };
    let closing: Vec<_> = set.chains().filter(|chain| set.drops(chain)).collect();
    let dropped = |port: &u16| {
        let chain = closing.iter().find(|chain| !set.accepts(chain, *port, 0))?;
        let name = ["family", "table", "name"].map(|field| chain[field].as_str().unwrap_or_default()).join(" ");
        let remedy = format!("accept tcp dport {port} there");
        Some(Diagnosis::breaks(
            CHECK,
            format!("chain {name} drops what comes in, and no rule was found that accepts port {port}"),
            remedy,
        ))
    };
    let found: Vec<_> = ports.iter().filter_map(dropped).collect();
    if found.is_empty() {
        vec![Diagnosis::good(CHECK, "no chain was found that drops what comes to our ports")]
    } else {
        found
    }
}

/// As `nft -j list ruleset` prints it.
struct RuleSet<'a> {
    items: &'a [Value],
}

/// Chains that jump in circles are no rule set, but may be printed.
const DEEPEST: usize = 16;

impl<'a> RuleSet<'a> {
    /// Chains at the hook `input`, as filters.
    fn chains(&self) -> impl Iterator<Item = &'a Value> {
        let chains = self.items.iter().map(|item| &item["chain"]);
        chains.filter(|chain| chain["hook"] == "input" && chain["type"] == "filter")
    }

    fn rules(&self, chain: &'a Value) -> impl Iterator<Item = &'a [Value]> {
        let rules = self.items.iter().map(|item| &item["rule"]);
        let same = |rule: &&Value| {
            rule["family"] == chain["family"] && rule["table"] == chain["table"] && rule["chain"] == chain["name"]
        };
        rules.filter(same).map(|rule| rule["expr"].as_array().map(Vec::as_slice).unwrap_or_default())
    }

    /// By policy, or by a last rule without conditions.
    fn drops(&self, chain: &'a Value) -> bool {
        let is_verdict = |part: &Value| part.get("drop").is_some() || part.get("reject").is_some();
        let last = self.rules(chain).last();
        let all =
            last.is_some_and(|rule| rule.iter().any(is_verdict) && rule.iter().all(|part| part.get("match").is_none()));
        chain["policy"] == "drop" || all
    }

    /// Whether a rule of the chain, or of one that it leads to, accepts `port`.
    fn accepts(&self, chain: &'a Value, port: u16, depth: usize) -> bool {
        depth < DEEPEST && self.rules(chain).any(|rule| self.rule_accepts(chain, rule, port, depth))
    }

    fn rule_accepts(&self, chain: &'a Value, rule: &'a [Value], port: u16, depth: usize) -> bool {
        let conditions: Vec<_> = rule.iter().filter_map(|part| part.get("match")).collect();
        let of_port = conditions.iter().filter(|part| part["left"]["payload"]["field"] == "dport");
        let mut of_port = of_port.peekable();
        let named = of_port.peek().is_some();
        // What holds for some clients, interfaces or states only does not open a port for all.
        let narrow = conditions.iter().any(|part| !is_of_port(part));
        if narrow || !of_port.all(|part| holds(&part["right"], port)) {
            return false;
        }
        let accepts = rule.iter().any(|part| part.get("accept").is_some());
        let target = rule.iter().find_map(|part| part["jump"]["target"].as_str().or(part["goto"]["target"].as_str()));
        let leads =
            target.and_then(|target| self.chain(chain, target)).is_some_and(|next| self.accepts(next, port, depth + 1));
        accepts && (named || conditions.is_empty()) || leads
    }

    fn chain(&self, like: &Value, name: &str) -> Option<&'a Value> {
        let chains = self.items.iter().map(|item| &item["chain"]);
        let same = |chain: &&Value| {
            chain["family"] == like["family"] && chain["table"] == like["table"] && chain["name"] == name
        };
        chains.into_iter().find(same)
    }
}

/// Whether a condition is about the port or the protocol alone.
fn is_of_port(condition: &Value) -> bool {
    let left = &condition["left"];
    left["payload"]["field"] == "dport" || left["meta"]["key"] == "l4proto" || left["payload"]["field"] == "protocol"
}

/// Whether the right side of a comparison holds `port`: a number, a range, or a set of these.
fn holds(right: &Value, port: u16) -> bool {
    let number = |value: &Value| value.as_u64().and_then(|number| u16::try_from(number).ok());
    if let Some(range) = right["range"].as_array() {
        return matches!(range.iter().map(number).collect::<Vec<_>>()[..], [Some(from), Some(to)] if (from..=to).contains(&port));
    }
    match &right["set"] {
        Value::Array(members) => members.iter().any(|member| holds(member, port)),
        _ => number(right) == Some(port),
    }
}

#[cfg(test)]
mod tests {
    use postern_config::kubernetes::doctor::Outcome;
    use serde_json::json;

    use super::*;

    fn chain(name: &str, hook: Option<&str>, policy: &str) -> Value {
        let mut chain = json!({"family": "inet", "table": "filter", "name": name});
        if let Some(hook) = hook {
            chain["hook"] = hook.into();
            chain["type"] = "filter".into();
            chain["policy"] = policy.into();
        }
        json!({"chain": chain})
    }

    fn rule(chain: &str, expr: Value) -> Value {
        json!({"rule": {"family": "inet", "table": "filter", "chain": chain, "expr": expr}})
    }

    fn dport(right: Value) -> Value {
        json!({"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": right}})
    }

    #[test]
    fn a_chain_that_drops_is_told_unless_a_rule_for_all_accepts_the_port() {
        let input = |policy| chain("input", Some("input"), policy);
        let established = json!({"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established"]}});
        let from = json!({"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "10.0.0.1"}});
        let (accept, drop) = (json!({"accept": null}), json!({"drop": null}));
        let jump = json!({"jump": {"target": "services"}});
        let services = chain("services", None, "");
        for (items, outcome) in [
            (vec![], Outcome::Good),
            (vec![input("accept")], Outcome::Good),
            (vec![input("drop")], Outcome::Breaks),
            (vec![chain("forward", Some("forward"), "drop")], Outcome::Good),
            (vec![input("drop"), rule("input", json!([established, accept]))], Outcome::Breaks),
            (vec![input("drop"), rule("input", json!([dport(json!(80)), accept]))], Outcome::Good),
            (
                vec![input("drop"), rule("input", json!([dport(json!({"set": [22, {"range": [80, 90]}]})), accept]))],
                Outcome::Good,
            ),
            (vec![input("drop"), rule("input", json!([dport(json!({"set": [22, 443]})), accept]))], Outcome::Breaks),
            (vec![input("drop"), rule("input", json!([from, dport(json!(80)), accept]))], Outcome::Breaks),
            (vec![input("accept"), rule("input", json!([drop]))], Outcome::Breaks),
            (
                vec![
                    input("drop"),
                    services.clone(),
                    rule("input", json!([jump])),
                    rule("services", json!([dport(json!(80)), accept])),
                ],
                Outcome::Good,
            ),
            (
                vec![input("drop"), services, rule("input", json!([jump])), rule("services", json!([jump]))],
                Outcome::Breaks,
            ),
        ] {
            let found = check(&json!({"nftables": items}), &[80]);
            assert_eq!(found[0].outcome, outcome, "{items:?}: {found:?}");
        }
    }
}
