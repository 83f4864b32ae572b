// SPDX-License-Identifier: GPL-2.0

//! The manual page and the completions.

use crate::description;

#[test]
fn the_manual_page_is_that_of_these_options() {
    description().manual_page_is_current("Measures an echo server");
}

#[test]
fn shells_complete_the_options() {
    description().completions_have_the_options();
}

#[test]
fn a_subcommand_takes_no_load() {
    description().subcommands_take_no_load();
}
