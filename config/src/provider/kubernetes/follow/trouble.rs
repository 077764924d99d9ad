//! What an error of a list or a watch means.

use kube::{Client, Error as ClientError, runtime::watcher};
use serde_json::Value;

use super::super::{
    definitions::{definitions, name_of},
    resource::Source,
};

/// Why following stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Trouble {
    /// The API has no such kind.
    Unknown,
    /// We may not list it.
    Forbidden(String),
    /// We may list it, and not watch it.
    Unwatched(String),
    /// Anything that time may heal.
    Passing(String),
}

impl Trouble {
    /// What an error means; `None`: the watch is merely too old and begins anew.
    pub(super) fn of(error: &watcher::Error) -> Option<Self> {
        let (is_watch, status) = match error {
            watcher::Error::WatchError(status) => (true, status),
            watcher::Error::InitialListFailed(ClientError::Api(status)) => (false, status),
            watcher::Error::WatchStartFailed(ClientError::Api(status))
            | watcher::Error::WatchFailed(ClientError::Api(status)) => (true, status),
            watcher::Error::InitialListFailed(other)
            | watcher::Error::WatchStartFailed(other)
            | watcher::Error::WatchFailed(other) => return Some(Self::Passing(chain(other))),
            watcher::Error::NoResourceVersion => return Some(Self::Passing(error.to_string())),
        };
        match status.code {
            410 => None,
            404 | 405 => Some(Self::Unknown),
            401 | 403 if is_watch => Some(Self::Unwatched(status.message.clone())),
            401 | 403 => Some(Self::Forbidden(status.message.clone())),
            _ => Some(Self::Passing(status.message.clone())),
        }
    }

    /// The same, after a second look at what the API has. A server that does not find a kind may only be starting, or have
    /// lost sight of it for a moment; one that refuses does not say whether there is such a kind at all.
    pub(super) async fn confirmed(self, client: &Client, source: &Source) -> Self {
        let doubted = matches!(self, Self::Unknown | Self::Forbidden(_));
        if !doubted || source.is_built_in() {
            return match self {
                // Every API server has it; who says otherwise is none.
                Self::Unknown => Self::Passing("the API server does not know it".to_owned()),
                other => other,
            };
        }
        match (presence(client, source).await, self) {
            (Presence::Absent, _) => Self::Unknown,
            (Presence::Present, Self::Unknown) => {
                Self::Passing("the kind is installed, and the API server does not find it".to_owned())
            }
            (Presence::Unclear(why), Self::Unknown) => {
                Self::Passing(format!("the API server does not find it, nor say whether it is installed: {why}"))
            }
            (_, other) => other,
        }
    }
}

/// Whether the API has a kind.
enum Presence {
    Present,
    Absent,
    Unclear(String),
}

/// Asks for the definition of the kind, or, where we may not see that, for what the API server serves.
async fn presence(client: &Client, source: &Source) -> Presence {
    match definitions(client.clone()).get_opt(&name_of(source.kind)).await {
        Ok(Some(definition)) if serves(&definition.data, source) => Presence::Present,
        Ok(_) => Presence::Absent,
        Err(ClientError::Api(status)) if matches!(status.code, 401 | 403) => served(client, source).await,
        Err(error) => Presence::Unclear(said(&error)),
    }
}

/// Whether a definition has a version of those that are read.
fn serves(definition: &Value, source: &Source) -> bool {
    let versions = definition.pointer("/spec/versions").and_then(Value::as_array);
    let is_read = |version: &Value| {
        let name = version.get("name").and_then(Value::as_str).unwrap_or_default();
        version.get("served") == Some(&Value::Bool(true)) && source.kind.versions().contains(&name)
    };
    versions.into_iter().flatten().any(is_read)
}

async fn served(client: &Client, source: &Source) -> Presence {
    for version in source.kind.versions() {
        let group = format!("{}/{version}", source.kind.group());
        match client.list_api_group_resources(&group).await {
            Ok(list) if list.resources.iter().any(|resource| resource.kind == source.kind.as_str()) => {
                return Presence::Present;
            }
            Ok(_) => {}
            Err(ClientError::Api(status)) if status.code == 404 => {}
            Err(error) => return Presence::Unclear(said(&error)),
        }
    }
    Presence::Absent
}

/// What an error of the API says, in one line.
pub(in super::super) fn said(error: &ClientError) -> String {
    match error {
        ClientError::Api(status) if status.message.is_empty() => format!("status {}", status.code),
        ClientError::Api(status) => status.message.clone(),
        other => chain(other),
    }
}

/// An error with what it was caused by, in one line.
pub(in super::super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let said = deeper.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = deeper.source();
    }
    text
}
