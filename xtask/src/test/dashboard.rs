//! The dashboard in a real browser.

use crate::{
    step::Outcome,
    tools,
    workspace::{cargo, run as run_command},
};

/// The step. The tests are ignored otherwise, since not everybody has Chromium.
pub(super) fn run() -> Result<Outcome, String> {
    let browser = match tools::chromium() {
        Ok(browser) => browser,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    // Each test has a browser of its own, and a browser has many threads.
    let test = ["test", "--workspace", "--test", "dashboard", "--locked", "--quiet", "--"];
    let how = ["--include-ignored", "--test-threads", "2"];
    run_command(cargo(&test).args(how).env("POSTERN_CHROMIUM", browser))?;
    Ok(Outcome::Passed)
}
