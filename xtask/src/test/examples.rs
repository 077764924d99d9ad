//! Each folder of examples/ is accepted as it is by `postern check`.

use crate::{
    step::Outcome,
    workspace::{debug_binary, output, program, root},
};

/// The step. Folders named `later` inside an example hold what is not carried yet and are not read.
pub(super) fn run() -> Result<Outcome, String> {
    let folder = root().join("examples");
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut examples: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
    examples.sort();
    if examples.is_empty() {
        return Err(format!("{} holds no example", folder.display()));
    }
    for example in &examples {
        let manifests = example.join("manifests");
        let checked = if manifests.is_dir() { &manifests } else { example };
        let mut check = program(debug_binary("postern"), &["check"]);
        let settings = example.join("postern.yaml");
        if settings.is_file() {
            check.arg("--config").arg(&settings);
        }
        output(check.arg(checked))?;
        println!("accepted: {}", checked.strip_prefix(root()).unwrap_or(checked).display());
    }
    Ok(Outcome::Passed)
}
