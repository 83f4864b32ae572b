// SPDX-License-Identifier: GPL-2.0

//! The numbers of well-known programs, and their names as in `/etc/rpc` and in IANA's registry.

/// rpcbind, which knows at which ports the other programs are.
pub const PORTMAP: u32 = 100_000;
/// The Network File System.
pub const NFS: u32 = 100_003;
/// The protocol by which a client of NFS gets its first file handle.
pub const MOUNT: u32 = 100_005;
/// Quotas of file systems of others.
pub const RQUOTA: u32 = 100_011;
/// The lock manager of NFS.
pub const NLOCKMGR: u32 = 100_021;
/// The status monitor that the lock manager asks.
pub const STATUS: u32 = 100_024;
/// Access control lists, beside NFS.
pub const NFS_ACL: u32 = 100_227;
/// Linux's way to find out whether client and server are one machine.
pub const NFS_LOCALIO: u32 = 400_122;

/// Each program with its names, of which the first is the usual one.
const NAMES: &[(u32, &[&str])] = &[
    (PORTMAP, &["rpcbind", "portmap", "portmapper", "sunrpc"]),
    (NFS, &["nfs", "nfsprog"]),
    (MOUNT, &["mount", "mountd", "showmount"]),
    (RQUOTA, &["rquota", "rquotad", "rquotaprog", "quota"]),
    (NLOCKMGR, &["nlockmgr", "nlm"]),
    (STATUS, &["status", "nsm"]),
    (NFS_ACL, &["nfs_acl", "nfsacl"]),
    (NFS_LOCALIO, &["nfslocalio"]),
];

/// The number of the program of this name.
pub fn by_name(name: &str) -> Option<u32> {
    let (number, _) = NAMES.iter().find(|(_, names)| names.contains(&name))?;
    Some(*number)
}

/// The usual name of the program of this number.
pub fn name(number: u32) -> Option<&'static str> {
    let (_, names) = NAMES.iter().find(|(known, _)| *known == number)?;
    names.first().copied()
}

/// The usual name of each program that has one.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().filter_map(|(_, names)| names.first().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_belong_together() {
        assert_eq!(by_name("nfs"), Some(NFS));
        assert_eq!(by_name("portmap"), Some(PORTMAP));
        assert_eq!((by_name(""), by_name("NFS")), (None, None));
        assert_eq!(name(100_005), Some("mount"));
        assert_eq!(name(100_004), None);
        for (number, names) in NAMES {
            for known in *names {
                assert_eq!(by_name(known), Some(*number), "{known}");
            }
            assert_eq!(name(*number), names.first().copied());
        }
        assert_eq!(names().count(), NAMES.len());
    }
}
