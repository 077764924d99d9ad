//! The floors (`crate::floor`) as contenders: this very program, asked for one of them.

use super::{Contender, Setting, free, own_folder, words};
use crate::result::{Context, Result};

pub(super) fn start(setting: &Setting<'_>, floor: &str) -> Result<Contender> {
    let name = format!("bare {floor}");
    let folder = own_folder(setting, &name)?;
    let [plain] = free()?;
    let program = std::env::current_exe().context("finding this program")?.display().to_string();
    let (bind, backend) = (plain.to_string(), setting.backend.to_string());
    let command = words(&[&program, "floor", floor, "--bind", &bind, "--backend", &backend]);
    Contender::spawn(&name, &command, [plain, plain], &folder.join("log"))
}
