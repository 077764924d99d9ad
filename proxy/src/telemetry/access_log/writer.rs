//! The thread that writes lines: drains the queues of all workers in turn, gives buffers back, sleeps when there is
//! nothing to do, reopens the file when told to (after a rotation).

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread::{JoinHandle, Thread},
    time::Duration,
};

use crossbeam_queue::ArrayQueue;

use super::{Channel, Queue};
use crate::settings::access_log::{Shape, Target};

/// Buffers larger than this are not recycled: one monstrous request must not pin its size for ever.
const MAX_SPARE_BYTES: usize = 16 * 1024;
/// A worker that misses the sleeping writer by a hair is served at the next round.
const NAP: Duration = Duration::from_millis(200);

/// Why the log cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriterError {
    /// The operator's file.
    #[error("access-log.file: cannot open {}: {source}; make its directory and let the process write there", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system.
    #[error("cannot start the thread that writes the access log: {0}")]
    Thread(#[from] io::Error),
}

/// The running writer. Dropping it writes what is queued and ends the thread.
#[derive(Debug)]
pub struct Writer {
    channels: Vec<Arc<Channel>>,
    flags: Arc<Flags>,
    thread: Option<JoinHandle<()>>,
}

/// Tells a writer to open its file anew.
#[derive(Clone, Debug)]
pub struct Reopener {
    flags: Arc<Flags>,
    thread: Option<Thread>,
}

impl Reopener {
    /// After the file was rotated. Nothing happens for standard output.
    pub fn reopen(&self) {
        self.flags.reopen.store(true, Relaxed);
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}

#[derive(Debug, Default)]
struct Flags {
    stop: AtomicBool,
    reopen: AtomicBool,
}

/// Where lines go.
enum Sink {
    Stdout(io::Stdout),
    File {
        path: PathBuf,
        file: File,
    },
    #[cfg(test)]
    Memory(Arc<std::sync::Mutex<Vec<u8>>>),
}

impl Writer {
    pub(super) fn start(
        target: &Target,
        shape: &Arc<Shape>,
        capacity: usize,
        workers: usize,
    ) -> Result<Self, WriterError> {
        Ok(Self::run(Sink::open(target)?, shape, capacity, workers)?)
    }

    #[cfg(test)]
    pub(super) fn start_in_memory(
        memory: Arc<std::sync::Mutex<Vec<u8>>>,
        shape: &Arc<Shape>,
        workers: usize,
    ) -> Result<Self, WriterError> {
        Ok(Self::run(Sink::Memory(memory), shape, 64, workers)?)
    }

    /// The thread starts without channels, since these need its handle; it gets them at once by a message.
    fn run(mut sink: Sink, shape: &Arc<Shape>, capacity: usize, workers: usize) -> io::Result<Self> {
        let flags = Arc::new(Flags::default());
        let asleep = Arc::new(AtomicBool::default());
        let (hand_over, taken) = mpsc::channel::<Vec<Arc<Channel>>>();
        let thread = std::thread::Builder::new().name("access-log".into()).spawn({
            let (flags, asleep) = (flags.clone(), asleep.clone());
            move || {
                let channels = taken.recv().unwrap_or_default();
                write_until_stopped(&mut sink, &channels, &flags, &asleep);
            }
        })?;
        let channel = || Channel {
            shape: shape.clone(),
            lines: ArrayQueue::new(capacity.max(1)),
            spare: ArrayQueue::new(capacity.max(1)),
            asleep: asleep.clone(),
            writer: thread.thread().clone(),
        };
        let channels: Vec<_> = std::iter::repeat_with(|| Arc::new(channel())).take(workers).collect();
        // The thread cannot have ended: it waits for this message.
        let _received = hand_over.send(channels.clone());
        Ok(Self { channels, flags, thread: Some(thread) })
    }

    /// A queue for each worker.
    pub fn queues(&self) -> Vec<Queue> {
        self.channels.iter().map(|channel| Queue(Some(channel.clone()))).collect()
    }

    /// What tells this writer to open its file anew.
    pub fn reopener(&self) -> Reopener {
        let thread = self.thread.as_ref().map(|thread| thread.thread().clone());
        Reopener { flags: self.flags.clone(), thread }
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.flags.stop.store(true, Relaxed);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // A panic of the writer has been reported by the panic hook; there is nothing to add.
            let _ended = thread.join();
        }
    }
}

fn write_until_stopped(sink: &mut Sink, channels: &[Arc<Channel>], flags: &Flags, asleep: &AtomicBool) {
    let mut batch = Vec::with_capacity(64 * 1024);
    loop {
        let stop = flags.stop.load(Relaxed);
        if flags.reopen.swap(false, Relaxed) {
            sink.reopen();
        }
        while drain(channels, &mut batch) {
            sink.write(&batch);
            batch.clear();
        }
        if stop {
            return;
        }
        asleep.store(true, Relaxed);
        if channels.iter().all(|channel| channel.lines.is_empty()) {
            std::thread::park_timeout(NAP);
        }
        asleep.store(false, Relaxed);
    }
}

/// Moves what is queued, up to a batch, to `batch`; whether there was anything.
fn drain(channels: &[Arc<Channel>], batch: &mut Vec<u8>) -> bool {
    for channel in channels {
        for line in std::iter::from_fn(|| channel.lines.pop()).take(256) {
            batch.extend_from_slice(&line);
            if line.capacity() <= MAX_SPARE_BYTES {
                // Full means that enough spare buffers are at hand.
                let _full = channel.spare.push(line);
            }
        }
    }
    !batch.is_empty()
}

impl Sink {
    fn open(target: &Target) -> Result<Self, WriterError> {
        match target {
            Target::Stdout => Ok(Self::Stdout(io::stdout())),
            Target::File(path) => match append_to(path) {
                Ok(file) => Ok(Self::File { path: path.clone(), file }),
                Err(source) => Err(WriterError::Open { path: path.clone(), source }),
            },
        }
    }

    fn write(&mut self, lines: &[u8]) {
        let written = match self {
            Self::Stdout(out) => out.write_all(lines).and_then(|()| out.flush()),
            Self::File { file, .. } => file.write_all(lines),
            #[cfg(test)]
            Self::Memory(memory) => {
                memory.lock().map(|mut all| all.extend_from_slice(lines)).map_err(|_| io::Error::other("poisoned"))
            }
        };
        if let Err(error) = written {
            tracing::error!(%error, "cannot write the access log; lines are lost");
        }
    }

    /// On failure the old file is kept: lines in a rotated file are better than none.
    fn reopen(&mut self) {
        if let Self::File { path, file } = self {
            match append_to(path) {
                Ok(new) => *file = new,
                Err(error) => tracing::error!(path = %path.display(), %error, "cannot reopen the access log"),
            }
        }
    }
}

fn append_to(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}
