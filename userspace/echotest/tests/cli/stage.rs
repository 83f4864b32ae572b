// SPDX-License-Identifier: GPL-2.0

//! Files of a test, and what is in documents.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{command, run, Run};

/// A directory that only one test has.
pub(crate) struct Stage(PathBuf);

impl Stage {
    /// An empty one.
    pub(crate) fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        // Of the last time, if there was one.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Runs echotest there, with these arguments separated by spaces.
    pub(crate) fn echotest(&self, arguments: &str) -> Run {
        let arguments: Vec<_> = arguments.split_whitespace().collect();
        self.echotest_with(&arguments)
    }

    /// Runs echotest there, with arguments that may have spaces.
    pub(crate) fn echotest_with(&self, arguments: &[&str]) -> Run {
        run(command().current_dir(&self.0).args(arguments))
    }
}

/// Reads a document, which must be as the published schema has it.
#[track_caller]
pub(crate) fn document(text: &str) -> Value {
    let schema = include_str!("../../../../docs/loadgen.schema.json");
    let schema = serde_json::from_str(schema).unwrap();
    let document = serde_json::from_str(text).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = validator
        .iter_errors(&document)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    document
}
