//! The dashboard in a real browser: what is seen, what is asked of whom, and what foreign text can do. Chromium is driven over
//! its DevTools protocol; `cargo xtask test dashboard` installs it.

mod browser;
mod foreign;
mod views;
mod world;
