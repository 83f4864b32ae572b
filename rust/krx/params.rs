// SPDX-License-Identifier: GPL-2.0

//! The parameters of the module.

ksf::packet_params! {
    pub(crate) static PACKETS: port = 7009;
}

ksf::module_param! {
    /// How many connections a core has at most.
    pub(crate) static MAX_CONNS: max_conns = 16384 in 1..=1048576, mode 0o444,
    "connections on each core; the one that was silent for longest is forgotten for a new one";
}

ksf::module_param! {
    /// How many requests of several packets a core takes at once.
    pub(crate) static MAX_RECEIVING: max_receiving = 256 in 1..=65536, mode 0o644,
    "calls on each core whose requests keep packets that came before their turn";
}

ksf::module_param! {
    /// How many replies of several packets a core sends at once.
    pub(crate) static MAX_SENDING: max_sending = 4096 in 1..=1048576, mode 0o644,
    "calls on each core whose replies have several packets; others are sent packet by packet";
}

ksf::module_param! {
    /// How long a connection is kept that is not used.
    pub(crate) static IDLE_TIMEOUT_MS: idle_timeout_ms = 120000 in 1000..=86400000, mode 0o644,
    "time in ms after which an idle connection is forgotten";
}
