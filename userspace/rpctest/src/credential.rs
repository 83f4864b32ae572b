// SPDX-License-Identifier: GPL-2.0

//! Who this process says to be.

use rustix::{process, system};
use wire::rpc::{AuthSys, Credential, Flavor, Groups};

/// What is sent as a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Auth {
    /// AUTH_NONE: nobody
    None,
    /// AUTH_SYS: this process's user and groups
    #[value(alias = "unix")]
    Sys,
}

impl Auth {
    pub(crate) fn flavor(self) -> Flavor {
        match self {
            Self::None => Flavor::NONE,
            Self::Sys => Flavor::SYS,
        }
    }

    /// Hands the credential to `use_it`.
    pub(crate) fn with<T>(self, use_it: impl FnOnce(Credential<'_>) -> T) -> T {
        match self {
            Self::None => use_it(Credential::None),
            Self::Sys => {
                let name = system::uname();
                use_it(Credential::Sys(this_process(name.nodename().to_bytes())))
            }
        }
    }
}

/// The user and the groups of this process, as many as there is room for.
fn this_process(machine_name: &[u8]) -> AuthSys<'_> {
    let groups = process::getgroups().unwrap_or_default();
    let groups: Vec<_> = groups.iter().map(|gid| gid.as_raw()).collect();
    let room = groups.len().min(Groups::MAX);
    AuthSys {
        stamp: std::process::id(),
        machine_name,
        uid: process::geteuid().as_raw(),
        gid: process::getegid().as_raw(),
        groups: Groups::new(&groups[..room]).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_sys_is_this_process() {
        Auth::Sys.with(|credential| {
            let Credential::Sys(user) = credential else {
                panic!("{credential:?}");
            };
            assert_eq!(user.uid, process::geteuid().as_raw());
            assert_eq!(user.gid, process::getegid().as_raw());
            let name = system::uname();
            assert_eq!(user.machine_name, name.nodename().to_bytes());
        });
        Auth::None.with(|credential| assert_eq!(credential, Credential::None));
    }
}
