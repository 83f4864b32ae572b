// SPDX-License-Identifier: GPL-2.0

//! Where the commands of documents are run.

use std::{
    ffi::OsString,
    fs, io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use snapbox::{Assert, Data};

use crate::{shape, Example};

/// A directory in which the commands of a document are run, with the servers of the test in the place of its own.
#[derive(Clone, Debug)]
pub struct Stage {
    directory: PathBuf,
    path: OsString,
    hosts: Vec<(String, String)>,
    values: Vec<(String, String)>,
    /// Exit statuses that are as good as 0.
    statuses: Vec<i32>,
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The command, as it was run.
    pub command: String,
    /// Its exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// What it wrote to both outputs.
    pub output: String,
}

impl Stage {
    /// An empty directory, in which the shell finds the tool with this path before all others of its name.
    ///
    /// # Errors
    ///
    /// The directory cannot be emptied or made.
    pub fn new(directory: impl Into<PathBuf>, tool: &Path) -> io::Result<Self> {
        let directory = directory.into();
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;
        let mut path = OsString::from(&directory);
        path.push(":");
        path.push(tool.parent().unwrap_or(Path::new(".")));
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        Ok(Self {
            directory,
            path,
            hosts: Vec::new(),
            values: Vec::new(),
            statuses: Vec::new(),
        })
    }

    /// One for the documents of a load generator: with this server, with runs that are short, and with this host in the place
    /// of those that agents are started on.
    ///
    /// # Errors
    ///
    /// The directory cannot be emptied or made, or not be written.
    pub fn of_load_generator(
        directory: impl Into<PathBuf>,
        tool: &Path,
        server: SocketAddr,
    ) -> io::Result<Self> {
        let stage = Self::new(directory, tool)?
            .with_host("localhost", server)
            .with_host("server", server)
            .with_value("--duration", "200ms")
            .with_value("--until-ci", "100%")
            .with_value("--warmup", "50ms")
            .with_value("--cpus", "0")
            .with_value("--clients", "4")
            .with_value("--files", "2")
            // Whether a campaign finds its answer is not said here.
            .with_status(3);
        // The command is the last argument.
        stage.with_program("ssh", r#"for last; do :; done; eval "exec $last""#)
    }

    /// Where a command has `host`, or `host` and a port, it gets `address` instead.
    #[must_use]
    pub fn with_host(mut self, host: &str, address: impl ToString) -> Self {
        self.hosts.push((host.to_owned(), address.to_string()));
        self
    }

    /// Where a command has this option with a value, it gets this value instead: what the document has may take long.
    #[must_use]
    pub fn with_value(mut self, option: &str, value: &str) -> Self {
        self.values.push((option.to_owned(), value.to_owned()));
        self
    }

    /// Puts a shell script in the place of a program of the system.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn with_program(self, name: &str, script: &str) -> io::Result<Self> {
        let path = self.directory.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        Ok(self)
    }

    /// Where a command is to end with 0, it may end with this instead: whether it does depends on the machine.
    #[must_use]
    pub fn with_status(mut self, status: i32) -> Self {
        self.statuses.push(status);
        self
    }

    /// The command that is run for one of a document.
    fn command(&self, documented: &str) -> String {
        let mut command = String::new();
        let mut value = None;
        for word in documented.split_inclusive([' ', ',']) {
            let (bare, separator) = match word.strip_suffix([' ', ',']) {
                Some(bare) => word.split_at(bare.len()),
                None => (word, ""),
            };
            let bare = value.take().unwrap_or_else(|| self.word(bare, &mut value));
            command.push_str(&bare);
            command.push_str(separator);
        }
        command
    }

    /// What is run for a word, and for the word after it if that is different.
    fn word(&self, word: &str, next: &mut Option<String>) -> String {
        for (option, value) in &self.values {
            match word.strip_prefix(option) {
                Some("") => *next = Some(value.clone()),
                Some(rest) if rest.starts_with('=') => return format!("{option}={value}"),
                _ => {}
            }
        }
        for (host, address) in &self.hosts {
            let port = word.strip_prefix(host).map(|rest| rest.strip_prefix(':'));
            let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
            if word == host || port.flatten().is_some_and(is_port) {
                return address.clone();
            }
        }
        // It is found in the path.
        word.rsplit_once("release/")
            .map_or(word, |(_, tool)| tool)
            .to_owned()
    }

    /// Runs a command, under a limit of two minutes.
    ///
    /// # Panics
    ///
    /// There is no `timeout` of coreutils.
    pub fn run(&self, documented: &str) -> Outcome {
        let command = self.command(documented);
        let script = format!("exec 2>&1\n{command}");
        let child = Command::new("timeout")
            .args(["120", "sh", "-c", &script])
            .current_dir(&self.directory)
            .env("PATH", &self.path)
            .stdin(Stdio::null())
            .output();
        let output = child.expect("there is timeout, of coreutils");
        Outcome {
            command,
            status: output.status.code(),
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
        }
    }

    /// Runs an example, and compares its exit status and the shape of its output with what the document shows. There, a line
    /// `...` stands for any lines, and `[..]` for any part of a line.
    ///
    /// # Panics
    ///
    /// They differ.
    #[track_caller]
    pub fn check(&self, example: &Example) {
        let Outcome {
            command,
            status,
            output,
        } = self.run(&example.command);
        let place = &example.place;
        let is_as_good = |status| example.status == 0 && self.statuses.contains(&status);
        if !status.is_some_and(is_as_good) {
            assert_eq!(status, Some(example.status), "{place}: {command}\n{output}");
        }
        if let Some(documented) = &example.output {
            let (shown, printed) = (shape(documented), shape(&output));
            let compared =
                Assert::new().try_eq(Some(place), Data::text(printed), Data::text(shown));
            if let Err(difference) = compared {
                panic!("{place}: {command}\n{difference}\n{output}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str) -> Stage {
        let directory =
            std::env::temp_dir().join(format!("documented-{name}-{}", std::process::id()));
        Stage::new(directory, Path::new("/nowhere/tool")).unwrap()
    }

    impl Drop for Stage {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }

    fn example(command: &str, output: Option<&str>, status: i32) -> Example {
        Example {
            place: "README:1".to_owned(),
            command: command.to_owned(),
            output: output.map(str::to_owned),
            status,
        }
    }

    fn is_fine(stage: &Stage, example: &Example) -> bool {
        std::panic::catch_unwind(|| stage.check(example)).is_ok()
    }

    #[test]
    fn hosts_and_values_are_replaced_and_nothing_else() {
        let stage = stage("words")
            .with_host("server", "127.0.0.1:7")
            .with_host("other", "[::1]:8")
            .with_value("--duration", "100ms");
        for (documented, run) in [
            ("tool server", "tool 127.0.0.1:7"),
            (
                "tool compare server:60007 other",
                "tool compare 127.0.0.1:7 [::1]:8",
            ),
            (
                "tool --agents other,server x",
                "tool --agents [::1]:8,127.0.0.1:7 x",
            ),
            ("tool --duration 30s -c 5", "tool --duration 100ms -c 5"),
            (
                "tool --duration=30s servers",
                "tool --duration=100ms servers",
            ),
            ("sudo build/release/tool server:x", "sudo tool server:x"),
            ("tool --durations 30s", "tool --durations 30s"),
        ] {
            assert_eq!(stage.command(documented), run);
        }
    }

    #[test]
    fn a_command_may_read_what_another_one_wrote() {
        let stage = stage("files");
        stage.check(&example("echo 17 > figures", None, 0));
        stage.check(&example("cat figures; echo bad >&2", Some("3\nbad\n"), 0));
    }

    #[test]
    fn a_program_of_the_system_may_be_replaced() {
        let stage = stage("programs")
            .with_program("ssh", "echo $# to $1")
            .unwrap();
        stage.check(&example("ssh host", Some("1 to host\n"), 0));
    }

    #[test]
    fn a_status_may_be_as_good_as_0() {
        let stage = stage("statuses").with_status(3);
        stage.check(&example("exit 3", None, 0));
        stage.check(&example("true", None, 0));
        assert!(!is_fine(&stage, &example("exit 1", None, 0)));
        assert!(!is_fine(&stage, &example("exit 3", None, 1)));
    }

    #[test]
    fn another_status_or_another_shape_is_found() {
        let stage = stage("differences");
        for (command, output, status, fine) in [
            ("echo 17 lost", Some("3 lost\n"), 0, true),
            ("echo 17 late", Some("3 lost\n"), 0, false),
            ("echo 17 lost", Some("3 lost\n"), 1, false),
            ("echo 17 lost; exit 1", Some("3 lost\n"), 1, true),
            ("echo 17 lost; echo more", Some("3 lost\n"), 0, false),
            ("echo 17 lost; echo more", Some("3 lost\n...\n"), 0, true),
            ("echo kernel 7.3.4+deb", Some("kernel [..]\n"), 0, true),
            ("false", None, 0, false),
            ("no-such-tool", None, 0, false),
        ] {
            assert_eq!(
                is_fine(&stage, &example(command, output, status)),
                fine,
                "{command}"
            );
        }
    }
}
