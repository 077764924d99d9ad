//! Certificates: orders, renewals, challenge answers and stores. Never hands a certificate to TLS: it writes the store,
//! and the provider sees it. Empty until certificates are issued in process.
#![forbid(unsafe_code)]
