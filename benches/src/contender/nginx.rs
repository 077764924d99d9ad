//! nginx: one process, kept connections to the backend, the forwarded headers that Postern sets too.

use super::{Contender, Setting, free, own_folder, words, write};
use crate::result::Result;

pub(super) fn start(setting: &Setting<'_>) -> Result<Contender> {
    let folder = own_folder(setting, "nginx")?;
    let [plain, tls] = free()?;
    let here = folder.display();
    let backend = setting.backend;
    write(&folder.join("tls.crt"), &setting.identity.certificate_pem)?;
    write(&folder.join("tls.key"), &setting.identity.key_pem)?;
    // No temporary files: a body larger than the buffers is to wait for its reader, not to go to a disk.
    let text = format!(
        "daemon off; master_process off; pid {here}/pid; error_log {here}/error.log warn;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; proxy_max_temp_file_size 0; large_client_header_buffers 4 64k;
  client_body_temp_path {here}/body; proxy_temp_path {here}/proxy;
  upstream backend {{ server {backend}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen {plain}; listen {tls} ssl http2; server_name _;
    ssl_certificate {here}/tls.crt; ssl_certificate_key {here}/tls.key; ssl_protocols TLSv1.2 TLSv1.3;
    location / {{
      proxy_pass http://backend; proxy_http_version 1.1;
      proxy_set_header Host $host; proxy_set_header Connection \"\"; proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Forwarded-Port $server_port;
    }}
  }}
}}
"
    );
    let configuration = folder.join("nginx.conf");
    write(&configuration, &text)?;
    // fastcgi, uwsgi and scgi paths are made relative to the prefix at start, whether used or not.
    let command = words(&["nginx", "-p", &here.to_string(), "-c", &configuration.display().to_string()]);
    std::fs::create_dir_all("/var/lib/nginx").unwrap_or_default();
    Contender::spawn("nginx", &command, [plain, tls], &folder.join("log"))
}
