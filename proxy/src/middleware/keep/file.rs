//! Files without a name in the directory for temporary files (`TMPDIR`), for what of a body does not fit into memory.
//! They are gone with the last who reads them, whatever becomes of the process. Disks block, so all is done off the
//! workers.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use rustix::fs::{CWD, Mode, OFlags, openat};
use tokio::{runtime::Handle, task::JoinHandle};

/// Written at once.
const WRITE: usize = 256 * 1024;
/// Read at once.
const READ: usize = 64 * 1024;

/// A file under way.
#[derive(Debug)]
pub(super) struct Spilled {
    file: Arc<File>,
    /// Bytes in the file.
    written: u64,
    /// Not yet there.
    pending: BytesMut,
}

impl Spilled {
    pub(super) async fn create(offload: &Handle) -> io::Result<Self> {
        let file = joined(offload.spawn_blocking(nameless)).await?;
        Ok(Self { file: Arc::new(file), written: 0, pending: BytesMut::new() })
    }

    pub(super) async fn push(&mut self, data: Bytes, offload: &Handle) -> io::Result<()> {
        self.pending.extend_from_slice(&data);
        if self.pending.len() < WRITE {
            return Ok(());
        }
        self.flush(offload).await
    }

    pub(super) async fn flush(&mut self, offload: &Handle) -> io::Result<()> {
        let data = self.pending.split().freeze();
        let (file, at, length) = (self.file.clone(), self.written, data.len());
        joined(offload.spawn_blocking(move || file.write_all_at(&data, at))).await?;
        self.written += length as u64;
        Ok(())
    }

    /// All that was flushed.
    pub(super) fn read(&self, offload: &Handle) -> Reading {
        Reading { file: self.file.clone(), at: 0, end: self.written, under_way: None, offload: offload.clone() }
    }
}

/// A file that is being read.
pub(super) struct Reading {
    file: Arc<File>,
    at: u64,
    end: u64,
    under_way: Option<JoinHandle<io::Result<Bytes>>>,
    offload: Handle,
}

impl Reading {
    /// Bytes that were not yet read.
    pub(super) fn left(&self) -> u64 {
        self.end - self.at
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left() == 0 {
            return Poll::Ready(None);
        }
        let (file, at) = (&self.file, self.at);
        let length = usize::try_from(self.end - at).unwrap_or(READ).min(READ);
        let offload = &self.offload;
        let task = self.under_way.get_or_insert_with(|| {
            let file = file.clone();
            offload.spawn_blocking(move || piece(&file, at, length))
        });
        let read = ready!(Pin::new(task).poll(cx)).unwrap_or_else(|error| Err(io::Error::other(error)));
        self.under_way = None;
        self.at += read.as_ref().map_or(self.end - at, |data| data.len() as u64);
        Poll::Ready(Some(read))
    }
}

fn nameless() -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(openat(CWD, std::env::temp_dir(), flags, Mode::RUSR | Mode::WUSR)?.into())
}

fn piece(file: &File, at: u64, length: usize) -> io::Result<Bytes> {
    let mut data = vec![0; length];
    file.read_exact_at(&mut data, at)?;
    Ok(data.into())
}

async fn joined<T>(task: JoinHandle<io::Result<T>>) -> io::Result<T> {
    task.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
