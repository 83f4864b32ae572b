// SPDX-License-Identifier: GPL-2.0

//! No path through the crate leads to a panic, in the code that the compiler makes of it, with checked arithmetic as in
//! the kernel.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Which other functions and data each function mentions, by their mangled names.
type Mentions = BTreeMap<String, BTreeSet<String>>;

/// Compiles all functions in `source`, also those that are only ever inlined.
fn compile(source: &Path, name: &str) -> Mentions {
    let assembly = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.s"));
    let status = Command::new(Path::new(env!("CARGO")).with_file_name("rustc"))
        .arg(source)
        .args(["--crate-name", name, "--crate-type=lib", "--edition=2021"])
        .args(["-Copt-level=2", "-Ccodegen-units=1", "-Coverflow-checks=on"])
        .args(["-Cpanic=abort", "-Clink-dead-code"])
        .arg("--cap-lints=allow")
        .arg(format!("--emit=asm={}", assembly.display()))
        .status()
        .expect("rustc is beside cargo");
    assert!(status.success());
    let mut mentions = Mentions::new();
    let mut function = String::new();
    for line in fs::read_to_string(assembly).unwrap().lines() {
        if let Some(label) = line.strip_suffix(':').filter(|label| is_symbol(label)) {
            function = label.to_owned();
            mentions.entry(function.clone()).or_default();
        } else if line.trim_start().starts_with('.') {
            // Not an instruction, and often about the next function.
        } else if let Some(mentioned) = mentions.get_mut(&function) {
            let words =
                line.split(|char: char| !char.is_ascii_alphanumeric() && !"_$.".contains(char));
            mentioned.extend(words.filter(|word| is_symbol(word)).map(str::to_owned));
        }
    }
    mentions
}

fn is_symbol(word: &str) -> bool {
    word.starts_with("_ZN") || word.starts_with("_R")
}

/// The ways from a function of the crate to one that panics.
fn ways_to_panic(mentions: &Mentions, crate_name: &str) -> Vec<Vec<String>> {
    let own = format!("{}{crate_name}", crate_name.len());
    let mut ways: Vec<Vec<String>> = mentions
        .keys()
        .filter(|function| function.contains(&own))
        .map(|function| vec![function.clone()])
        .collect();
    let mut seen = BTreeSet::new();
    let mut panicking = Vec::new();
    while let Some(way) = ways.pop() {
        let last = &way[way.len() - 1];
        if last.contains("panic") || last.contains("_fail") {
            panicking.push(way);
        } else if seen.insert(last.clone()) {
            for next in mentions.get(last).into_iter().flatten() {
                ways.push([&way[..], &[next.clone()]].concat());
            }
        }
    }
    panicking
}

/// The crate, and instances of what is generic in it.
fn crate_with_instances() -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    for line in fs::read_to_string(dir.join("lib.rs")).unwrap().lines() {
        if let Some(module) = line.strip_prefix("pub mod ") {
            let module = module.trim_end_matches(';');
            let files = [format!("{module}.rs"), format!("{module}/mod.rs")];
            let file = files.iter().map(|file| dir.join(file));
            let file = file.into_iter().find(|file| file.exists()).unwrap();
            text += &format!("#[path = {file:?}]\n");
        }
        text += &format!("{line}\n");
    }
    let instances = dir.join("tests/no_panics/instances.rs");
    text += &format!("extern crate self as wire;\n#[path = {instances:?}]\npub mod instances;\n");
    let root = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("wire_with_instances.rs");
    fs::write(&root, text).unwrap();
    root
}

#[test]
fn no_function_of_the_crate_can_panic() {
    let mentions = compile(&crate_with_instances(), "wire");
    // All are there: also those that are inlined wherever they are used, and those that are generic.
    for function in [
        "take_mark_bytewise",
        "opaque_fixed",
        "encoded_len",
        "CallView",
        "by_name",
        "UniversalAddress",
        "instances5serve",
        "instances10serve_some",
        "instances7receive",
        "instances4call",
        "instances4find",
        "programs4echo",
        "instances9write_ack",
        "instances11last_packet",
        "soft_acks_word",
        "RxStats",
        "push_any",
    ] {
        assert!(
            mentions.keys().any(|name| name.contains(function)),
            "{function}"
        );
    }
    assert_eq!(ways_to_panic(&mentions, "wire"), Vec::<Vec<String>>::new());
}

#[test]
fn a_function_that_can_panic_would_be_found() {
    for (name, body) in [
        ("indexing", "bytes[at]"),
        ("adding", "at + 1"),
        ("copying", "[0; 4].copy_from_slice(bytes)"),
        ("unwrapping", "bytes.first().unwrap()"),
        ("calling", "unlikely(bytes, at)"),
    ] {
        let source = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.rs"));
        let text = format!(
            "#![no_std]
            #[inline]
            pub fn function(bytes: &[u8], at: usize) {{
                core::hint::black_box({body});
            }}
            #[cold]
            fn unlikely(bytes: &[u8], at: usize) -> &[u8] {{
                &bytes[at..]
            }}"
        );
        fs::write(&source, text).unwrap();
        let ways = ways_to_panic(&compile(&source, name), name);
        assert!(
            ways.iter().any(|way| way[0].contains("function")),
            "{name}: {ways:?}"
        );
    }
}
