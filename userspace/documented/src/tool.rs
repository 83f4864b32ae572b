// SPDX-License-Identifier: GPL-2.0

//! A load generator, run as its users run it, and what it says.

use std::process::{Command, Output, Stdio};

/// A load generator.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    name: &'static str,
    path: &'static str,
    requests: &'static str,
    /// By which words it is run.
    command: &'static [&'static str],
}

/// What a load generator did.
#[derive(Clone, Debug)]
pub struct Run {
    /// Which one it was.
    pub tool: Tool,
    /// Its exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// What it wrote to standard output.
    pub out: String,
    /// What it wrote to standard error, but for warnings: those depend on how fast the machine is.
    pub err: String,
    /// Its warnings on standard error.
    pub warnings: Vec<String>,
}

/// What became of the requests of all runs, as the line below the table says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are what the line calls them")]
pub struct Ledger {
    pub scheduled: u64,
    pub sent: u64,
    pub skipped: u64,
    pub answered: u64,
    pub late: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub mismatched: u64,
}

impl Tool {
    /// The one with this name, at this path, which calls its requests so, in the plural.
    pub const fn new(name: &'static str, path: &'static str, requests: &'static str) -> Self {
        Self {
            name,
            path,
            requests,
            command: &[],
        }
    }

    /// The same, as a subcommand of a program: these words run it.
    #[must_use]
    pub const fn run_by(self, command: &'static [&'static str]) -> Self {
        Self { command, ..self }
    }

    /// The words by which it is run.
    pub fn command_words(&self) -> String {
        match self.command {
            [] => self.name.to_owned(),
            words => words.join(" "),
        }
    }

    /// What it is called.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where it is.
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// A command without arguments, under a limit of time: one that hangs is ended, with status 124.
    pub fn command(&self) -> Command {
        let mut command = Command::new("timeout");
        command.args(["60", self.path]);
        command.args(self.command.iter().skip(1));
        command
    }

    /// Runs it with these arguments, separated by spaces.
    pub fn run(&self, arguments: &str) -> Run {
        let mut command = self.command();
        self.run_command(command.args(arguments.split_whitespace()))
    }

    /// Runs a command of it, with nothing to be read.
    ///
    /// # Panics
    ///
    /// There is no `timeout` of coreutils.
    pub fn run_command(&self, command: &mut Command) -> Run {
        let child = command.stdin(Stdio::null()).output();
        self.finished(child.expect("timeout, of coreutils, is there"))
    }

    /// What a command of it did.
    ///
    /// # Panics
    ///
    /// It did not write text.
    pub fn finished(&self, output: Output) -> Run {
        let text = |bytes| String::from_utf8(bytes).expect("a load generator writes UTF-8");
        let is_warning = |line: &&str| {
            let said = line.strip_prefix(self.name);
            said.is_some_and(|said| said.starts_with(": warning: "))
        };
        let err = text(output.stderr);
        let (warnings, others): (Vec<_>, Vec<_>) = err.split_inclusive('\n').partition(is_warning);
        Run {
            tool: *self,
            status: output.status.code(),
            out: text(output.stdout),
            err: others.concat(),
            warnings: warnings.into_iter().map(str::to_owned).collect(),
        }
    }
}

impl Ledger {
    /// Of so many requests, all of which were answered.
    pub fn clean(requests: u64) -> Self {
        Self {
            scheduled: requests,
            sent: requests,
            answered: requests,
            ..Self::default()
        }
    }

    /// Reads `10 scheduled = 8 sent + 2 skipped; sent = …`, over as many lines as it takes.
    pub fn parse(text: &str) -> Option<Self> {
        let words: Vec<_> = text.split_whitespace().collect();
        let count = |name: &str| {
            let place = words
                .iter()
                .position(|word| word.trim_end_matches([',', ';']) == name)?;
            words[place.checked_sub(1)?].replace(',', "").parse().ok()
        };
        Some(Self {
            scheduled: count("scheduled")?,
            sent: count("sent")?,
            skipped: count("skipped")?,
            answered: count("answered")?,
            late: count("late")?,
            lost: count("lost")?,
            duplicated: count("duplicated")?,
            reordered: count("reordered")?,
            mismatched: count("mismatched")?,
        })
    }
}

impl Run {
    /// The first two cells of each row: the run, and how many requests were answered.
    pub fn rows(&self) -> Vec<(&str, u64)> {
        fn cells(line: &str) -> Option<(&str, u64)> {
            let mut cells = line.split_whitespace();
            let label = cells.next()?;
            let is_row = label == "all" || label.parse::<u64>().is_ok();
            Some((label, cells.next()?.parse().ok()?)).filter(|_| is_row)
        }
        self.out.lines().filter_map(cells).collect()
    }

    /// What became of the requests of all runs, but for their warm-ups.
    ///
    /// # Panics
    ///
    /// It does not say so.
    #[track_caller]
    pub fn ledger(&self) -> Ledger {
        let label = format!("\n{} ", self.tool.requests);
        let ledger = self.out.split(&label).nth(1).and_then(Ledger::parse);
        ledger.unwrap_or_else(|| panic!("{}", self.out))
    }

    /// The numbers of the first row; not a number where there is none.
    pub fn figures(&self) -> Vec<f64> {
        let is_row = |line: &&str| {
            let mut cells = line.split_whitespace();
            cells.next() == Some("1")
                && cells.all(|cell| cell == "n/a" || cell.parse::<f64>().is_ok())
        };
        let row = self.out.lines().find(is_row).unwrap_or_default();
        let cells = row.split_whitespace();
        cells.map(|cell| cell.parse().unwrap_or(f64::NAN)).collect()
    }

    /// Checks that all is well: these rows, and nothing to complain about.
    ///
    /// # Panics
    ///
    /// It is not.
    #[track_caller]
    pub fn assert_good(&self, rows: &[(&str, u64)]) {
        assert_eq!(
            (self.status, self.err.as_str()),
            (Some(0), ""),
            "{}",
            self.out
        );
        assert_eq!(self.rows(), rows, "{}", self.out);
    }

    /// Checks that it failed with this one line.
    ///
    /// # Panics
    ///
    /// It did not.
    #[track_caller]
    pub fn assert_failed(&self, line: &str) {
        assert_eq!(
            self.err,
            format!("{}: {line}\n", self.tool.name),
            "{}",
            self.out
        );
        assert_eq!(self.status, Some(1), "{}", self.out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str) -> Run {
        let tool = Tool::new("tool", "/nowhere/tool", "requests");
        tool.run_command(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn warnings_are_no_complaints() {
        let run = run("printf 'tool: warning: a\\ntool: b\\n' >&2; printf 'tool: warning: c' >&2");
        assert_eq!(run.err, "tool: b\n");
        assert_eq!(run.warnings, ["tool: warning: a\n", "tool: warning: c"]);
        assert_eq!((run.status, &run.out[..]), (Some(0), ""));
    }

    #[test]
    fn rows_and_the_ledger_are_read_from_the_table() {
        let run = run("cat <<-END
              run messages seconds
                1      100     0.5 n/a
              all      200     1.0
            requests    1,002 scheduled = 1,001 sent + 1 skipped; sent = 1,000 answered +
                        0 late + 1 lost; 2 duplicated, 3 reordered, 4 mismatched
            END");
        assert_eq!(run.rows(), [("1", 100), ("all", 200)]);
        let expected = Ledger {
            scheduled: 1_002,
            sent: 1_001,
            skipped: 1,
            answered: 1_000,
            late: 0,
            lost: 1,
            duplicated: 2,
            reordered: 3,
            mismatched: 4,
        };
        let text = run.out.replace("            requests", "requests");
        let run = Run { out: text, ..run };
        assert_eq!(run.ledger(), expected);
        assert_eq!(run.figures()[..3], [1.0, 100.0, 0.5]);
        assert!(run.figures()[3].is_nan());
    }
}
