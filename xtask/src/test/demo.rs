//! `postern demo` as a newcomer uses it: started, read, asked with curl over every protocol that it prints, stopped.

use std::time::Duration;

use crate::{
    child::{Running, scratch},
    step::Outcome,
    tools,
    workspace::{debug_binary, output, program},
};

const READY: Duration = Duration::from_secs(30);

/// The step: runs every `curl` line that the demo prints, and expects each to be answered with 2xx or 3xx.
pub(super) fn run() -> Result<Outcome, String> {
    tools::debian("curl", "curl")?;
    let folder = scratch("demo")?;
    let mut command = program(debug_binary("postern"), &["demo"]);
    let mut demo = Running::start(&mut command, &folder.join("demo.log"))?;
    demo.wait_until(READY, |printed| !curl_lines(printed).is_empty())?;
    let printed = demo.printed();
    for line in curl_lines(&printed) {
        ask(line)?;
    }
    demo.stop(Duration::from_secs(40))?;
    Ok(Outcome::Passed)
}

fn curl_lines(printed: &str) -> Vec<&str> {
    printed.lines().map(str::trim).filter(|line| line.starts_with("curl ")).collect()
}

/// curl's own exit code says nothing more than the status: 000 when there was no answer, 101 when a WebSocket was opened
/// and nothing ended it before the time was up.
fn ask(line: &str) -> Result<(), String> {
    const MORE: &str =
        "--silent --show-error --max-time 10 --output /dev/null --write-out '%{http_version} %{http_code}'";
    // The printed lines quote as a shell does, so a shell reads them.
    let answer = output(&mut program("sh", &["-c", &format!("{line} {MORE}; true")]))?;
    println!("{line}  ->  HTTP/{answer}");
    let status = answer.rsplit(' ').next().unwrap_or_default();
    if status.starts_with(['2', '3']) || status == "101" { Ok(()) } else { Err(format!("{line}: answered {answer}")) }
}
