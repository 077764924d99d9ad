//! The cluster's CustomResourceDefinitions: how they are looked up, and how absent ones are installed for
//! `postern crds install`. What to install is decided in [`crate::kubernetes::definition`].

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    time::Duration,
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, Error as ClientError,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams},
    runtime::wait::{await_condition, conditions::is_crd_established},
};
use serde_json::{Value, json};

use super::{ClusterError, client, follow::said, resource::preferred};
use crate::kubernetes::{
    definition::{Mark, Set, Todo, decide},
    object::Kind,
};

/// Who writes, in the eyes of server-side apply.
const WRITER: &str = "postern-crds";
/// An API server serves a new kind within a second or two.
const ESTABLISHED: Duration = Duration::from_secs(30);

/// The definitions of the cluster.
pub(super) fn definitions(client: Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    Api::all_with(client, &ApiResource::from_gvk(&kind))
}

/// The name of the definition of `kind`.
pub(super) fn name_of(kind: Kind) -> String {
    let resource = preferred(kind);
    format!("{}.{}", resource.plural, resource.group)
}

/// What became of one definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its name.
    pub name: String,
    /// What was decided.
    pub todo: Todo,
    /// What went wrong.
    pub trouble: Option<String>,
}

impl Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match (&self.trouble, &self.todo) {
            (Some(why), _) => write!(f, "{name}: {why}"),
            (None, Todo::Install) => write!(f, "{name}: installed"),
            (None, Todo::Upgrade(from)) => write!(f, "{name}: upgraded from {from}"),
            (None, Todo::Keep(why)) => write!(f, "{name}: kept, {why}"),
            (None, Todo::LeaveOut(why)) => write!(f, "{name}: not installed; {why}"),
        }
    }
}

impl Done {
    /// Whether the kind can be used now.
    pub fn is_there(&self) -> bool {
        self.trouble.is_none() && !matches!(self.todo, Todo::LeaveOut(_))
    }
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The operator's.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The operator's, or the cluster's.
    #[error("the CRDs of the cluster cannot be listed: {0}")]
    Unreadable(String),
}

/// Installs what is absent of `sets` in the cluster that the environment names; with `dry_run`, decides alone.
pub async fn install(sets: &[Set], dry_run: bool) -> Result<Vec<Done>, InstallError> {
    let client = client::connect().await?;
    let present = present(&client).await.map_err(|error| InstallError::Unreadable(said(&error)))?;
    let mut all = Vec::new();
    for set in sets {
        let definitions = set.definitions();
        let by_name: BTreeMap<&str, &Value> = definitions.iter().filter_map(|it| Some((name(it)?, it))).collect();
        let there = |name: &str| Some((name.to_owned(), present.get(name)?.clone()));
        let there = by_name.keys().filter_map(|name| there(name)).collect();
        for (name, todo) in decide(set, by_name.keys().copied(), &there) {
            let definition = by_name.get(name).filter(|_| !dry_run);
            let trouble = match definition {
                Some(definition) => carry_out(&client, set, definition, &todo).await.err(),
                None => None,
            };
            all.push(Done { name: name.to_owned(), todo, trouble });
        }
    }
    Ok(all)
}

async fn present(client: &Client) -> Result<BTreeMap<String, Mark>, ClientError> {
    let listed = definitions(client.clone()).list_metadata(&ListParams::default()).await?;
    let mark = |it: kube::core::PartialObjectMeta<DynamicObject>| {
        let (annotations, labels) =
            (it.metadata.annotations.unwrap_or_default(), it.metadata.labels.unwrap_or_default());
        Some((it.metadata.name?, Mark { annotations, labels }))
    };
    Ok(listed.items.into_iter().filter_map(mark).collect())
}

fn name(definition: &Value) -> Option<&str> {
    definition.pointer("/metadata/name").and_then(Value::as_str)
}

async fn carry_out(client: &Client, set: &Set, definition: &Value, todo: &Todo) -> Result<(), String> {
    let api = definitions(client.clone());
    let marked = marked(set, definition.clone());
    let name = name(definition).unwrap_or_default();
    let written = match todo {
        Todo::Keep(_) | Todo::LeaveOut(_) => return Ok(()),
        // Not applied: who comes in between is not to be overwritten.
        Todo::Install => {
            let object = serde_json::from_value(marked).map_err(|error| error.to_string())?;
            let params = PostParams { field_manager: Some(WRITER.to_owned()), ..PostParams::default() };
            api.create(&params, &object).await
        }
        Todo::Upgrade(_) => api.patch(name, &PatchParams::apply(WRITER), &Patch::Apply(&marked)).await,
    };
    written.map_err(|error| said(&error))?;
    established(client, name).await
}

fn marked(set: &Set, mut definition: Value) -> Value {
    let (key, value) = Mark::ours(set);
    if let Some(metadata) = definition.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        annotations.as_object_mut().into_iter().for_each(|all| drop(all.insert(key.to_owned(), value.into())));
    }
    definition
}

async fn established(client: &Client, name: &str) -> Result<(), String> {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    let waiting = await_condition(api, name, is_crd_established());
    match tokio::time::timeout(ESTABLISHED, waiting).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("installed, and whether it is served cannot be seen: {error}")),
        Err(_) => Err(format!("installed, and not served after {} seconds", ESTABLISHED.as_secs())),
    }
}
