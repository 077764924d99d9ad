//! The way from a request to what the process says of itself. Whoever builds a node sets it once; the answers are made on
//! the offload pool, since they may be long.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, Uri};
use http_body_util::Full;
use postern_config::model::internal::Internal;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Answers that are made at a time; who asks for more is told to come again.
const AT_ONCE: usize = 4;

/// Makes an answer; `None` when the node has ended.
pub type Ask = Box<dyn Fn(Internal, &Method, &Uri, &HeaderMap) -> Option<Response<Full<Bytes>>> + Send + Sync>;

/// Who answers for internal services.
pub struct Inside {
    ask: OnceLock<Ask>,
    places: Arc<Semaphore>,
}

impl Inside {
    /// Sets who answers; the first one stays.
    pub fn set(&self, ask: Ask) {
        let _first_stays = self.ask.set(ask);
    }

    /// A place to make an answer in, if one is free.
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_owned().ok()
    }

    /// The answer; `None` while nobody answers.
    pub fn ask(
        &self,
        service: Internal,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Option<Response<Full<Bytes>>> {
        self.ask.get()?(service, method, uri, headers)
    }
}

impl Default for Inside {
    fn default() -> Self {
        Self { ask: OnceLock::new(), places: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inside").field("set", &self.ask.get().is_some()).finish_non_exhaustive()
    }
}
