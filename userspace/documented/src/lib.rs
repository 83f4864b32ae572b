// SPDX-License-Identifier: GPL-2.0

//! Runs the commands that documentation shows, so that none is shown that does not work.
//!
//! Commands are found where readers find them: in the code blocks of Markdown ([`in_markdown`]) and among the lines of a
//! manual page or a help text ([`in_manual`]). A [`Stage`] runs them in a shell: all of a document in one directory, in
//! their order, for a command may read what another one has written. It puts a server of the test in the place of the
//! document's, and shortens what takes long.
//!
//! Where the document shows what is printed, the two must have the same [`shape()`]: the same lines and words, with other
//! numbers.
//!
//! [`Tool`], [`Run`] and [`Description`] are what the tests of all load generators' command lines have in common.

mod description;
mod find;
mod shape;
mod stage;
mod tool;

pub use description::Description;
pub use find::{in_documents, in_manual, in_markdown, Example};
pub use shape::shape;
pub use stage::{Outcome, Stage};
pub use tool::{Ledger, Run, Tool};
