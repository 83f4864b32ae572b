// SPDX-License-Identifier: GPL-2.0

//! Parameters: those of ksf, and those that every service has.

use crate::param::{
    Address,
    Choice,
    CpuList,
    Number, //
};
crate::module_param! {
    /// The CPUs that have a worker.
    pub(crate) static CPUS: cpus: CpuList = CpuList::new(), mode 0o444,
    "CPUs that have a worker and a socket of each service: a list such as 0-3,8 (default all)";
}

crate::module_param! {
    /// How long a worker that has nothing to do waits for more before it sleeps.
    pub(crate) static BUSY_POLL_US: busy_poll_us = 0 in 0..=100000, mode 0o644,
    "microseconds that a worker polls its list before it sleeps";
}

crate::module_param! {
    /// The requests of a turn.
    pub(crate) static BUDGET: budget = 64 in 1..=65536, mode 0o644,
    "requests of one turn of a worker, and of all turns in one run of the receiving softirq";
}

crate::module_param! {
    /// The memory of all connections.
    pub(crate) static MEMORY_BYTES: memory_bytes = 67108864 in 1048576..=1099511627776, mode 0o644,
    "bytes that all connections of all services may buffer before nothing more is read";
}

/// Where requests are served.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serve {
    /// Where it is cheaper.
    Auto,
    /// In softirq, unless that must not be.
    Inline,
    /// In a worker.
    Worker,
}

/// The parameters that every service has, declared with [`service_params!`](crate::service_params).
pub struct ServiceParams {
    /// TCP and UDP port.
    pub port: &'static Number,
    /// The address that is served.
    pub bind: &'static Address,
    /// `tcp,udp`, `tcp` or `udp`.
    pub proto: &'static Choice,
    /// `auto`, `inline` or `worker`.
    pub serve: &'static Choice,
    /// Connections at most.
    pub max_conns: &'static Number,
    /// Connections from one [`Network`](crate::Network) at most: an address of IPv4, 64 bits of IPv6.
    pub max_conns_per_peer: &'static Number,
    /// Bytes that one connection may buffer.
    pub conn_bytes: &'static Number,
    /// After how many ms a connection that has sent nothing is closed; 0 is never.
    pub first_byte_timeout_ms: &'static Number,
    /// After how many ms a connection on which a request was begun, and is not complete, is closed; 0 is never.
    pub request_timeout_ms: &'static Number,
    /// After how many ms a connection is closed whose peer has taken nothing of what is there for it; 0 is never.
    pub send_timeout_ms: &'static Number,
    /// After how many ms a connection on which nothing happens is closed; 0 is never.
    pub idle_timeout_ms: &'static Number,
}

impl ServiceParams {
    /// Whether TCP is served.
    pub(crate) fn tcp(&self) -> bool {
        self.proto.word() != "udp"
    }

    /// Whether UDP is served.
    pub(crate) fn udp(&self) -> bool {
        self.proto.word() != "tcp"
    }

    /// Where requests are served.
    pub(crate) fn serve(&self) -> Serve {
        match self.serve.get() {
            1 => Serve::Inline,
            2 => Serve::Worker,
            _ => Serve::Auto,
        }
    }
}

/// Declares the parameters that every service has, and a static [`ServiceParams`] that holds them.
///
/// # Examples
///
/// ```ignore
/// ksf::service_params! {
///     static PARAMS: port = 60007;
/// }
/// ```
#[macro_export]
macro_rules! service_params {
    ($(#[$meta:meta])* $vis:vis static $static:ident: port = $port:literal;) => {
        $(#[$meta])*
        $vis static $static: $crate::ServiceParams = {
            $crate::module_param! {
                static PORT: port = $port in 1..=65535, mode 0o444, "TCP and UDP port";
            }
            $crate::module_param! {
                static BIND: bind: $crate::param::Address = $crate::param::Address::new(
                    ::core::net::IpAddr::V6(::core::net::Ipv6Addr::UNSPECIFIED)
                ), mode 0o444,
                "IP address of this host that is served (default ::, which is all, IPv4 and IPv6)";
            }
            $crate::module_param! {
                static PROTO: proto: $crate::param::Choice =
                    $crate::param::Choice::new(&["tcp,udp", "tcp", "udp"]), mode 0o444,
                "transport protocols: tcp,udp (default), tcp or udp";
            }
            $crate::module_param! {
                static SERVE: serve: $crate::param::Choice =
                    $crate::param::Choice::new(&["auto", "inline", "worker"]), mode 0o644,
                "where requests are served: auto (default), inline (in softirq where it may be) or worker";
            }
            $crate::module_param! {
                static MAX_CONNS: max_conns = 16384 in 0..=1048576, mode 0o644, "connections at most";
            }
            $crate::module_param! {
                static MAX_CONNS_PER_PEER: max_conns_per_peer = 1024 in 0..=1048576, mode 0o644,
                "connections from one address, of IPv6 from one /64, at most";
            }
            $crate::module_param! {
                static CONN_BYTES: conn_bytes = 1048576 in 65536..=1073741824, mode 0o644,
                "bytes that one connection may buffer";
            }
            $crate::module_param! {
                static FIRST_BYTE_TIMEOUT_MS: first_byte_timeout_ms = 10000 in 0..=86400000, mode 0o644,
                "milliseconds after which a connection that has sent nothing is closed, 0 for never";
            }
            $crate::module_param! {
                static REQUEST_TIMEOUT_MS: request_timeout_ms = 10000 in 0..=86400000, mode 0o644,
                "milliseconds after which a connection is closed whose request is not complete, 0 for never";
            }
            $crate::module_param! {
                static SEND_TIMEOUT_MS: send_timeout_ms = 30000 in 0..=86400000, mode 0o644,
                "milliseconds after which a connection is closed whose peer takes nothing of its replies, 0 for never";
            }
            $crate::module_param! {
                static IDLE_TIMEOUT_MS: idle_timeout_ms = 360000 in 0..=86400000, mode 0o644,
                "milliseconds after which a connection on which nothing happens is closed, 0 for never";
            }
            $crate::ServiceParams {
                port: &PORT,
                bind: &BIND,
                proto: &PROTO,
                serve: &SERVE,
                max_conns: &MAX_CONNS,
                max_conns_per_peer: &MAX_CONNS_PER_PEER,
                conn_bytes: &CONN_BYTES,
                first_byte_timeout_ms: &FIRST_BYTE_TIMEOUT_MS,
                request_timeout_ms: &REQUEST_TIMEOUT_MS,
                send_timeout_ms: &SEND_TIMEOUT_MS,
                idle_timeout_ms: &IDLE_TIMEOUT_MS,
            }
        };
    };
}

/// The parameters that every packet service has, declared with [`packet_params!`](crate::packet_params).
pub struct PacketParams {
    /// What it has in common with other services. There are no connections of TCP.
    pub service: ServiceParams,
    /// Datagrams that may wait for a core.
    pub queue_packets: &'static Number,
    /// Bytes of memory that datagrams may take which wait, for all cores together.
    pub queue_bytes: &'static Number,
}

/// What a packet service has in place of `proto`.
#[doc(hidden)]
pub static UDP_ONLY: Choice = Choice::new(&["udp"]);

/// What a packet service has in place of the limits of connections of TCP.
#[doc(hidden)]
pub static NO_CONNECTIONS: Number = Number::new(0, 0, 0);

/// Declares the parameters that every packet service has, and a static [`PacketParams`] that holds them.
///
/// # Examples
///
/// ```ignore
/// ksf::packet_params! {
///     static PARAMS: port = 7009;
/// }
/// ```
#[macro_export]
macro_rules! packet_params {
    ($(#[$meta:meta])* $vis:vis static $static:ident: port = $port:literal;) => {
        $(#[$meta])*
        $vis static $static: $crate::PacketParams = {
            $crate::module_param! {
                static PORT: port = $port in 1..=65535, mode 0o444, "UDP port";
            }
            $crate::module_param! {
                static BIND: bind: $crate::param::Address = $crate::param::Address::new(
                    ::core::net::IpAddr::V6(::core::net::Ipv6Addr::UNSPECIFIED)
                ), mode 0o444,
                "IP address that is served (default ::, which is all, IPv4 and IPv6)";
            }
            $crate::module_param! {
                static SERVE: serve: $crate::param::Choice =
                    $crate::param::Choice::new(&["auto", "inline", "worker"]), mode 0o644,
                "where packets are served: auto (default), inline (in softirq) or worker";
            }
            $crate::module_param! {
                static QUEUE_PACKETS: queue_packets = 4096 in 1..=1048576, mode 0o644,
                "datagrams that may wait for a core";
            }
            $crate::module_param! {
                static QUEUE_BYTES: queue_bytes = 67108864 in 1048576..=1099511627776, mode 0o644,
                "bytes of memory that datagrams may take which wait, for all cores together";
            }
            $crate::PacketParams {
                service: $crate::ServiceParams {
                    port: &PORT,
                    bind: &BIND,
                    proto: &$crate::UDP_ONLY,
                    serve: &SERVE,
                    max_conns: &$crate::NO_CONNECTIONS,
                    max_conns_per_peer: &$crate::NO_CONNECTIONS,
                    conn_bytes: &$crate::NO_CONNECTIONS,
                    first_byte_timeout_ms: &$crate::NO_CONNECTIONS,
                    request_timeout_ms: &$crate::NO_CONNECTIONS,
                    send_timeout_ms: &$crate::NO_CONNECTIONS,
                    idle_timeout_ms: &$crate::NO_CONNECTIONS,
                },
                queue_packets: &QUEUE_PACKETS,
                queue_bytes: &QUEUE_BYTES,
            }
        };
    };
}
