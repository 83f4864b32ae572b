// SPDX-License-Identifier: GPL-2.0

//! What the help and the manual pages of both tools say.

/// How many calls a client has in flight in open loop, unless something else is asked for: servers of Rx do not take very many,
/// and what they do not take is sent again ever more rarely.
pub(crate) const OPEN_LOOP_STREAMS: usize = 64;

pub(crate) const NOTES: &str = "\
The default port is 7009, that of rxperf. A connection is a client: a UDP port of its own, with as many connections of Rx as \
its calls need, four calls on each.

Mbit/s is that of the calls, or of the replies if these have more bytes; goodput is that of the replies, with the cookie of \
4 bytes, and none of what is sent twice or around it.

Packets are those of DATA. Received packets are duplicated if they had been received before, and reordered if one before \
them was missing. Jain's index of the clients' rates is 1 if all are served alike, and 1/n if one of n is served alone.";

pub(crate) const CLIENTS: &str = "Each connection of the load is a client of its own: a UDP port, and as many connections \
    of Rx as its calls need, four calls on each. So a server that spreads its clients over processors by their addresses \
    can. A client acknowledges, retransmits and controls congestion by the same state machine that krx has, answers the \
    server when that asks whether it is where it seems to be, and needs no ticket: calls are made without security.";

pub(crate) const CHECKS: &str = "Every byte of every reply is checked: its content, the cookie that ends it, and that \
    nothing is missing or follows. The content is zeros (from Linux, and from OpenAFS as long as nobody sends it anything \
    else) or bytes that depend on their place (from krx): of each client the first reply shows which, unless --content \
    says it. A call that the server aborts, or does not answer, is a failure, and is told with its code in words.";

/// The command with words for Rx.
pub(crate) fn adapt(command: clap::Command) -> clap::Command {
    command
        .mut_arg("connections", |arg| {
            arg.alias("clients").help(
                "The same as --clients: clients, each with a UDP port of its own, shared out among the threads [default: one for \
                 each thread]",
            )
        })
        .mut_arg("in_flight", |arg| {
            arg.alias("streams").help(format!(
                "The same as --streams: calls in flight per client; with --rate, what is due beyond them is skipped [default: 1, \
                 with --rate {OPEN_LOOP_STREAMS}]"
            ))
        })
        .mut_arg("timeout", |arg| {
            arg.help("Give up when nothing has been received for so long [default: 10]")
        })
}
