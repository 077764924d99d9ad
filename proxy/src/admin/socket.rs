//! A Unix socket with a path: nobody but our own user may connect, and the path is free again when we stop.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;

/// A listening socket and the file that names it, which is removed when this is dropped.
#[derive(Debug)]
pub(super) struct SocketFile {
    listener: UnixListener,
    path: PathBuf,
    /// Device and number: the path may be somebody else's by the time we stop.
    inode: (u64, u64),
}

impl SocketFile {
    /// Listens at `path`. A socket that is there is replaced, whether it was left by a process that was killed or belongs
    /// to a predecessor that drains; any other file is left alone, and refused.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        refuse_other_files(path)?;
        // Made aside and then moved, so that the path always leads to somebody who listens.
        let mut aside = path.as_os_str().to_owned();
        aside.push(".new");
        let aside = PathBuf::from(aside);
        refuse_other_files(&aside)?;
        let _absent = fs::remove_file(&aside);
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        // The file takes its mode from the socket: at no moment may others connect.
        fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        socket.bind(&SockAddr::unix(&aside)?)?;
        socket.listen(BACKLOG)?;
        let inode = inode(&aside)?;
        fs::rename(&aside, path)?;
        Ok(Self { listener: UnixListener::from_std(socket.into())?, path: path.to_owned(), inode })
    }

    /// The listening socket.
    pub(super) fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if inode(&self.path).is_ok_and(|there| there == self.inode) {
            let _gone = fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|data| (data.dev(), data.ino()))
}

fn refuse_other_files(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(data) if !data.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket is there"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::PermissionsExt as _, net::UnixStream};

    use super::*;

    #[tokio::test]
    async fn the_file_is_ours_alone_and_gone_after_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("admin.sock");
        let socket = SocketFile::bind(&path).expect("bound");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        UnixStream::connect(&path).expect("somebody listens");
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_that_was_left_is_replaced_and_a_file_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
        assert!(UnixStream::connect(&path).is_err(), "left behind");
        let socket = SocketFile::bind(&path).expect("bound");
        UnixStream::connect(&path).expect("somebody listens");
        drop(socket);
        fs::write(&path, "precious").expect("written");
        assert_eq!(SocketFile::bind(&path).expect_err("refused").kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).expect("kept"), "precious");
    }

    #[tokio::test]
    async fn a_successor_takes_the_path_over_and_keeps_it_when_the_first_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("admin.sock");
        let first = SocketFile::bind(&path).expect("bound");
        let second = SocketFile::bind(&path).expect("bound");
        drop(first);
        UnixStream::connect(&path).expect("the second listens");
        drop(second);
        assert!(!path.exists());
    }
}
