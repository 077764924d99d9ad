//! The least pingora-proxy that does what the other contenders do: `pingora-peer LISTEN BACKEND`.

use pingora_core::{server::Server, upstreams::peer::HttpPeer};
use pingora_http::RequestHeader;
use pingora_proxy::{ProxyHttp, Session};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Forward(String);

#[async_trait::async_trait]
impl ProxyHttp for Forward {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora_core::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.0.as_str(), false, String::new())))
    }

    async fn upstream_request_filter(&self, session: &mut Session, head: &mut RequestHeader, (): &mut ()) -> pingora_core::Result<()> {
        let client = session.client_addr().and_then(|address| address.as_inet()).map(|address| address.ip().to_string());
        let host = session.req_header().headers.get("host").cloned();
        for name in ["x-forwarded-for", "x-real-ip"] {
            head.insert_header(name, client.as_deref().unwrap_or_default())?;
        }
        if let Some(host) = host {
            head.insert_header("x-forwarded-host", host)?;
        }
        head.insert_header("x-forwarded-port", "80")?;
        head.insert_header("x-forwarded-proto", "http")
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(backend)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: pingora-peer LISTEN BACKEND");
        std::process::exit(2);
    };
    let mut server = Server::new(None).expect("the default configuration is valid");
    server.bootstrap();
    let mut service = pingora_proxy::http_proxy_service(&server.configuration, Forward(backend));
    service.add_tcp(&listen);
    server.add_service(service);
    server.run_forever();
}
