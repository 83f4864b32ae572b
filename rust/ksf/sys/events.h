/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ksf's trace events: what happens to connections, turn by turn. "perf list 'ksf:*'" and /sys/kernel/tracing/events/ksf/
 * show them. They cost a few bytes of no-operation while nobody looks.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ksf
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE events

#if !defined(_KSF_EVENTS_H) || defined(TRACE_HEADER_MULTI_READ)
#define _KSF_EVENTS_H

#include <linux/in6.h>
#include <linux/tracepoint.h>

/* A connection is served from now on. "peer" is a sockaddr_in or sockaddr_in6. */
TRACE_EVENT(conn_open,
	TP_PROTO(const char *service, const u8 *peer),
	TP_ARGS(service, peer),
	TP_STRUCT__entry(
		__string(service, service)
		__array(u8, peer, sizeof(struct sockaddr_in6))
	),
	TP_fast_assign(
		__assign_str(service);
		memcpy(__entry->peer, peer, sizeof(struct sockaddr_in6));
	),
	TP_printk("service=%s peer=%pISpc", __get_str(service), __entry->peer)
);

/* A connection is closed. "reason" is the name of the counter of it, such as closed_peer. */
TRACE_EVENT(conn_close,
	TP_PROTO(const char *service, const u8 *peer, const char *reason, u64 bytes_in, u64 bytes_out),
	TP_ARGS(service, peer, reason, bytes_in, bytes_out),
	TP_STRUCT__entry(
		__string(service, service)
		__array(u8, peer, sizeof(struct sockaddr_in6))
		__string(reason, reason)
		__field(u64, bytes_in)
		__field(u64, bytes_out)
	),
	TP_fast_assign(
		__assign_str(service);
		memcpy(__entry->peer, peer, sizeof(struct sockaddr_in6));
		__assign_str(reason);
		__entry->bytes_in = bytes_in;
		__entry->bytes_out = bytes_out;
	),
	TP_printk("service=%s peer=%pISpc reason=%s bytes_in=%llu bytes_out=%llu", __get_str(service), __entry->peer,
		  __get_str(reason), __entry->bytes_in, __entry->bytes_out)
);

/* A connection, a listener or a UDP socket had a turn. "delay" is the time from its wake-up to its start, in ns. */
TRACE_EVENT(turn,
	TP_PROTO(const char *service, const char *what, bool is_inline, u64 bytes_in, u64 bytes_out, u64 delay, u64 time),
	TP_ARGS(service, what, is_inline, bytes_in, bytes_out, delay, time),
	TP_STRUCT__entry(
		__string(service, service)
		__string(what, what)
		__field(bool, is_inline)
		__field(u64, bytes_in)
		__field(u64, bytes_out)
		__field(u64, delay)
		__field(u64, time)
	),
	TP_fast_assign(
		__assign_str(service);
		__assign_str(what);
		__entry->is_inline = is_inline;
		__entry->bytes_in = bytes_in;
		__entry->bytes_out = bytes_out;
		__entry->delay = delay;
		__entry->time = time;
	),
	TP_printk("service=%s what=%s inline=%d bytes_in=%llu bytes_out=%llu delay_ns=%llu time_ns=%llu",
		  __get_str(service), __get_str(what), __entry->is_inline, __entry->bytes_in, __entry->bytes_out,
		  __entry->delay, __entry->time)
);

/* A connection has "unsent" bytes of replies that its socket has no room for, and is not read from until it has. */
TRACE_EVENT(send_blocked,
	TP_PROTO(const char *service, const u8 *peer, u64 unsent),
	TP_ARGS(service, peer, unsent),
	TP_STRUCT__entry(
		__string(service, service)
		__array(u8, peer, sizeof(struct sockaddr_in6))
		__field(u64, unsent)
	),
	TP_fast_assign(
		__assign_str(service);
		memcpy(__entry->peer, peer, sizeof(struct sockaddr_in6));
		__entry->unsent = unsent;
	),
	TP_printk("service=%s peer=%pISpc unsent=%llu", __get_str(service), __entry->peer, __entry->unsent)
);

/* Something was refused, or has to wait, for the limit of that name is reached. */
TRACE_EVENT(limit_hit,
	TP_PROTO(const char *service, const char *limit, u64 value),
	TP_ARGS(service, limit, value),
	TP_STRUCT__entry(
		__string(service, service)
		__string(limit, limit)
		__field(u64, value)
	),
	TP_fast_assign(
		__assign_str(service);
		__assign_str(limit);
		__entry->value = value;
	),
	TP_printk("service=%s limit=%s value=%llu", __get_str(service), __get_str(limit), __entry->value)
);

#endif

#include <trace/define_trace.h>
