//! Traefik's own route kinds.

pub mod rule;
