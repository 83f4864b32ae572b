// SPDX-License-Identifier: GPL-2.0

//! Completions for shells, and the manual page: both made from the definitions of the options.

use std::io;

use clap::{Arg, Args, Command, Subcommand};
use clap_complete::Shell;
use roff::{bold, italic, roman, Roff};

use crate::report::ksf;

/// What a load generator's manual says of it alone.
#[derive(Clone, Copy, Debug)]
pub struct Manual {
    /// What it does, a paragraph each.
    pub description: &'static [&'static str],
    /// How it is used.
    pub examples: &'static [Example],
    /// Other pages, with their sections.
    pub see_also: &'static [(&'static str, u8)],
}

/// A command line, and what it is for.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// The whole line.
    pub command: &'static str,
    /// What it does.
    pub what: &'static str,
}

/// The subcommands by which a tool describes itself.
#[derive(Clone, Debug, Subcommand)]
pub enum Describe {
    /// Print the completions for a shell
    Completions(Completions),
    /// Print the manual page, for man -l -
    Man,
}

/// The options of completions.
#[derive(Clone, Copy, Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

impl Describe {
    /// What is to be printed, for a tool with this command line and this manual.
    pub fn text(&self, command: &Command, manual: &Manual) -> String {
        match self {
            Self::Completions(completions) => shell_completions(command, completions.shell),
            Self::Man => man_page(command, manual),
        }
    }
}

/// The completions of a command for a shell.
pub fn shell_completions(command: &Command, shell: Shell) -> String {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command.clone(), name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The manual page of a command, in section 1. It is the same wherever and whenever it is made.
pub fn man_page(command: &Command, manual: &Manual) -> String {
    let mut page = Vec::new();
    // Writing to memory never fails.
    let _ = render(command, manual, &mut page);
    titled(command, &page)
}

/// The manual page of a program whose subcommands have pages of their own, in section 1.
pub fn overview_page(command: &Command, manual: &Manual) -> String {
    let mut page = Vec::new();
    // Writing to memory never fails.
    let _ = render_overview(command, manual, &mut page);
    titled(command, &page)
}

/// A page with its title.
fn titled(command: &Command, page: &[u8]) -> String {
    // Each section comes with the same definition of an apostrophe.
    let page = String::from_utf8_lossy(page).replace(APOSTROPHE, "");
    let name = command.get_display_name().unwrap_or(command.get_name());
    let version = command.get_version().unwrap_or_default();
    // There is no date: the page is the same whenever it is made.
    let title = format!(
        ".TH {} 1 \"\" \"ksf {version}\" \"Load generators of ksf\"",
        name.to_uppercase()
    );
    format!(".\\\" SPDX-License-Identifier: GPL-2.0\n.\\\" Made by: make man\n{APOSTROPHE}{title}\n{page}")
}

/// What the roff crate begins each part with.
const APOSTROPHE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

const HOW_IT_MEASURES: &[&str] = &[
    "Every reply is verified, in every mode, and accounted for: what was scheduled is what was sent and what was \
     skipped, and what was sent is what was answered, what came late and what was lost. Lines below the table, \
     or the JSON document, show that this adds up.",
    "Closed loop, which is what there is without --rate: a request is sent when a reply has made room for it. A server that \
     stalls also delays the requests that would have met the stall, so that the tail looks better than users would find it \
     (coordinated omission). Closed loop tells how fast a server is at its best, and is not corrected, because what did not \
     happen cannot be measured.",
    "Open loop, with --rate: a request is sent when it is due, whatever became of those before it. The response latency \
     counts from when the request was intended to be sent, the service latency below it from when it was sent indeed. If as \
     many as allowed wait for their reply, a request that is due is skipped and counted.",
    "Latencies are kept in HDR histograms of three digits, from a nanosecond to a minute, of each thread; they are merged, and \
     never averaged. A percentile is n/a if there are too few latencies to bound it with 95 % confidence: 368 are needed for \
     p99, 3,688 for p99.9 and 36,887 for p99.99. Rates are of the time in which all threads were active.",
    "Requests of one run share its connections and its luck. So intervals are over runs, each with connections of its own: \
     the bootstrap draws runs, which takes five at least. Its intervals are nominally of 95 %; of few runs they are narrower \
     than that: where runs differ by more than the requests in them, 92 to 95 % of those of the median and the rate hold the \
     true figure, and of those of p99 about 82 % with 5 runs, 88 % with 10 and 92 % with 20. A comparison has three of them, \
     so that about one in seven of servers that are alike has a verdict by chance.",
    "Warnings tell when the client was the limit and not the server, when a run was not steady, and when rate and latency \
     contradict each other by Little's law. They are below the table and in the JSON document; with -H, with --ksf and with \
     --json to standard output, they are on standard error.",
    "Progress is shown on standard error: in place if that is a terminal, and else by a line a minute of runs that may take \
     longer.",
    "SIGINT and SIGTERM end the run, and all that was measured is reported; a second one ends the process.",
];

const EXIT_STATUS: &[(&str, &str)] = &[
    (
        "0",
        "Everything that was sent was answered, rightly and in time (of a search: at the rates that keep the objective), and \
         the question has an answer.",
    ),
    (
        "1",
        "Something was lost, late or wrong, a connection failed, or there was no run. All that was measured is reported \
         nevertheless.",
    ),
    ("2", "The command line is wrong."),
    (
        "3",
        "All was answered, but the question is not: a search knows no rate that keeps the objective, intervals are not narrow \
         enough after as many runs as are allowed, or a comparison cannot tell anything.",
    ),
];

fn render(command: &Command, manual: &Manual, out: &mut Vec<u8>) -> io::Result<()> {
    let mut command = command.clone().disable_help_subcommand(true);
    command.build();
    let usage = command.render_usage().to_string();
    let man = clap_mangen::Man::new(command.clone());
    man.render_name_section(out)?;
    synopsis(&usage).to_writer(out)?;
    paragraphs("DESCRIPTION", manual.description).to_writer(out)?;
    paragraphs("HOW IT MEASURES", HOW_IT_MEASURES).to_writer(out)?;
    man.render_options_section(out)?;
    commands(&command).to_writer(out)?;
    if let Some(notes) = command.get_after_help() {
        let notes = notes.to_string();
        let notes: Vec<_> = notes.split("\n\n").collect();
        paragraphs("NOTES", &notes).to_writer(out)?;
    }
    if command
        .get_arguments()
        .any(|arg| arg.get_long() == Some("ksf"))
    {
        let mut section = paragraphs(
            "COLUMNS OF KSF",
            &["With --ksf, columns have the names that ksf's own tool gave them."],
        );
        definitions(&mut section, &ksf::DIFFERENCES);
        section.to_writer(out)?;
    }
    let mut status = heading("EXIT STATUS");
    definitions(&mut status, EXIT_STATUS);
    status.to_writer(out)?;
    files(&command).to_writer(out)?;
    examples(manual).to_writer(out)?;
    see_also(manual).to_writer(out)
}

fn render_overview(command: &Command, manual: &Manual, out: &mut Vec<u8>) -> io::Result<()> {
    let mut command = command.clone();
    command.build();
    let usage = command.render_usage().to_string();
    clap_mangen::Man::new(command.clone()).render_name_section(out)?;
    synopsis(&usage).to_writer(out)?;
    paragraphs("DESCRIPTION", manual.description).to_writer(out)?;
    let mut commands = heading("COMMANDS");
    for subcommand in command.get_subcommands() {
        commands.control("TP", []);
        commands.text([bold(subcommand.get_name())]);
        commands.text([roman(about(subcommand.get_about()))]);
    }
    commands.to_writer(out)?;
    examples(manual).to_writer(out)?;
    see_also(manual).to_writer(out)
}

fn heading(title: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [title]);
    roff
}

fn paragraphs(title: &str, paragraphs: &[&str]) -> Roff {
    let mut roff = heading(title);
    for paragraph in paragraphs {
        roff.control("PP", []);
        roff.text([roman(
            paragraph.split_whitespace().collect::<Vec<_>>().join(" "),
        )]);
    }
    roff
}

fn definitions(roff: &mut Roff, terms: &[(&str, &str)]) {
    for (term, text) in terms {
        roff.control("TP", []);
        roff.text([bold(*term)]);
        roff.text([roman(*text)]);
    }
}

fn synopsis(usage: &str) -> Roff {
    let mut roff = heading("SYNOPSIS");
    for line in usage.trim_start_matches("Usage:").lines() {
        let (name, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        roff.control("PP", []);
        roff.text([bold(name), roman(" "), italic(rest)]);
    }
    roff
}

/// The subcommands with what each takes.
fn commands(command: &Command) -> Roff {
    let mut roff = Roff::new();
    let mut subcommands = command
        .get_subcommands()
        .filter(|subcommand| !subcommand.is_hide_set())
        .peekable();
    if subcommands.peek().is_some() {
        roff.control("SH", ["COMMANDS"]);
    }
    for subcommand in subcommands {
        let own = |arg: &&Arg| {
            !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str())
        };
        let values = subcommand.get_positionals().filter(own).map(placeholder);
        let line: Vec<_> = [subcommand.get_name().to_owned()]
            .into_iter()
            .chain(values)
            .collect();
        roff.control("TP", []);
        roff.text([bold(line.join(" "))]);
        roff.text([roman(about(
            subcommand.get_long_about().or(subcommand.get_about()),
        ))]);
        let listed = |name: &Arg| {
            command
                .get_arguments()
                .any(|arg| arg.get_id() == name.get_id())
        };
        for option in subcommand
            .get_opts()
            .filter(own)
            .filter(|option| !listed(option))
        {
            roff.control("RS", []);
            roff.control("TP", []);
            let long = option.get_long().unwrap_or_default();
            roff.text([bold(format!("--{long} ")), italic(placeholder(option))]);
            roff.text([roman(about(option.get_long_help().or(option.get_help())))]);
            roff.control("RE", []);
        }
    }
    roff
}

fn placeholder(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    names
        .iter()
        .map(|name| name.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

fn about(text: Option<&clap::builder::StyledStr>) -> String {
    let text = text.map(ToString::to_string).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The files that options name.
fn files(command: &Command) -> Roff {
    let mut roff = heading("FILES");
    let of_file = |arg: &&Arg| {
        let names = arg.get_value_names().unwrap_or_default();
        arg.get_long().is_some() && names.iter().any(|name| name.starts_with("FILE"))
    };
    let mut any = false;
    for arg in command.get_arguments().filter(of_file) {
        any = true;
        roff.control("TP", []);
        let long = arg.get_long().unwrap_or_default();
        roff.text([
            italic(placeholder(arg)),
            roman(" of "),
            bold(format!("--{long}")),
        ]);
        roff.text([roman(about(arg.get_help()))]);
    }
    if !any {
        roff.control("PP", []);
        roff.text([roman(
            "None is read or written: the report goes to standard output.",
        )]);
    }
    roff
}

fn examples(manual: &Manual) -> Roff {
    let mut roff = heading("EXAMPLES");
    for Example { command, what } in manual.examples {
        roff.control("PP", []);
        roff.text([roman(*what)]);
        roff.control("PP", []);
        roff.control("RS", ["4"]);
        roff.control("nf", []);
        roff.text([bold(*command)]);
        roff.control("fi", []);
        roff.control("RE", []);
    }
    roff
}

fn see_also(manual: &Manual) -> Roff {
    let mut roff = heading("SEE ALSO");
    let mut line = Vec::new();
    for (number, (name, section)) in manual.see_also.iter().enumerate() {
        let comma = if number == 0 { "" } else { ", " };
        line.extend([roman(comma), bold(*name), roman(format!("({section})"))]);
    }
    roff.text(line);
    roff
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{value_parser, CommandFactory, Parser, ValueEnum};

    #[derive(Debug, Parser)]
    #[command(
        name = "tool",
        version = "1.2",
        about = "Measures a server.",
        after_help = "A note.\nIts end.\n\n.Another one."
    )]
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    struct Tool {
        /// A picture of the results
        #[arg(long, value_name = "FILE.svg")]
        plot: Option<String>,
        /// Columns of ksf
        #[arg(long)]
        ksf: bool,
        /// The server
        #[arg(value_name = "HOST[:PORT]", required = true)]
        target: Option<String>,
        #[command(subcommand)]
        describe: Option<Describe>,
    }

    const MANUAL: Manual = Manual {
        description: &["What it does.", "And more."],
        examples: &[Example {
            command: "tool -c 10 ::1",
            what: "Measures this machine:",
        }],
        see_also: &[("ping", 8), ("nc", 1)],
    };

    #[test]
    fn the_page_has_all_sections_in_order() {
        let page = man_page(&Tool::command(), &MANUAL);
        let sections: Vec<_> = page
            .lines()
            .filter_map(|line| line.strip_prefix(".SH "))
            .collect();
        let expected = [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "\"HOW IT MEASURES\"",
            "OPTIONS",
            "COMMANDS",
            "NOTES",
            "\"COLUMNS OF KSF\"",
            "\"EXIT STATUS\"",
            "FILES",
            "EXAMPLES",
            "\"SEE ALSO\"",
        ];
        assert_eq!(sections, expected);
        for text in [
            "SPDX-License-Identifier",
            "tool \\- Measures a server.",
            "A note. Its end.",
            "\\fIFILE.svg\\fR of \\fB\\-\\-plot\\fR",
            "\\fBtool \\-c 10 ::1\\fR",
            "\\fBping\\fR(8), \\fBnc\\fR(1)",
            "\\fBcompletions SHELL\\fR",
        ] {
            assert!(page.contains(text), "{text}\n{page}");
        }
        assert_eq!(page.matches(APOSTROPHE).count(), 1, "{page}");
        // A line of text that begins with a dot would be a macro.
        assert!(
            !page.lines().any(|line| line.starts_with(".Another")),
            "{page}"
        );
    }

    #[test]
    fn a_tool_without_files_says_so() {
        let page = man_page(&Command::new("tool").version("1").about("about"), &MANUAL);
        assert!(page.contains("None is read or written"), "{page}");
        assert!(
            !page.contains(".SH COMMANDS") && !page.contains("COLUMNS OF KSF"),
            "{page}"
        );
    }

    #[test]
    fn every_shell_completes_every_option() {
        for shell in Shell::value_variants() {
            let script = shell_completions(&Tool::command(), *shell);
            for word in ["plot", "ksf", "completions"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn a_tool_describes_itself_without_a_server() {
        let describe = |line: &str| Tool::try_parse_from(line.split(' ')).map(|tool| tool.describe);
        let Ok(Some(completions)) = describe("tool completions bash") else {
            panic!("no completions");
        };
        assert!(completions
            .text(&Tool::command(), &MANUAL)
            .contains("_tool()"));
        let Ok(Some(man)) = describe("tool man") else {
            panic!("no manual");
        };
        assert!(man
            .text(&Tool::command(), &MANUAL)
            .contains(".TH TOOL 1 \"\" \"ksf 1.2\""));
        assert!(describe("tool").is_err() && describe("tool completions tcsh").is_err());
        assert!(describe("tool host").unwrap().is_none());
    }

    #[test]
    fn options_of_a_subcommand_are_told_with_it() {
        let compare = Command::new("compare")
            .about("Which is faster")
            .arg(Arg::new("A").value_name("A").required(true))
            .arg(
                Arg::new("threshold")
                    .long("threshold")
                    .value_name("PERCENT")
                    .value_parser(value_parser!(f64))
                    .help("What does not matter"),
            );
        let page = man_page(
            &Command::new("tool")
                .version("1")
                .about("about")
                .subcommand(compare),
            &MANUAL,
        );
        for text in [
            "\\fBcompare A\\fR",
            "Which is faster",
            "\\fB\\-\\-threshold \\fR\\fIPERCENT\\fR",
        ] {
            assert!(page.contains(text), "{text}\n{page}");
        }
    }
}
