//! Starts the workers' threads and hands work to them.

use std::{future::Future, pin::Pin, rc::Rc, sync::Arc, thread};

use tokio::{
    runtime::{Builder, LocalOptions},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use super::{Shared, Worker};
use crate::telemetry::access_log;

/// Something to do on a worker's thread.
type Task = Box<dyn FnOnce(Rc<Worker>) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// The running workers. Dropping it lets each worker end once its tasks have.
#[derive(Debug)]
pub struct Workers {
    threads: Vec<Thread>,
}

#[derive(Debug)]
struct Thread {
    tasks: UnboundedSender<Task>,
    thread: thread::JoinHandle<()>,
}

/// Hands work to one worker; cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct WorkerHandle {
    tasks: UnboundedSender<Task>,
}

impl WorkerHandle {
    /// Runs `task` on the worker, beside what runs there. Nothing happens when the worker has ended.
    pub fn spawn<F, R>(&self, task: F)
    where
        F: FnOnce(Rc<Worker>) -> R + Send + 'static,
        R: Future<Output = ()> + 'static,
    {
        let task: Task = Box::new(|worker| Box::pin(task(worker)));
        // A closed channel means that the process is on its way out.
        drop(self.tasks.send(task));
    }
}

impl Workers {
    /// Starts one thread per queue of `access_logs`.
    pub fn start(shared: &Arc<Shared>, access_logs: Vec<access_log::Queue>) -> std::io::Result<Self> {
        let threads =
            access_logs.into_iter().enumerate().map(|(index, queue)| Thread::start(index, shared.clone(), queue));
        Ok(Self { threads: threads.collect::<Result<_, _>>()? })
    }

    /// One handle per worker, in order.
    pub fn handles(&self) -> Vec<WorkerHandle> {
        self.threads.iter().map(|thread| WorkerHandle { tasks: thread.tasks.clone() }).collect()
    }

    /// Waits until every worker has run out of tasks. Handles that are still held keep workers alive.
    pub fn join(self) {
        for Thread { tasks, thread } in self.threads {
            drop(tasks);
            if thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
    }
}

impl Thread {
    fn start(index: usize, shared: Arc<Shared>, queue: access_log::Queue) -> std::io::Result<Self> {
        let (tasks, receiver) = unbounded_channel();
        let (built, result) = std::sync::mpsc::sync_channel(1);
        let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            // A local runtime polls its tasks itself: a `LocalSet` would put a second queue in between.
            let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            let (runtime, outcome) = match runtime {
                Ok(runtime) => (Some(runtime), Ok(())),
                Err(error) => (None, Err(error)),
            };
            drop(built.send(outcome));
            if let Some(runtime) = runtime {
                let worker = Rc::new(Worker::new(index, shared, queue));
                runtime.block_on(take_tasks(receiver, worker));
            }
            // What is still running once the channel has closed is dropped: draining was over before.
        })?;
        result.recv().map_err(std::io::Error::other)??;
        Ok(Self { tasks, thread })
    }
}

async fn take_tasks(mut tasks: UnboundedReceiver<Task>, worker: Rc<Worker>) {
    while let Some(task) = tasks.recv().await {
        tokio::task::spawn_local(task(worker.clone()));
    }
}
