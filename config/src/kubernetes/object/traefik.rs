//! Traefik's `Middleware` and `MiddlewareTCP` (`traefik.io/v1alpha1`): every option of every type, so that what is not carried can be
//! refused by name. What the options mean is decided by the converter.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;

use super::field::{Unused, or_default};

/// A Middleware.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Middleware {
    /// What is asked for: exactly one type.
    #[serde(deserialize_with = "or_default")]
    pub spec: MiddlewareSpec,
}

/// `spec` of a Middleware: one field per type.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MiddlewareSpec {
    /// Puts text in front of the path.
    pub add_prefix: Option<AddPrefix>,
    /// Asks for a name and a password.
    pub basic_auth: Option<BasicAuth>,
    /// Reads requests and answers whole.
    pub buffering: Option<Buffering>,
    /// Several middlewares under one name.
    pub chain: Option<Chain>,
    /// Stops asking a backend that fails, for a while.
    pub circuit_breaker: Option<CircuitBreaker>,
    /// Compresses answers.
    pub compress: Option<Compress>,
    /// Answers with a page of another Service.
    pub errors: Option<Errors>,
    /// Asks another server whether a request may pass.
    pub forward_auth: Option<ForwardAuth>,
    /// Changes and checks header fields.
    pub headers: Option<Headers>,
    /// Limits requests that are under way, per source.
    pub in_flight_req: Option<InFlightReq>,
    /// Lets only some addresses pass.
    pub ip_allow_list: Option<IpAllowList>,
    /// Older spelling of `ipAllowList`.
    pub ip_white_list: Option<IpAllowList>,
    /// Limits requests per source and time.
    pub rate_limit: Option<RateLimit>,
    /// Redirects by a regular expression.
    pub redirect_regex: Option<RedirectRegex>,
    /// Redirects to another scheme or port.
    pub redirect_scheme: Option<RedirectScheme>,
    /// Replaces the path.
    pub replace_path: Option<ReplacePath>,
    /// Replaces parts of the path by a regular expression.
    pub replace_path_regex: Option<ReplacePathRegex>,
    /// Sends requests again.
    pub retry: Option<Retry>,
    /// Takes text off the front of the path.
    pub strip_prefix: Option<StripPrefix>,
    /// Takes off the front of the path what an expression matches.
    pub strip_prefix_regex: Option<StripPrefixRegex>,
    /// Finds out the media type of answers without one.
    pub content_type: Option<ContentType>,
    /// Asks for a name and a password that never crosses the wire.
    pub digest_auth: Option<DigestAuth>,
    /// Refuses paths with certain encoded characters.
    pub encoded_characters: Option<EncodedCharacters>,
    /// Lets browsers speak to gRPC backends.
    pub grpc_web: Option<GrpcWeb>,
    /// Tells the backend the client's certificate.
    #[serde(rename = "passTLSClientCert")]
    pub pass_tls_client_cert: Option<PassTlsClientCert>,
    /// Code that Traefik loads; never carried.
    pub plugin: Option<Unused>,
}

/// A MiddlewareTCP.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MiddlewareTcp {
    /// What is asked for: exactly one type.
    #[serde(deserialize_with = "or_default")]
    pub spec: MiddlewareTcpSpec,
}

/// `spec` of a MiddlewareTCP: one field per type.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MiddlewareTcpSpec {
    /// Limits connections at a time.
    pub in_flight_conn: Option<InFlightConn>,
    /// Lets only some addresses in.
    pub ip_allow_list: Option<TcpIpAllowList>,
    /// Older spelling of `ipAllowList`.
    pub ip_white_list: Option<TcpIpAllowList>,
}

/// `inFlightConn`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct InFlightConn {
    /// Connections of one address at a time.
    pub amount: Option<i64>,
}

/// `ipAllowList` of a MiddlewareTCP.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TcpIpAllowList {
    /// Addresses and ranges.
    #[serde(deserialize_with = "or_default")]
    pub source_range: Vec<Arc<str>>,
}

/// `addPrefix`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AddPrefix {
    /// Begins with `/`.
    pub prefix: Option<Arc<str>>,
}

/// `basicAuth`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BasicAuth {
    /// Secret with the users.
    pub secret: Option<Arc<str>>,
    /// Shown by browsers.
    pub realm: Option<Arc<str>>,
    /// Whether the backend does not see the credentials.
    pub remove_header: Option<bool>,
    /// Field that tells the backend the user.
    pub header_field: Option<Arc<str>>,
}

/// `buffering`. Sizes are in bytes.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Buffering {
    /// Larger requests are refused.
    pub max_request_body_bytes: Option<i64>,
    /// What of a request is beyond goes to a file.
    pub mem_request_body_bytes: Option<i64>,
    /// Larger answers are refused.
    pub max_response_body_bytes: Option<i64>,
    /// What of an answer is beyond goes to a file.
    pub mem_response_body_bytes: Option<i64>,
    /// While it holds, a request is sent again.
    pub retry_expression: Option<Arc<str>>,
}

/// `chain`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Chain {
    /// Members, outermost first.
    #[serde(deserialize_with = "or_default")]
    pub middlewares: Vec<MiddlewareRef>,
}

/// A reference to a Middleware.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MiddlewareRef {
    /// Name.
    #[serde(deserialize_with = "or_default")]
    pub name: Arc<str>,
    /// Namespace; the referring object's where absent.
    pub namespace: Option<Arc<str>>,
}

/// `circuitBreaker`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CircuitBreaker {
    /// When it opens.
    pub expression: Option<Arc<str>>,
    /// How often that is looked at: seconds or a Go duration.
    pub check_period: Option<IntOrString>,
    /// How long it stays open: seconds or a Go duration.
    pub fallback_duration: Option<IntOrString>,
    /// How long it recovers: seconds or a Go duration.
    pub recovery_duration: Option<IntOrString>,
    /// Status of refusals.
    pub response_code: Option<i64>,
}

/// `compress`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Compress {
    /// Media types that stay as they are.
    #[serde(deserialize_with = "or_default")]
    pub excluded_content_types: Vec<Arc<str>>,
    /// The only media types that are compressed.
    #[serde(deserialize_with = "or_default")]
    pub included_content_types: Vec<Arc<str>>,
    /// Smaller bodies stay as they are.
    pub min_response_body_bytes: Option<i64>,
    /// Codings in order of preference.
    #[serde(deserialize_with = "or_default")]
    pub encodings: Vec<Arc<str>>,
    /// Coding for clients that send no Accept-Encoding.
    pub default_encoding: Option<Arc<str>>,
}

/// `contentType`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContentType {
    /// Deprecated: the middleware being there says it.
    pub auto_detect: Option<bool>,
}

/// `digestAuth`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DigestAuth {
    /// Secret with the users.
    pub secret: Option<Arc<str>>,
    /// What the hashes are made for.
    pub realm: Option<Arc<str>>,
    /// Whether the backend does not see the credentials.
    pub remove_header: Option<bool>,
    /// Field that tells the backend the user.
    pub header_field: Option<Arc<str>>,
}

/// `encodedCharacters`: which of them may stand encoded in a path.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EncodedCharacters {
    /// `%2F`.
    pub allow_encoded_slash: Option<bool>,
    /// `%5C`.
    pub allow_encoded_back_slash: Option<bool>,
    /// `%00`.
    pub allow_encoded_null_character: Option<bool>,
    /// `%3B`.
    pub allow_encoded_semicolon: Option<bool>,
    /// `%25`.
    pub allow_encoded_percent: Option<bool>,
    /// `%3F`.
    pub allow_encoded_question_mark: Option<bool>,
    /// `%23`.
    pub allow_encoded_hash: Option<bool>,
}

/// `errors`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Errors {
    /// Statuses and ranges of them.
    #[serde(deserialize_with = "or_default")]
    pub status: Vec<Arc<str>>,
    /// What becomes of statuses and ranges of them.
    #[serde(deserialize_with = "or_default")]
    pub status_rewrites: BTreeMap<Arc<str>, i64>,
    /// Who has the pages.
    #[serde(deserialize_with = "or_default")]
    pub service: ErrorService,
    /// Where they are.
    pub query: Option<Arc<str>>,
    /// Fields of the request that the Service sees; empty is another thing than absent.
    pub error_request_headers: Option<Vec<Arc<str>>>,
}

/// `service` of `errors`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ErrorService {
    /// `Service` where absent.
    pub kind: Option<Arc<str>>,
    /// Name.
    pub name: Option<Arc<str>>,
    /// Namespace; the object's own where absent.
    pub namespace: Option<Arc<str>>,
    /// Number or name.
    pub port: Option<IntOrString>,
    /// Not carried.
    pub scheme: Option<Unused>,
    /// Not carried.
    pub strategy: Option<Unused>,
    /// Not carried.
    pub weight: Option<Unused>,
    /// Not carried.
    pub pass_host_header: Option<Unused>,
    /// Not carried.
    pub response_forwarding: Option<Unused>,
    /// Not carried.
    pub servers_transport: Option<Unused>,
    /// Not carried.
    pub sticky: Option<Unused>,
    /// Not carried.
    #[serde(rename = "nativeLB")]
    pub native_lb: Option<Unused>,
    /// Not carried.
    #[serde(rename = "nodePortLB")]
    pub node_port_lb: Option<Unused>,
    /// Not carried.
    pub health_check: Option<Unused>,
    /// Not carried.
    pub passive_health_check: Option<Unused>,
    /// Not carried.
    pub middlewares: Option<Unused>,
}

impl ErrorService {
    /// Options that are not carried, and whether each is stated.
    pub fn others(&self) -> [(&'static str, bool); 12] {
        [
            ("scheme", self.scheme.is_some()),
            ("strategy", self.strategy.is_some()),
            ("weight", self.weight.is_some()),
            ("passHostHeader", self.pass_host_header.is_some()),
            ("responseForwarding", self.response_forwarding.is_some()),
            ("serversTransport", self.servers_transport.is_some()),
            ("sticky", self.sticky.is_some()),
            ("nativeLB", self.native_lb.is_some()),
            ("nodePortLB", self.node_port_lb.is_some()),
            ("healthCheck", self.health_check.is_some()),
            ("passiveHealthCheck", self.passive_health_check.is_some()),
            ("middlewares", self.middlewares.is_some()),
        ]
    }
}

/// `forwardAuth`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ForwardAuth {
    /// URL of the auth server.
    pub address: Option<Arc<str>>,
    /// TLS towards it.
    pub tls: Option<ClientTls>,
    /// Whether X-Forwarded-* of the client are believed; unset is a third behaviour.
    pub trust_forward_header: Option<bool>,
    /// Fields of the auth answer that the backend sees.
    #[serde(deserialize_with = "or_default")]
    pub auth_response_headers: Vec<Arc<str>>,
    /// The same by expression.
    pub auth_response_headers_regex: Option<Arc<str>>,
    /// The only client fields that the auth server sees.
    #[serde(deserialize_with = "or_default")]
    pub auth_request_headers: Vec<Arc<str>>,
    /// Cookies of the auth answer that the client sees.
    #[serde(deserialize_with = "or_default")]
    pub add_auth_cookies_to_response: Vec<Arc<str>>,
    /// Field of the auth answer that holds the user, for the access log.
    pub header_field: Option<Arc<str>>,
    /// Whether the auth server sees the body.
    pub forward_body: Option<bool>,
    /// Largest body forwarded; -1 is no limit.
    pub max_body_size: Option<i64>,
    /// Largest auth answer.
    pub max_response_body_size: Option<i64>,
    /// Whether a relative Location of the auth answer stays relative.
    pub preserve_location_header: Option<bool>,
    /// Whether the auth server sees the client's method.
    pub preserve_request_method: Option<bool>,
    /// Where clients are sent whom the auth server answers 401.
    #[serde(rename = "authSigninURL")]
    pub auth_signin_url: Option<Arc<str>>,
}

/// `tls` of `forwardAuth`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClientTls {
    /// Secret with the authority.
    pub ca_secret: Option<Arc<str>>,
    /// Secret with the client certificate.
    pub cert_secret: Option<Arc<str>>,
    /// Whether the server's certificate is not judged.
    pub insecure_skip_verify: Option<bool>,
    /// Without effect since Traefik 3.
    pub ca_optional: Option<bool>,
}

/// `grpcWeb`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GrpcWeb {
    /// Origins whose scripts may read answers; `*` is all.
    #[serde(deserialize_with = "or_default")]
    pub allow_origins: Vec<Arc<str>>,
}

/// `headers`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Headers {
    /// Set on the request; empty removes.
    #[serde(deserialize_with = "or_default")]
    pub custom_request_headers: BTreeMap<Arc<str>, Arc<str>>,
    /// Set on the answer; empty removes.
    #[serde(deserialize_with = "or_default")]
    pub custom_response_headers: BTreeMap<Arc<str>, Arc<str>>,
    /// CORS.
    pub access_control_allow_credentials: Option<bool>,
    /// CORS.
    #[serde(deserialize_with = "or_default")]
    pub access_control_allow_headers: Vec<Arc<str>>,
    /// CORS.
    #[serde(deserialize_with = "or_default")]
    pub access_control_allow_methods: Vec<Arc<str>>,
    /// CORS.
    #[serde(deserialize_with = "or_default")]
    pub access_control_allow_origin_list: Vec<Arc<str>>,
    /// CORS.
    #[serde(deserialize_with = "or_default")]
    pub access_control_allow_origin_list_regex: Vec<Arc<str>>,
    /// CORS.
    #[serde(deserialize_with = "or_default")]
    pub access_control_expose_headers: Vec<Arc<str>>,
    /// CORS, in seconds.
    pub access_control_max_age: Option<i64>,
    /// Whether `Vary: Origin` is added.
    pub add_vary_header: Option<bool>,
    /// Hosts that are served; all where empty.
    #[serde(deserialize_with = "or_default")]
    pub allowed_hosts: Vec<Arc<str>>,
    /// Fields that hold the host in place of Host.
    #[serde(deserialize_with = "or_default")]
    pub hosts_proxy_headers: Vec<Arc<str>>,
    /// Fields whose value says that the client used TLS.
    #[serde(deserialize_with = "or_default")]
    pub ssl_proxy_headers: BTreeMap<Arc<str>, Arc<str>>,
    /// `max-age` of Strict-Transport-Security.
    pub sts_seconds: Option<i64>,
    /// `includeSubDomains` of Strict-Transport-Security.
    pub sts_include_subdomains: Option<bool>,
    /// `preload` of Strict-Transport-Security.
    pub sts_preload: Option<bool>,
    /// Strict-Transport-Security on plaintext too.
    #[serde(rename = "forceSTSHeader")]
    pub force_sts_header: Option<bool>,
    /// `X-Frame-Options: DENY`.
    pub frame_deny: Option<bool>,
    /// X-Frame-Options.
    pub custom_frame_options_value: Option<Arc<str>>,
    /// `X-Content-Type-Options: nosniff`.
    pub content_type_nosniff: Option<bool>,
    /// `X-XSS-Protection: 1; mode=block`.
    pub browser_xss_filter: Option<bool>,
    /// X-XSS-Protection.
    #[serde(rename = "customBrowserXSSValue")]
    pub custom_browser_xss_value: Option<Arc<str>>,
    /// Content-Security-Policy.
    pub content_security_policy: Option<Arc<str>>,
    /// Content-Security-Policy-Report-Only.
    pub content_security_policy_report_only: Option<Arc<str>>,
    /// Public-Key-Pins.
    pub public_key: Option<Arc<str>>,
    /// Referrer-Policy.
    pub referrer_policy: Option<Arc<str>>,
    /// Permissions-Policy.
    pub permissions_policy: Option<Arc<str>>,
    /// Switches host checks and Strict-Transport-Security off.
    pub is_development: Option<bool>,
    /// Without effect since Traefik 3.
    pub feature_policy: Option<Arc<str>>,
    /// Without effect since Traefik 3.
    pub ssl_redirect: Option<bool>,
    /// Without effect since Traefik 3.
    pub ssl_temporary_redirect: Option<bool>,
    /// Without effect since Traefik 3.
    pub ssl_host: Option<Arc<str>>,
    /// Without effect since Traefik 3.
    pub ssl_force_host: Option<bool>,
}

/// `inFlightReq`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct InFlightReq {
    /// Requests of one source at a time.
    pub amount: Option<i64>,
    /// What a source is.
    pub source_criterion: Option<SourceCriterion>,
}

/// `ipAllowList`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IpAllowList {
    /// Addresses and ranges.
    #[serde(deserialize_with = "or_default")]
    pub source_range: Vec<Arc<str>>,
    /// Which address is judged.
    pub ip_strategy: Option<IpStrategy>,
    /// Status of refusals.
    pub reject_status_code: Option<i64>,
}

/// `ipStrategy`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IpStrategy {
    /// Position from the right of X-Forwarded-For.
    pub depth: Option<i64>,
    /// Addresses of X-Forwarded-For that are passed over.
    #[serde(rename = "excludedIPs", deserialize_with = "or_default")]
    pub excluded_ips: Vec<Arc<str>>,
    /// Length of the IPv6 prefix that counts as one address.
    pub ipv6_subnet: Option<i64>,
}

/// `passTLSClientCert`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PassTlsClientCert {
    /// Whether the certificates themselves are told.
    pub pem: Option<bool>,
    /// What of them is told by name.
    pub info: Option<ClientCertInfo>,
}

/// `info` of `passTLSClientCert`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClientCertInfo {
    /// Valid until.
    pub not_after: Option<bool>,
    /// Valid from.
    pub not_before: Option<bool>,
    /// Alternative names.
    pub sans: Option<bool>,
    /// Its number.
    pub serial_number: Option<bool>,
    /// Whose it is.
    pub subject: Option<DistinguishedName>,
    /// Who signed it.
    pub issuer: Option<DistinguishedName>,
}

/// Which attributes of a distinguished name.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DistinguishedName {
    /// `C`.
    pub country: Option<bool>,
    /// `ST`.
    pub province: Option<bool>,
    /// `L`.
    pub locality: Option<bool>,
    /// `O`.
    pub organization: Option<bool>,
    /// `OU`; of subjects alone.
    pub organizational_unit: Option<bool>,
    /// `CN`.
    pub common_name: Option<bool>,
    /// `SN`.
    pub serial_number: Option<bool>,
    /// `DC`.
    pub domain_component: Option<bool>,
}

/// `rateLimit`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RateLimit {
    /// Requests per period.
    pub average: Option<i64>,
    /// Seconds or a Go duration.
    pub period: Option<IntOrString>,
    /// Requests at once.
    pub burst: Option<i64>,
    /// What a source is.
    pub source_criterion: Option<SourceCriterion>,
    /// Not carried.
    pub redis: Option<Unused>,
}

/// `sourceCriterion`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SourceCriterion {
    /// By address.
    pub ip_strategy: Option<IpStrategy>,
    /// By a request field.
    pub request_header_name: Option<Arc<str>>,
    /// By Host.
    pub request_host: Option<bool>,
}

/// A number or text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// A number.
    Int(i64),
    /// Text.
    Text(Arc<str>),
}

/// `redirectRegex`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RedirectRegex {
    /// Compared with the URL.
    pub regex: Option<Arc<str>>,
    /// The URL to redirect to.
    pub replacement: Option<Arc<str>>,
    /// 301 and 308 in place of 302 and 307.
    pub permanent: Option<bool>,
}

/// `redirectScheme`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RedirectScheme {
    /// The scheme to redirect to.
    pub scheme: Option<Arc<str>>,
    /// The port to redirect to.
    pub port: Option<IntOrString>,
    /// 301 and 308 in place of 302 and 307.
    pub permanent: Option<bool>,
}

/// `replacePath`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReplacePath {
    /// The new path.
    pub path: Option<Arc<str>>,
}

/// `replacePathRegex`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReplacePathRegex {
    /// Compared with the path.
    pub regex: Option<Arc<str>>,
    /// What takes the place of each match.
    pub replacement: Option<Arc<str>>,
}

/// `retry`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Retry {
    /// Tries, the first included.
    pub attempts: Option<i64>,
    /// How long others may begin: seconds or a Go duration.
    pub timeout: Option<IntOrString>,
    /// The first pause: seconds or a Go duration.
    pub initial_interval: Option<IntOrString>,
    /// Largest body that is kept; -1 is no limit.
    pub max_request_body_bytes: Option<i64>,
    /// Statuses and ranges of them that are tried again.
    #[serde(deserialize_with = "or_default")]
    pub status: Vec<Arc<str>>,
    /// Whether requests that reached no backend are not.
    pub disable_retry_on_network_error: Option<bool>,
    /// Whether POST, PATCH and LOCK are for a status.
    pub retry_non_idempotent_method: Option<bool>,
}

/// `stripPrefix`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StripPrefix {
    /// The first that fits is taken off.
    #[serde(deserialize_with = "or_default")]
    pub prefixes: Vec<Arc<str>>,
    /// Without effect: the result always begins with `/`.
    pub force_slash: Option<bool>,
}

/// `stripPrefixRegex`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StripPrefixRegex {
    /// The first that matches is taken off.
    #[serde(deserialize_with = "or_default")]
    pub regex: Vec<Arc<str>>,
}
