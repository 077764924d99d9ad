//! A minimal pingora-proxy (benches/pingora-peer), plain HTTP only: the engine that was not chosen, measured again.

use super::{Contender, Setting, free, own_folder, words};
use crate::result::{Error, Result};

pub(super) fn start(setting: &Setting<'_>) -> Result<Contender> {
    if !setting.pingora.is_file() {
        return Err(Error::Unexpected(format!("{} is not built", setting.pingora.display())));
    }
    let folder = own_folder(setting, "pingora")?;
    let [plain] = free()?;
    let binary = setting.pingora.display().to_string();
    let command = words(&[&binary, &plain.to_string(), &setting.backend.to_string()]);
    Contender::spawn("pingora-proxy", &command, [plain, plain], &folder.join("log"))
}
