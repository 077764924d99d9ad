//! Names: desired records against DNS providers, for DNS-01 challenges and for publishing host names.
//! Empty until names are published.
#![forbid(unsafe_code)]
