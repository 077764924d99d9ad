//! haproxy: one thread, connections to the backend always reused, the forwarded headers that Postern sets too.

use super::{Contender, Setting, free, own_folder, words, write};
use crate::result::Result;

pub(super) fn start(setting: &Setting<'_>) -> Result<Contender> {
    let folder = own_folder(setting, "haproxy")?;
    let [plain, tls] = free()?;
    let here = folder.display();
    let backend = setting.backend;
    let both = format!("{}{}", setting.identity.certificate_pem, setting.identity.key_pem);
    write(&folder.join("tls.pem"), &both)?;
    let text = format!(
        "global
  nbthread 1
  maxconn 8192
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 10s
  timeout client 180s
  timeout server 180s
  timeout http-keep-alive 180s
frontend all
  bind {plain}
  bind {tls} ssl crt {here}/tls.pem alpn h2,http/1.1
  option forwardfor
  http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
  http-request set-header X-Forwarded-Proto http unless {{ ssl_fc }}
  http-request set-header X-Forwarded-Host %[req.hdr(Host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Real-IP %[src]
  default_backend all
backend all
  server one {backend}
"
    );
    let configuration = folder.join("haproxy.cfg");
    write(&configuration, &text)?;
    let command = words(&["haproxy", "-db", "-f", &configuration.display().to_string()]);
    Contender::spawn("haproxy", &command, [plain, tls], &folder.join("log"))
}
