// SPDX-License-Identifier: GPL-2.0

//! Where figures come from: the command and the machine, as far as figures may depend on them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// The commit that this library was built from, if that is known.
pub const GIT_COMMIT: Option<&str> = option_env!("KSF_GIT_COMMIT");

/// Where a report's figures come from. What cannot be found out is `None` or empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The program.
    pub tool: String,
    /// Its version.
    pub version: String,
    /// The commit that was checked out when it was built.
    pub git_commit: Option<String>,
    /// The command line, with the program itself.
    pub command: Vec<String>,
    /// What the random numbers began with.
    pub seed: u64,
    /// When it began, in UTC, as RFC 3339 has it.
    pub time: String,
    /// The machine that measured.
    pub machine: Machine,
}

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Its name.
    pub host: Option<String>,
    /// The release of its kernel.
    pub kernel: Option<String>,
    /// The modules of ksf that are loaded.
    pub modules: Vec<Module>,
    /// The model of its processors.
    pub cpu_model: Option<String>,
    /// How many processors are online.
    pub cpus: usize,
    /// Whether it is a virtual machine, by the flag that hypervisors set.
    pub is_virtual: bool,
    /// What decides on the processors' frequency: one name if all have the same, none if it cannot be changed.
    pub governors: Vec<String>,
    /// What the kernel does about each of the processors' vulnerabilities.
    pub mitigations: BTreeMap<String, String>,
}

/// A module of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// The checksum of its source.
    pub srcversion: Option<String>,
    /// The version that it gives itself.
    pub version: Option<String>,
}

impl Provenance {
    /// That of this process and this machine, now.
    pub fn here(tool: &str, version: &str, seed: u64) -> Self {
        Self {
            tool: tool.to_owned(),
            version: version.to_owned(),
            git_commit: GIT_COMMIT.map(str::to_owned),
            command: std::env::args_os()
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            seed,
            time: rfc3339(SystemTime::now()),
            machine: Machine::look(Path::new("/")),
        }
    }
}

impl Machine {
    /// Looks below `root`, which is `/` for this machine.
    pub fn look(root: &Path) -> Self {
        let line = |path: &str| first_line(&root.join(path));
        let cpuinfo = fs::read_to_string(root.join("proc/cpuinfo")).unwrap_or_default();
        let values = |name: &'static str| {
            let pairs = cpuinfo.lines().filter_map(|line| line.split_once(':'));
            pairs
                .filter(move |(key, _)| key.trim() == name)
                .map(|(_, value)| value.trim())
        };
        Self {
            host: line("proc/sys/kernel/hostname"),
            kernel: line("proc/sys/kernel/osrelease"),
            modules: modules(&root.join("sys/module")),
            cpu_model: values("model name").next().map(str::to_owned),
            cpus: values("processor").count(),
            is_virtual: values("flags")
                .next()
                .is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor")),
            governors: governors(&root.join("sys/devices/system/cpu")),
            mitigations: entries(&root.join("sys/devices/system/cpu/vulnerabilities"))
                .into_iter()
                .filter_map(|path| Some((name(&path)?, first_line(&path)?)))
                .collect(),
        }
    }
}

/// The framework, and whatever uses it.
fn modules(of_kernel: &Path) -> Vec<Module> {
    let framework = of_kernel.join("ksf");
    let users = entries(&framework.join("holders"));
    let names = users.iter().filter_map(|path| name(path));
    let loaded = framework.is_dir().then(|| "ksf".to_owned());
    loaded
        .into_iter()
        .chain(names)
        .map(|name| Module {
            srcversion: first_line(&of_kernel.join(&name).join("srcversion")),
            version: first_line(&of_kernel.join(&name).join("version")),
            name,
        })
        .collect()
}

fn governors(of_cpus: &Path) -> Vec<String> {
    let each = entries(of_cpus)
        .into_iter()
        .filter_map(|cpu| first_line(&cpu.join("cpufreq/scaling_governor")));
    each.collect::<BTreeSet<_>>().into_iter().collect()
}

/// What is in a directory, by name.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut paths: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.to_owned())
}

fn first_line(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().next().map(|line| line.trim().to_owned())
}

/// A time in UTC, with milliseconds, such as 2026-11-20T08:30:00.250Z.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Hinnant's civil_from_days (chrono-Compatible Low-Level Date Algorithms): years begin in March, so that the day that
    // some have more is their last, and eras are the 400 years after which the calendar repeats itself.
    let from_march = days + 719_468;
    let (era, day_of_era) = (from_march / 146_097, from_march % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A directory that is removed at the end.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("loadgen-{}-{name}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(root)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_machine_is_what_its_kernel_says() {
        let tree = Tree::new(
            "machine",
            &[
                ("proc/sys/kernel/hostname", "lab7\n"),
                ("proc/sys/kernel/osrelease", "7.2.12+deb13-amd64\n"),
                (
                    "proc/cpuinfo",
                    "processor\t: 0\nmodel name\t: A CPU @ 2.60GHz\nflags\t\t: fpu hypervisor sse\n\n\
                     processor\t: 1\nmodel name\t: A CPU @ 2.60GHz\nflags\t\t: fpu hypervisor sse\n",
                ),
                ("sys/module/ksf/srcversion", "AB12\n"),
                ("sys/module/ksf/holders/kecho/x", ""),
                ("sys/module/kecho/srcversion", "CD34\n"),
                ("sys/module/kecho/version", "0.1.0\n"),
                ("sys/module/nfs/srcversion", "EF56\n"),
                ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n"),
                ("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "powersave\n"),
                ("sys/devices/system/cpu/vulnerabilities/spectre_v2", "Mitigation: IBRS\n"),
            ],
        );
        let module = |name: &str, srcversion: &str, version: Option<&str>| Module {
            name: name.to_owned(),
            srcversion: Some(srcversion.to_owned()),
            version: version.map(str::to_owned),
        };
        let expected = Machine {
            host: Some("lab7".to_owned()),
            kernel: Some("7.2.12+deb13-amd64".to_owned()),
            modules: vec![
                module("ksf", "AB12", None),
                module("kecho", "CD34", Some("0.1.0")),
            ],
            cpu_model: Some("A CPU @ 2.60GHz".to_owned()),
            cpus: 2,
            is_virtual: true,
            governors: vec!["powersave".to_owned()],
            mitigations: [("spectre_v2".to_owned(), "Mitigation: IBRS".to_owned())].into(),
        };
        assert_eq!(Machine::look(&tree.0), expected);
    }

    #[test]
    fn what_is_not_there_is_not_made_up() {
        let tree = Tree::new("bare", &[("proc/cpuinfo", "flags: fpu\n")]);
        assert_eq!(Machine::look(&tree.0), Machine::default());
    }

    #[test]
    fn this_machine_has_a_kernel_and_a_processor() {
        let here = Provenance::here("echotest", "1.2.3", 7);
        assert!(here.machine.kernel.is_some() && here.machine.cpus > 0);
        assert_eq!(
            (here.tool.as_str(), here.version.as_str(), here.seed),
            ("echotest", "1.2.3", 7)
        );
        assert!(!here.command.is_empty());
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_234_567_890, "2009-02-13T23:31:30.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
        let with_milliseconds = UNIX_EPOCH + Duration::from_millis(1_250);
        assert_eq!(rfc3339(with_milliseconds), "1970-01-01T00:00:01.250Z");
    }
}
