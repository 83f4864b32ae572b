// SPDX-License-Identifier: GPL-2.0

//! A directory such as ksf's.

use std::{
    env,
    fs::{
        self,
        File,
        OpenOptions, //
    },
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    process,
    sync::atomic::{
        AtomicUsize,
        Ordering::SeqCst, //
    },
    thread,
    time::{
        Duration,
        Instant, //
    }, //
};

use rustix::fs::{
    mknodat,
    FileType,
    Mode,
    OFlags,
    CWD, //
};

/// How many directories this process has made.
static MADE: AtomicUsize = AtomicUsize::new(0);

/// A directory that lasts as long as this value.
pub(crate) struct Fixture {
    pub(crate) dir: PathBuf,
}

impl Fixture {
    /// An empty directory.
    pub(crate) fn new() -> Self {
        let number = MADE.fetch_add(1, SeqCst);
        let dir = env::temp_dir().join(format!("ksfstat-{}-{number}", process::id()));
        fs::create_dir(&dir).expect("there is a place for temporary files");
        Self { dir }
    }

    /// Adds a table.
    pub(crate) fn with(self, table: &str, text: &str) -> Self {
        fs::write(self.dir.join(table), text).unwrap();
        self
    }

    /// Adds a table that is read as often as it is [said](Self::say()).
    pub(crate) fn with_pipe(self, table: &str) -> Self {
        let path = self.dir.join(table);
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        self
    }

    /// Waits until somebody reads the pipe `table`, and says `text`, which is short.
    pub(crate) fn say(&self, table: &str, text: &str) {
        self.wait_for_reader(table)
            .write_all(text.as_bytes())
            .unwrap();
    }

    /// Opens a pipe when somebody else has opened it for reading.
    fn wait_for_reader(&self, table: &str) -> File {
        let started = Instant::now();
        loop {
            // Opened without this it would wait for ever for a ksfstat that has ended.
            let pipe = OpenOptions::new()
                .write(true)
                .custom_flags(OFlags::NONBLOCK.bits() as i32)
                .open(self.dir.join(table));
            match pipe {
                Ok(pipe) => return pipe,
                Err(error) if started.elapsed() > Duration::from_secs(60) => {
                    panic!("nobody reads {table}: {error}")
                }
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // What is left is left in the directory for temporary files.
        let _ = fs::remove_dir_all(&self.dir);
    }
}
