//! Manifests for Postern under test: one host under load, and as many others beside it as the question wants.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::CertificateDer;

use crate::{
    load::Trust,
    result::{Context, Error, Result},
};

/// The host under load.
pub(crate) const HOST: &str = "bench.example.com";

/// Routes per file, so that 10,000 make a directory as people have them.
const ROUTES_PER_FILE: usize = 100;

/// A key pair and its self-signed certificate (ECDSA P-256).
pub(crate) struct Identity {
    /// The certificate.
    pub(crate) der: CertificateDer<'static>,
    /// The same as PEM.
    pub(crate) certificate_pem: String,
    /// The key as PEM.
    pub(crate) key_pem: String,
}

impl Identity {
    /// A new one for every host of the benches.
    pub(crate) fn new() -> Result<Self> {
        let failed = |error: rcgen::Error| Error::Unexpected(format!("making a certificate: {error}"));
        let key = KeyPair::generate().map_err(failed)?;
        let names = ["example.com".to_owned(), "*.example.com".to_owned()];
        let certificate = CertificateParams::new(names).and_then(|params| params.self_signed(&key)).map_err(failed)?;
        Ok(Self { der: certificate.der().clone(), certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    /// That of a client who trusts it and nobody else.
    pub(crate) fn trust(&self) -> Result<Trust> {
        Trust::only(self.der.clone()).map_err(|error| Error::Unexpected(error.to_string()))
    }
}

/// Everything that is written.
pub(crate) struct World {
    backend: SocketAddr,
    routes: usize,
    middlewares: bool,
    every_host: bool,
    identity: Option<Identity>,
}

impl World {
    /// One route to `backend`.
    pub(crate) fn new(backend: SocketAddr) -> Self {
        Self { backend, routes: 0, middlewares: false, every_host: true, identity: None }
    }

    /// So many routes for other hosts beside.
    pub(crate) fn routes(mut self, routes: usize) -> Self {
        self.routes = routes;
        self
    }

    /// An allow-list, header changes and a rate limit on the route.
    pub(crate) fn middlewares(mut self) -> Self {
        self.middlewares = true;
        self
    }

    /// Without the route for every host, so that a host that nobody named gets 404.
    pub(crate) fn only_named(mut self) -> Self {
        self.every_host = false;
        self
    }

    /// Serves TLS with `identity`; without it a new one is made.
    pub(crate) fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Writes the files.
    pub(crate) fn write(self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).context(folder.display().to_string())?;
        let identity = self.identity.map_or_else(Identity::new, Ok)?;
        let annotation = if self.middlewares { MIDDLEWARE_ANNOTATION } else { "" };
        // What questions change has a file of its own.
        replace(&folder.join("endpoints.yaml"), &endpoints(self.backend))?;
        replace(&folder.join("secret.yaml"), &secret(&identity))?;
        let mut base = format!("{CLASS}---\n{}---\n{}", service(), ingress("bench", HOST, annotation));
        if self.every_host {
            base.push_str(&format!("---\n{EVERY_HOST}"));
        }
        if self.middlewares {
            base.push_str(MIDDLEWARES);
        }
        replace(&folder.join("base.yaml"), &base)?;
        for first in (0..self.routes).step_by(ROUTES_PER_FILE) {
            let last = (first + ROUTES_PER_FILE).min(self.routes);
            replace(&folder.join(format!("routes-{first:06}.yaml")), &routes(first..last))?;
        }
        Ok(())
    }
}

/// Replaces a file in one step, as careful writers do.
pub(crate) fn replace(path: &Path, text: &str) -> Result<()> {
    let mut hidden = PathBuf::from(path);
    hidden.set_file_name(format!(".{}.new", path.file_name().unwrap_or_default().to_string_lossy()));
    fs::write(&hidden, text).context(hidden.display().to_string())?;
    fs::rename(&hidden, path).context(path.display().to_string())
}

/// An Ingress for `host`, with TLS, to the backend's Service.
pub(crate) fn ingress(name: &str, host: &str, annotations: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: {name}\n  namespace: bench\n{annotations}spec:\n  \
         ingressClassName: postern\n  tls:\n  - hosts: [{host}]\n    secretName: bench-tls\n  rules:\n  - host: {host}\n    \
         http:\n      paths:\n      - path: /\n        pathType: Prefix\n        backend:\n          service:\n            \
         name: backend\n            port:\n              number: 80\n"
    )
}

/// The Secret with `identity`.
pub(crate) fn secret(identity: &Identity) -> String {
    let mut text =
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: bench-tls\n  namespace: bench\ntype: kubernetes.io/tls\n\
        stringData:\n"
            .to_owned();
    for (key, pem) in [("tls.crt", &identity.certificate_pem), ("tls.key", &identity.key_pem)] {
        let _ = writeln!(text, "  {key}: |");
        for line in pem.lines() {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}

/// The EndpointSlice with one endpoint.
pub(crate) fn endpoints(backend: SocketAddr) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: backend-1\n  namespace: bench\n  labels:\n    \
         kubernetes.io/service-name: backend\naddressType: IPv4\nendpoints:\n- addresses: [\"{}\"]\n  conditions:\n    \
         ready: true\nports:\n- name: http\n  port: {}\n",
        backend.ip(),
        backend.port()
    )
}

fn service() -> String {
    "apiVersion: v1\nkind: Service\nmetadata:\n  name: backend\n  namespace: bench\nspec:\n  ports:\n  - name: http\n    port: 80\n    \
     targetPort: 8080\n"
        .to_owned()
}

fn routes(numbers: std::ops::Range<usize>) -> String {
    let one = |number: usize| ingress(&format!("route-{number}"), &format!("host-{number}.example.com"), "");
    numbers.map(one).collect::<Vec<_>>().join("---\n")
}

const CLASS: &str = "apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata:
  name: postern
spec:
  controller: postern.dev/ingress
";

/// Whatever the host: what a client that knows only the address gets.
const EVERY_HOST: &str = "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: every-host
  namespace: bench
spec:
  ingressClassName: postern
  tls:
  - secretName: bench-tls
  rules:
  - http:
      paths:
      - path: /
        pathType: Prefix
        backend:
          service:
            name: backend
            port:
              number: 80
";

const MIDDLEWARE_ANNOTATION: &str = "  annotations:
    traefik.ingress.kubernetes.io/router.middlewares: >-
      bench-office@kubernetescrd,bench-marks@kubernetescrd,bench-rate@kubernetescrd
";

const MIDDLEWARES: &str = "---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata:
  name: office
  namespace: bench
spec:
  ipAllowList:
    sourceRange: [10.0.0.0/8, 127.0.0.0/8, 192.168.0.0/16]
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata:
  name: marks
  namespace: bench
spec:
  headers:
    customRequestHeaders:
      X-Served-At: edge
    customResponseHeaders:
      X-Frame-Options: DENY
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata:
  name: rate
  namespace: bench
spec:
  rateLimit:
    average: 1000000
    burst: 1000000
";
