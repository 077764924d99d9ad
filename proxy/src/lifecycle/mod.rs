//! The end of connections: draining. What is drained is known elsewhere; signals are `app`'s, readiness is `admin`'s.

pub mod drain;
