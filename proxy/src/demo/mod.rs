//! What `postern demo` brings along: the bundled example ([`manifests`]), a certificate for it ([`certificate`]), and
//! backends that say what they were sent ([`echo`], [`websocket`]). Nothing here is used by `serve`.

pub mod certificate;
pub mod echo;
pub mod manifests;
mod websocket;
