// SPDX-License-Identifier: GPL-2.0

//! Reading ksf's tables, and saying why they cannot be read.

use std::{
    fs,
    io::{
        self,
        ErrorKind, //
    },
    path::{
        Path,
        PathBuf, //
    },
    time::Instant, //
};

use anyhow::anyhow;

use crate::{
    record::Record,
    table::Table, //
};

/// Where ksf's tables are.
pub(crate) const DEFAULT_DIR: &str = "/sys/kernel/debug/ksf";

/// Where debugfs is.
const DEBUGFS: &str = "/sys/kernel/debug";

/// The directory that tables are read from.
#[derive(Debug)]
pub(crate) struct Source {
    dir: PathBuf,
}

/// A table as it was at one time.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Which table.
    pub(crate) table: Table,
    /// When it was read, by the monotonic clock.
    pub(crate) at: Instant,
    /// Its lines.
    pub(crate) records: Vec<Record>,
}

impl Source {
    /// Reads from `dir`.
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// Reads one table. One of a service that is not loaded has no lines: it may be loaded before the next read.
    pub(crate) fn read(&self, table: Table) -> anyhow::Result<Snapshot> {
        let path = self.dir.join(table.name());
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound && self.may_lack(table) => Vec::new(),
            result => result.map_err(|error| self.explain(&path, &error))?,
        };
        let at = Instant::now();
        let text = String::from_utf8_lossy(&bytes);
        let records = text.lines().map(Record::parse);
        Ok(Snapshot {
            table,
            at,
            records: records
                .filter(|record| *record != Record::default())
                .collect(),
        })
    }

    /// Whether a table may be missing where ksf's tables are.
    fn may_lack(&self, table: Table) -> bool {
        table.is_of_a_service() && self.dir.is_dir()
    }

    /// Says why `path` could not be read, and what helps.
    fn explain(&self, path: &Path, error: &io::Error) -> anyhow::Error {
        let path = path.display();
        let dir = self.dir.display();
        match error.kind() {
            ErrorKind::PermissionDenied => {
                anyhow!("cannot read {path}: {error}: debugfs is for root, run it with sudo")
            }
            ErrorKind::NotFound if self.dir.is_dir() => {
                anyhow!("there is no {path}: this ksf does not have that table")
            }
            ErrorKind::NotFound if self.dir != Path::new(DEFAULT_DIR) => {
                anyhow!("there is no directory {dir}")
            }
            ErrorKind::NotFound
                if is_debugfs_mounted(&fs::read_to_string("/proc/mounts").unwrap_or_default()) =>
            {
                anyhow!("ksf is not loaded: there is no {dir}")
            }
            ErrorKind::NotFound => {
                anyhow!("debugfs is not mounted: mount -t debugfs debugfs {DEBUGFS}")
            }
            _ => anyhow!("cannot read {path}: {error}"),
        }
    }
}

/// Returns whether debugfs is where it belongs, by the lines of `/proc/mounts`.
fn is_debugfs_mounted(mounts: &str) -> bool {
    mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(1);
        (fields.next(), fields.next()) == (Some(DEBUGFS), Some("debugfs"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debugfs_counts_only_where_it_belongs() {
        let proc = "proc /proc proc rw,nosuid 0 0\n";
        assert!(is_debugfs_mounted(&format!(
            "{proc}debugfs /sys/kernel/debug debugfs rw 0 0\n"
        )));
        assert!(!is_debugfs_mounted(proc));
        assert!(!is_debugfs_mounted("debugfs /mnt debugfs rw 0 0\n"));
        assert!(!is_debugfs_mounted(
            "tmpfs /sys/kernel/debug tmpfs rw 0 0\n"
        ));
    }

    #[test]
    fn what_may_not_be_read_needs_root() {
        let source = Source::new(Path::new(DEFAULT_DIR));
        let error = io::Error::from(ErrorKind::PermissionDenied);
        let path = source.dir.join("services");
        assert_eq!(
            source.explain(&path, &error).to_string(),
            "cannot read /sys/kernel/debug/ksf/services: permission denied: debugfs is for root, run it with sudo"
        );
    }
}
