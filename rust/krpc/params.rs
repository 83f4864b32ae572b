// SPDX-License-Identifier: GPL-2.0

//! Parameters.

ksf::service_params! {
    /// Those that every service has.
    pub(crate) static SERVICE: port = 62049;
}

ksf::module_param! {
    /// Whether rpcbind is told of the programs.
    pub(crate) static REGISTER: register = 1 in 0..=1, mode 0o444,
    "1 to register the programs with rpcbind, 0 not to";
}

ksf::module_param! {
    /// The longest record.
    pub(crate) static MAX_RECORD_BYTES: max_record_bytes = 65536 in 1024..=16777216, mode 0o644,
    "bytes of a record at most, on connections that are opened from now on";
}

ksf::module_param! {
    /// Whether only privileged ports may call more than NULL.
    pub(crate) static PRIVILEGED_PORT: privileged_port = 0 in 0..=1, mode 0o644,
    "1 to let source ports from 1024 on call nothing but NULL, 0 to let all ports call everything";
}

ksf::module_param! {
    /// How many errors a peer is told over UDP.
    pub(crate) static UDP_ERRORS_PER_PEER: udp_errors_per_peer = 64 in 0..=1000000, mode 0o644,
    "replies over UDP other than SUCCESS in a second to one peer address, on each core, 0 for no limit";
}

ksf::module_param! {
    /// Whether there is a program to test with.
    pub(crate) static ECHO: echo = 0 in 0..=1, mode 0o444,
    "1 to serve the program ksf_echo (536898405), which sends back its argument";
}
