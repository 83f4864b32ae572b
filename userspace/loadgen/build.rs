// SPDX-License-Identifier: GPL-2.0

//! Tells the library which commit it is built from, if it is built from a checkout: `KSF_GIT_COMMIT`.
//!
//! By reading git's files, for git itself need not be there. Whoever packs the source without them may set the variable.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

fn main() {
    println!("cargo::rerun-if-env-changed=KSF_GIT_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("KSF_GIT_COMMIT").is_some() {
        return;
    }
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    if let Some(commit) = here
        .ancestors()
        .find_map(git_directory)
        .as_deref()
        .and_then(commit)
    {
        println!("cargo::rustc-env=KSF_GIT_COMMIT={commit}");
    }
}

/// The directory of git for a checkout with this root.
fn git_directory(root: &Path) -> Option<PathBuf> {
    let git = root.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    // A checkout beside the main one has a file that says where.
    let elsewhere = fs::read_to_string(git).ok()?;
    Some(root.join(elsewhere.strip_prefix("gitdir:")?.trim()))
}

/// The commit that is checked out.
fn commit(git: &Path) -> Option<String> {
    // Both change with every commit and every checkout.
    for file in ["HEAD", "logs/HEAD"].map(|name| git.join(name)) {
        if file.exists() {
            println!("cargo::rerun-if-changed={}", file.display());
        }
    }
    let head = fs::read_to_string(git.join("HEAD")).ok()?;
    let head = head.trim();
    let Some(reference) = head.strip_prefix("ref: ") else {
        return Some(head.to_owned());
    };
    let common = fs::read_to_string(git.join("commondir"))
        .map_or_else(|_| git.to_owned(), |path| git.join(path.trim()));
    if let Ok(commit) = fs::read_to_string(common.join(reference)) {
        return Some(commit.trim().to_owned());
    }
    let packed = fs::read_to_string(common.join("packed-refs")).ok()?;
    let mut pairs = packed.lines().filter_map(|line| line.split_once(' '));
    pairs
        .find(|(_, name)| *name == reference)
        .map(|(commit, _)| commit.to_owned())
}
