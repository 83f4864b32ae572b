// SPDX-License-Identifier: GPL-2.0

//! The tables, and what is known about their keys.

use clap::ValueEnum;

/// A table, which is a file in ksf's directory. The comments are for `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Table {
    /// What each service did
    Services,
    /// The worker thread of each CPU
    Workers,
    /// The connections of all services
    Conns,
    /// The limits of ksf and of its services, and how near they are
    Limits,
    /// The addresses that have connections, and how many
    Peers,
    /// The procedures that krpc has, and how often each was called
    #[value(name = "rpc_procedures")]
    RpcProcedures,
    /// What was wrong with what was sent to krpc, and how often
    #[value(name = "rpc_errors")]
    RpcErrors,
}

/// What the value of a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name or an address.
    Text,
    /// A number that goes up and down, or stays.
    Gauge,
    /// A number that only grows while the object exists.
    Counter,
    /// Times, of which there are only ever more while the object exists.
    Histogram,
}

impl Table {
    /// All tables.
    pub(crate) const ALL: [Self; 7] = [
        Self::Services,
        Self::Workers,
        Self::Conns,
        Self::Limits,
        Self::Peers,
        Self::RpcProcedures,
        Self::RpcErrors,
    ];

    /// The name, which is also the file's.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::Workers => "workers",
            Self::Conns => "conns",
            Self::Limits => "limits",
            Self::Peers => "peers",
            Self::RpcProcedures => "rpc_procedures",
            Self::RpcErrors => "rpc_errors",
        }
    }

    /// Whether the table is that of one service, and is only there while that is loaded.
    pub(crate) fn is_of_a_service(self) -> bool {
        matches!(self, Self::RpcProcedures | Self::RpcErrors)
    }

    /// The keys by which an object is the same one in two reads.
    pub(crate) fn identity(self) -> &'static [&'static str] {
        match self {
            Self::Services => &["service", "net", "bind", "port", "proto"],
            Self::Workers => &["cpu"],
            Self::Conns => &["service", "peer", "local"],
            Self::Limits => &["scope", "limit"],
            Self::Peers => &["service", "peer"],
            Self::RpcProcedures => &["service", "program", "version", "procedure"],
            Self::RpcErrors => &["service", "error"],
        }
    }

    /// What the value of `key` is, or `None` if the key is not known.
    pub(crate) fn kind(self, key: &str) -> Option<Kind> {
        Some(match (self, key) {
            (_, "service" | "peer" | "local" | "bind" | "proto" | "serve" | "state") => Kind::Text,
            (Self::Limits, "scope" | "limit") => Kind::Text,
            (Self::Services, "net" | "port" | "conns") => Kind::Gauge,
            (Self::Services, "queue_delay_ns" | "service_time_ns") => Kind::Histogram,
            (
                Self::Services,
                "accepted" | "bytes_in" | "bytes_out" | "requests" | "replies" | "datagrams_in"
                | "datagrams_out" | "turns_inline" | "turns_worker" | "budget_ends" | "sends"
                | "send_blocked" | "memory_stops",
            ) => Kind::Counter,
            // A reason that is new is counted as the others are.
            (Self::Services, key)
                if ["refused_", "closed_", "dropped_"]
                    .iter()
                    .any(|reason| key.starts_with(reason)) =>
            {
                Kind::Counter
            }
            (Self::Workers, "cpu") => Kind::Gauge,
            (
                Self::Workers,
                "wakeups" | "turns" | "polls" | "poll_hits" | "inline_turns" | "inline_budget_ends",
            ) => Kind::Counter,
            (Self::Conns, "cpu" | "age_ms" | "idle_ms" | "memory" | "unsent") => Kind::Gauge,
            (Self::Conns, "bytes_in" | "bytes_out" | "requests") => Kind::Counter,
            (Self::Limits, "value" | "used") => Kind::Gauge,
            (Self::Limits, "hits") => Kind::Counter,
            (Self::Peers, "conns" | "memory") => Kind::Gauge,
            (Self::Peers, "refused") => Kind::Counter,
            (Self::RpcProcedures, "name" | "procedure_name") => Kind::Text,
            (Self::RpcProcedures, "program" | "version" | "procedure") => Kind::Gauge,
            (Self::RpcProcedures, "calls" | "failed") => Kind::Counter,
            (Self::RpcErrors, "error") => Kind::Text,
            (Self::RpcErrors, "count") => Kind::Counter,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_the_command_line() {
        for table in Table::ALL {
            let value = table.to_possible_value().unwrap();
            assert_eq!(value.get_name(), table.name());
        }
        assert_eq!(Table::value_variants(), Table::ALL);
    }

    #[test]
    fn what_identifies_an_object_does_not_count() {
        for table in Table::ALL {
            for key in table.identity() {
                let kind = table.kind(key);
                assert!(
                    matches!(kind, Some(Kind::Text | Kind::Gauge)),
                    "{table:?} {key}"
                );
            }
        }
    }

    #[test]
    fn a_key_is_known_in_its_table_only() {
        assert_eq!(Table::Services.kind("conns"), Some(Kind::Gauge));
        assert_eq!(Table::Services.kind("refused_moon"), Some(Kind::Counter));
        assert_eq!(Table::Workers.kind("refused_moon"), None);
        assert_eq!(Table::Workers.kind("conns"), None);
        assert_eq!(Table::Conns.kind("moon"), None);
    }
}
