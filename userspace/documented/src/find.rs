// SPDX-License-Identifier: GPL-2.0

//! Finds commands in documents.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

/// The documents of a checkout: its `README.md`, and all of Markdown in `docs`.
///
/// # Errors
///
/// There is no `docs`, or it cannot be read.
fn documents(checkout: &Path) -> io::Result<Vec<PathBuf>> {
    let mut documents = vec![checkout.join("README.md")];
    for entry in fs::read_dir(checkout.join("docs"))? {
        documents.push(entry?.path());
    }
    documents.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    documents.sort();
    Ok(documents)
}

/// A command that a document shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Where it is: the document's name and the line, from 1.
    pub place: String,
    /// The command, as for a shell.
    pub command: String,
    /// What the document says that it prints, on both outputs, if it does.
    pub output: Option<String>,
    /// Its exit status.
    pub status: i32,
}

/// The commands of `tool` that a Markdown document shows, in their order.
///
/// They are in its code blocks. A line `$ COMMAND` is one, whose output follows up to the next one or to the end of the
/// block; if nothing follows, the document does not show it. In a block without such lines, each line that begins with the
/// tool is one, and its output is not shown. A backslash at the end of a line continues a command. The exit status is 0,
/// or N in a block that begins with "\`\`\`console status=N".
pub fn in_markdown(name: &str, text: &str, tool: &str) -> Vec<Example> {
    let mut examples = Vec::new();
    let mut block = Block::default();
    for (event, range) in Parser::new(text).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => block = Block::new(&kind),
            Event::Text(part) => block.push(range.start, &part),
            Event::End(TagEnd::CodeBlock) => {
                let before = text.get(..block.start).unwrap_or_default();
                block.first_line = before.matches('\n').count() + 1;
                examples.extend(block.examples(name, tool));
            }
            _ => {}
        }
    }
    examples
}

/// A code block, or text outside of any.
#[derive(Default)]
struct Block {
    /// Where its code begins in the document.
    start: usize,
    first_line: usize,
    code: String,
    status: i32,
}

impl Block {
    fn new(kind: &CodeBlockKind<'_>) -> Self {
        let status = match kind {
            CodeBlockKind::Fenced(info) => {
                let status = info
                    .split_whitespace()
                    .find_map(|word| word.strip_prefix("status="));
                status.map_or(0, |status| status.parse().expect("a status is a number"))
            }
            CodeBlockKind::Indented => 0,
        };
        Self {
            status,
            ..Self::default()
        }
    }

    fn push(&mut self, start: usize, part: &str) {
        if self.code.is_empty() {
            self.start = start;
        }
        self.code.push_str(part);
    }

    fn examples(&self, name: &str, tool: &str) -> Vec<Example> {
        let has_prompts = self.code.lines().any(|line| line.starts_with(PROMPT));
        let mut examples = Vec::<Example>::new();
        // Whether the lines that follow are the output of the last of them.
        let mut is_output = false;
        let mut lines = self.code.lines().zip(self.first_line..);
        while let Some((line, number)) = lines.next() {
            let command = match line.strip_prefix(PROMPT) {
                Some(command) => command,
                None if !has_prompts => line,
                None => {
                    if let Some(example) = examples.last_mut().filter(|_| is_output) {
                        let output = example.output.get_or_insert_default();
                        output.push_str(line);
                        output.push('\n');
                    }
                    continue;
                }
            };
            let mut command = command.trim().to_owned();
            while command.ends_with('\\') {
                command.pop();
                command.push_str(lines.next().map_or("", |(line, _)| line.trim()));
            }
            is_output = is_of(tool, &command);
            if is_output {
                examples.push(Example {
                    place: format!("{name}:{number}"),
                    command,
                    output: None,
                    status: self.status,
                });
            }
        }
        examples
    }
}

const PROMPT: &str = "$ ";

/// All commands of `tool` that the documents of a checkout show, with the name of each document.
///
/// # Panics
///
/// A document cannot be read, or none shows a command.
pub fn in_documents(checkout: &Path, tool: &str) -> Vec<(String, Vec<Example>)> {
    let documents = documents(checkout).expect("there are documents");
    let found: Vec<_> = documents
        .iter()
        .map(|document| {
            let text = fs::read_to_string(document).expect("documents are UTF-8");
            let name = document.file_name().unwrap_or_default().to_string_lossy();
            (name.to_string(), in_markdown(&name, &text, tool))
        })
        .filter(|(_, examples)| !examples.is_empty())
        .collect();
    assert!(!found.is_empty(), "no document shows how {tool} is used");
    found
}

/// The commands of `tool` in a manual page, as roff or as text, or in its help: lines that begin with it.
///
/// # Panics
///
/// There are none.
pub fn in_manual(name: &str, text: &str, tool: &str) -> Vec<Example> {
    let plain = |line: &str| {
        let mut line = line.replace("\\-", "-").replace("\\*(Aq", "'");
        for font in ["\\fB", "\\fI", "\\fR"] {
            line = line.replace(font, "");
        }
        line.trim().to_owned()
    };
    let commands = text.lines().map(plain).enumerate();
    let examples: Vec<_> = commands
        .filter(|(_, command)| is_of(tool, command))
        .map(|(number, command)| Example {
            place: format!("{name}:{}", number + 1),
            command,
            output: None,
            status: 0,
        })
        .collect();
    assert!(
        !examples.is_empty(),
        "{name} does not show how {tool} is used"
    );
    examples
}

/// Whether this is a command of the tool, and not how its usage is described, nor a sentence about it.
fn is_of(tool: &str, line: &str) -> bool {
    let mut words = line.split_whitespace().filter(|&word| word != "sudo");
    // It may be run by several words, of which the first may be a path.
    let mut is_tool = true;
    for (place, word) in tool.split(' ').enumerate() {
        let found = words.next();
        let name = found.and_then(|path| path.rsplit('/').next());
        is_tool &= if place == 0 { name } else { found } == Some(word);
    }
    let ends_a_sentence = line.ends_with(['.', ':', ',']);
    let is_usage = ["[OPTIONS]", "<COMMAND>"]
        .iter()
        .any(|word| line.contains(word));
    is_tool && words.next().is_some() && !ends_a_sentence && !is_usage
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(examples: &[Example]) -> Vec<(&str, &str, Option<&str>)> {
        examples
            .iter()
            .map(|example| {
                (
                    example.place.as_str(),
                    example.command.as_str(),
                    example.output.as_deref(),
                )
            })
            .collect()
    }

    #[test]
    fn a_tool_may_be_run_by_several_words() {
        let is = |line| is_of("tool a", line);
        assert!(is("tool a host") && is("sudo build/tool a host"));
        for other in ["tool b host", "tool host a", "tool", "tool a", "a tool a"] {
            assert!(!is(other), "{other}");
        }
    }

    #[test]
    fn commands_are_those_of_code_blocks_that_begin_with_the_tool() {
        let text = "\
# Title

echotest here is prose.

    make userspace
    sudo build/release/echotest localhost    # a comment
    echotest [OPTIONS] HOST[:PORT]
    echotest
    myechotest localhost

```sh
echotest -c 5 \\
    --rate 50k server
```
";
        assert_eq!(
            commands(&in_markdown("README", text, "echotest")),
            [
                (
                    "README:6",
                    "sudo build/release/echotest localhost    # a comment",
                    None
                ),
                ("README:12", "echotest -c 5 --rate 50k server", None),
            ]
        );
    }

    #[test]
    fn output_follows_its_command_up_to_the_next_one() {
        let text = "\
```console
$ echotest -c 5 server
a table

echotest: not a command, but what one said
$ ls
echotest is here
$ echotest --version
$ echotest -V
1.0
```

```
echotest: not a command either
```
";
        assert_eq!(
            commands(&in_markdown("d", text, "echotest")),
            [
                (
                    "d:2",
                    "echotest -c 5 server",
                    Some("a table\n\nechotest: not a command, but what one said\n")
                ),
                ("d:8", "echotest --version", None),
                ("d:9", "echotest -V", Some("1.0\n")),
            ]
        );
    }

    #[test]
    fn a_block_says_how_its_commands_end() {
        let text = "```console status=1\n$ echotest nobody.invalid\n```\n\n```console\n$ echotest -V\n```\n";
        let statuses: Vec<_> = in_markdown("d", text, "echotest")
            .iter()
            .map(|example| example.status)
            .collect();
        assert_eq!(statuses, [1, 0]);
    }

    #[test]
    fn a_manual_has_commands_as_lines_of_their_own() {
        let roff = "\
.SH EXAMPLES
.nf
\\fBechotest\\fR \\-\\-search \\*(Aqp99<50us\\*(Aq server
.fi
echotest is a tool.
";
        assert_eq!(
            commands(&in_manual("man", roff, "echotest")),
            [("man:3", "echotest --search 'p99<50us' server", None)]
        );
    }

    #[test]
    #[should_panic(expected = "man does not show how echotest is used")]
    fn a_manual_without_commands_is_noticed() {
        in_manual(
            "man",
            "echotest is a tool.\nechotest [OPTIONS] HOST",
            "echotest",
        );
    }

    #[test]
    #[should_panic(expected = "no document shows how no-tool is used")]
    fn documents_without_commands_are_noticed() {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        in_documents(&checkout, "no-tool");
    }
}
