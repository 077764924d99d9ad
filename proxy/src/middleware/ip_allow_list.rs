//! Lets only some addresses pass.

use http::StatusCode;
use postern_config::model::{id::MiddlewareId, middleware::ip_allow_list as model};

use super::{
    refuse,
    source::{Found, Networks, Source},
};
use crate::exchange::{Exchange, Flow};

/// Running state.
#[derive(Debug)]
pub(super) struct IpAllowList {
    id: MiddlewareId,
    networks: Networks,
    source: Source,
    reject_status: StatusCode,
}

impl IpAllowList {
    pub(super) fn build(id: &MiddlewareId, spec: &model::IpAllowList) -> Self {
        Self {
            id: id.clone(),
            networks: Networks::new(&spec.ranges),
            source: Source::new(&spec.source),
            reject_status: spec.reject_status,
        }
    }

    pub(super) fn on_request(&self, exchange: &mut Exchange) -> Flow {
        let found = self.source.find(exchange.client, &exchange.parts.headers);
        if matches!(found, Found::Address(address) if self.networks.contains(address)) {
            return Flow::Continue;
        }
        let reason = match found {
            Found::Address(address) => format!("{}: {address} is not in the list", self.id),
            Found::Text(text) => format!("{}: {text:?} is no address", self.id),
            Found::Nothing => format!("{}: X-Forwarded-For names no client", self.id),
        };
        refuse(exchange, self.reject_status, reason)
    }
}

#[cfg(test)]
mod tests {
    use crate::middleware::testing::{exchange, spec, status};

    #[test]
    fn only_listed_addresses_pass() {
        let ipv6 = |strategy: &str| format!("sourceRange: ['2001:db8:1::', '::1'], ipStrategy: {{{strategy}}}");
        for (options, client, forwarded, want) in [
            ("sourceRange: ['20.20.20.20']".to_owned(), "20.20.20.20", "", None),
            ("sourceRange: ['20.20.20.20']".to_owned(), "20.20.20.21", "", Some(403)),
            ("sourceRange: ['20.20.20.20'], rejectStatusCode: 404".to_owned(), "20.20.20.21", "", Some(404)),
            ("sourceRange: ['10.0.0.0/8']".to_owned(), "::ffff:10.1.2.3", "", None),
            ("sourceRange: ['::ffff:10.0.0.0/104']".to_owned(), "10.1.2.3", "", None),
            ("sourceRange: ['::/0']".to_owned(), "2001:db8::1", "", None),
            ("sourceRange: ['0.0.0.0/0']".to_owned(), "2001:db8::1", "", Some(403)),
            // The leftmost value is the client's own invention.
            ("sourceRange: ['10.0.0.1']".to_owned(), "1.1.1.1", "10.0.0.1", Some(403)),
            ("sourceRange: ['10.0.0.1'], ipStrategy: {depth: 1}".to_owned(), "1.1.1.1", "9.9.9.9, 10.0.0.1", None),
            ("sourceRange: ['10.0.0.1'], ipStrategy: {depth: 2}".to_owned(), "10.0.0.1", "10.0.0.1", Some(403)),
            ("sourceRange: ['10.0.0.1'], ipStrategy: {depth: 1}".to_owned(), "10.0.0.1", "", Some(403)),
            (
                "sourceRange: ['10.0.0.1'], ipStrategy: {excludedIPs: ['7.0.0.0/8']}".to_owned(),
                "7.0.0.1",
                "10.0.0.1, 7.1.1.1",
                None,
            ),
            (
                "sourceRange: ['7.0.0.0/8'], ipStrategy: {excludedIPs: ['7.0.0.0/8']}".to_owned(),
                "7.0.0.1",
                "7.1.1.1",
                Some(403),
            ),
            (ipv6("ipv6Subnet: 64"), "2001:db8:1:0:1:2:3:4", "", None),
            (ipv6("ipv6Subnet: 80"), "2001:db8:1:0:1:2:3:4", "", Some(403)),
        ] {
            let middleware = spec(&format!("ipAllowList: {{{options}}}"));
            let mut exchange = exchange("GET", "http://example.com/").from(client);
            if !forwarded.is_empty() {
                exchange = exchange.header("x-forwarded-for", forwarded);
            }
            assert_eq!(status(&middleware, &mut exchange.build()), want, "{options} {client} {forwarded}");
        }
    }
}
