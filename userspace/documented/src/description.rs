// SPDX-License-Identifier: GPL-2.0

//! What a load generator says of itself, which has to be true of every one.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{in_documents, in_manual, Example, Stage, Tool};

/// What describes a load generator: the documents of the project, its help, its manual page and its completions.
///
/// Its checks panic if something is not as it is to be.
#[derive(Clone, Debug)]
pub struct Description {
    tool: Tool,
    checkout: PathBuf,
    scratch: PathBuf,
}

impl Description {
    /// That of the tool of a package of the workspace. `package` is its directory, and tests may write below `scratch`.
    pub fn new(tool: Tool, package: impl AsRef<Path>, scratch: impl Into<PathBuf>) -> Self {
        Self {
            tool,
            checkout: package.as_ref().join("../.."),
            scratch: scratch.into(),
        }
    }

    /// Every command of the tool that a document shows works with this server, and prints what it shows.
    #[track_caller]
    pub fn documents_work(&self, server: SocketAddr) {
        for (name, examples) in in_documents(&self.checkout, &self.tool.command_words()) {
            self.check(&name, server, &examples);
        }
    }

    /// Every command that its help shows does.
    #[track_caller]
    pub fn help_works(&self, server: SocketAddr) {
        let help = self.tool.run("--help");
        let examples = in_manual("--help", &help.out, &self.tool.command_words());
        self.check("help", server, &examples);
    }

    /// Every command that its manual page shows does.
    #[track_caller]
    pub fn manual_page_works(&self, server: SocketAddr) {
        let page = fs::read_to_string(self.manual_page()).expect("there is a manual page");
        let examples = in_manual(&self.manual_page_name(), &page, &self.tool.command_words());
        self.check("man", server, &examples);
    }

    /// Its manual page begins with this summary, and is that of its options.
    #[track_caller]
    pub fn manual_page_is_current(&self, summary: &str) {
        let run = self.tool.run("man");
        assert_eq!((run.status, run.err.as_str()), (Some(0), ""));
        let name = self.tool.name().replace('-', "\\-");
        let title = format!("\n{name} \\- {summary}");
        assert!(run.out.contains(&title), "{}", run.out);
        assert!(
            fs::read_to_string(self.manual_page()).is_ok_and(|page| page == run.out),
            "docs/man/{} is out of date: make man",
            self.manual_page_name()
        );
    }

    /// Shells complete its options.
    #[track_caller]
    pub fn completions_have_the_options(&self) {
        for (shell, option) in [
            ("bash", "--in-flight"),
            ("zsh", "--in-flight"),
            ("fish", "-l in-flight"),
        ] {
            let run = self.tool.run(&format!("completions {shell}"));
            assert_eq!((run.status, run.err.as_str()), (Some(0), ""));
            assert!(run.out.contains(option), "{shell}: {}", run.out);
        }
        assert_eq!(self.tool.run("completions").status, Some(2));
        assert_eq!(self.tool.run("completions tcsh").status, Some(2));
    }

    /// A subcommand that measures nothing takes no load.
    #[track_caller]
    pub fn subcommands_take_no_load(&self) {
        let run = self.tool.run("man -c 1");
        assert_eq!(run.status, Some(2), "{}{}", run.out, run.err);
    }

    fn manual_page_name(&self) -> String {
        format!("{}.1", self.tool.name())
    }

    fn manual_page(&self) -> PathBuf {
        self.checkout.join("docs/man").join(self.manual_page_name())
    }

    #[track_caller]
    fn check(&self, name: &str, server: SocketAddr, examples: &[Example]) {
        let directory = self.scratch.join(name);
        let stage = Stage::of_load_generator(directory, Path::new(self.tool.path()), server)
            .expect("the directory for it can be written");
        for example in examples {
            stage.check(example);
        }
    }
}
