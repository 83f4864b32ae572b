/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What Rust cannot reach: inline functions, macros, and the fields of structures that the kernel crate's bindings keep
 * opaque. No logic lives here that could live in Rust.
 */
#ifndef _KSF_SHIM_H
#define _KSF_SHIM_H

#include <linux/llist.h>
#include <linux/mm_types.h>
#include <linux/page_frag_cache.h>
#include <linux/seq_file.h>
#include <net/net_namespace.h>
#include <net/sock.h>

/*
 * Sockets in general
 */

/* The callbacks of a socket that ksf replaces. */
struct ksf_shim_callbacks {
	void (*data_ready)(struct sock *sk);
	void (*write_space)(struct sock *sk);
	void (*state_change)(struct sock *sk);
};

/* Reads the callbacks of a socket that no other context can change yet. */
void ksf_shim_get_callbacks(struct sock *sk, struct ksf_shim_callbacks *callbacks);

/* Sets callbacks and sk_user_data together, so that no callback sees one without the other. Process context. */
void ksf_shim_set_callbacks(struct sock *sk, const struct ksf_shim_callbacks *callbacks, void *user_data);

/* sk_user_data, to be used between lock and unlock only. Any context. */
void *ksf_shim_lock_user_data(struct sock *sk);
void ksf_shim_unlock_user_data(struct sock *sk);

/* lock_sock() and release_sock(). Process context. */
void ksf_shim_lock_sock(struct sock *sk);
void ksf_shim_release_sock(struct sock *sk);

/* SO_SNDTIMEO and SO_RCVTIMEO, of a socket that nobody else uses. */
void ksf_shim_set_timeout(struct sock *sk, unsigned int ms);

/* kernel_sendmsg() and kernel_recvmsg() of one buffer, without a signal. Process context. */
int ksf_shim_send(struct socket *sock, const void *data, size_t len);
int ksf_shim_receive(struct socket *sock, void *data, size_t len);

/* Makes an IPv6 socket that is not bound yet accept IPv4 as well, or not. */
void ksf_shim_set_v6only(struct sock *sk, bool v6only);

/* Where a socket that is bound with SO_REUSEPORT is in its group; -1 when it is in none. */
int ksf_shim_reuseport_slot(struct sock *sk);

/*
 * TCP
 */

/* A run of bytes that lie behind each other. "page" is NULL if they are not in a page that can be referred to. */
struct ksf_shim_run {
	const u8 *data;
	u32 len;
	u32 page_offset;
	struct page *page;
};

/* Where the next unread byte is: in "skb", or nowhere if that is NULL. */
struct ksf_shim_position {
	struct sk_buff *skb;
	u32 offset;		/* in the skb's data */
	u32 end;		/* the length of the skb's data */
	struct ksf_shim_run run;
};

/* What a turn wants to know of a TCP socket. */
struct ksf_shim_tcp_status {
	u32 unread;		/* bytes that can be read */
	u32 room;		/* bytes that the send queue has room for, 0 when it is to be left alone */
	u32 memory;		/* bytes of memory that receive and send queue take */
	int error;		/* a pending error, positive, or 0 */
	bool finished;		/* closed, or our FIN was acknowledged */
	bool crowded;		/* what is unread takes a good part of the receive buffer */
	bool receive_shutdown;	/* the peer has sent all that it will */
	bool sent_all;		/* nothing waits to be sent or acknowledged */
};

/*
 * The socket's lock is held, here and below. Frees what is read already, keeps automatic tuning from growing a buffer
 * beyond "buffer_bytes", and says where the unread bytes start.
 */
void ksf_shim_tcp_status(struct sock *sk, u32 buffer_bytes, struct ksf_shim_tcp_status *status,
			 struct ksf_shim_position *position);

/* The sequence number up to which the peer has acknowledged what was sent. */
u32 ksf_shim_tcp_acknowledged(const struct sock *sk);

/* The sequence number behind all that was given to TCP to send. */
u32 ksf_shim_tcp_written(const struct sock *sk);

/* The first skb with something unread and where that starts, or NULL. Frees what is read already. */
struct sk_buff *ksf_shim_tcp_first(struct sock *sk, u32 *offset);

/* The skb behind one of the receive queue and where what is behind the first starts in it, or NULL. */
struct sk_buff *ksf_shim_tcp_next(struct sock *sk, struct sk_buff *skb, u32 *offset);

/*
 * Send bytes, or refer to pages, with MSG_* flags besides. What is copied goes to memory of "frag". As
 * tcp_sendmsg_locked().
 */
int ksf_shim_tcp_send_bytes(struct sock *sk, const void *data, size_t len, int flags, struct page_frag *frag);
int ksf_shim_tcp_send_pages(struct sock *sk, const struct bio_vec *pages, unsigned int count, size_t len, int flags,
			    struct page_frag *frag);

/*
 * Has a connection whose FIN is acknowledged become a timewait socket when it is released, whatever its timers were: those of
 * a kernel socket are stopped then, and it would stay for ever.
 */
void ksf_shim_tcp_prepare_release(struct sock *sk);

/* Remembers that a sender waits for room; returns whether there is room nevertheless. */
bool ksf_shim_tcp_want_room(struct sock *sk);

/* Whether a sender that was told to wait may go on; if so, the socket no longer remembers that one waits. */
bool ksf_shim_take_write_space(struct sock *sk);

/* Whether the current context may use a TCP socket whose data_ready runs: softirq, and nobody owns the socket. */
bool ksf_shim_may_serve_inline(struct sock *sk);

/* Sets what all connections of a listener inherit. It is not listening yet. */
void ksf_shim_tcp_prepare_listener(struct sock *sk, u32 receive_bytes);

/* A page_frag gives its memory back. */
void ksf_shim_page_frag_free(struct page_frag *frag);

/*
 * Memory of received packets
 */

/* The run at "offset" of an skb's data. "len" is 0 at its end, and when the CPU cannot read it. */
void ksf_shim_skb_run(const struct sk_buff *skb, u32 offset, struct ksf_shim_run *run);

/* A new skb without data and with room for "len" bytes, or NULL. */
struct sk_buff *ksf_shim_skb_alloc(u32 len, gfp_t gfp);

/* Copies data of "from" behind the data of such an skb, which has room for it and no clone. */
int ksf_shim_skb_append(struct sk_buff *skb, const struct sk_buff *from, u32 offset, u32 len);

/* Takes another reference to an skb, which must not be changed as long as there are several. */
void ksf_shim_skb_get(struct sk_buff *skb);

/* Gives up an skb that was served, or was not. */
void ksf_shim_consume_skb(struct sk_buff *skb);
void ksf_shim_drop_skb(struct sk_buff *skb);
u32 ksf_shim_skb_len(const struct sk_buff *skb);
u32 ksf_shim_skb_truesize(const struct sk_buff *skb);
void ksf_shim_get_page(struct page *page);
void ksf_shim_put_page(struct page *page);

/*
 * UDP
 */

/* Where a datagram came from and to. */
struct ksf_shim_udp_flow {
	u8 peer[16];		/* 4 bytes of it count if family is AF_INET */
	u8 local[16];
	__be16 peer_port;
	__be16 local_port;
	u16 family;
	u32 interface;		/* where an IPv6 datagram with a link-local address came in, or 0 */
};

/* What encap_rcv does: 0 when it took the skb, 1 when UDP is to queue it. */
typedef int (*ksf_shim_udp_receive)(struct sock *sk, struct sk_buff *skb);

/* Lets "receive" see each datagram first. Process context. */
void ksf_shim_udp_attach(struct sock *sk, ksf_shim_udp_receive receive, void *user_data,
			 void (*data_ready)(struct sock *sk));
void ksf_shim_udp_detach(struct sock *sk, void (*data_ready)(struct sock *sk));
void *ksf_shim_user_data(struct sock *sk);

/* In encap_rcv: whether the datagram was sent to this host alone. */
bool ksf_shim_udp_is_unicast(const struct sk_buff *skb);

/* In encap_rcv: takes the UDP header off. False if the datagram is broken. */
bool ksf_shim_udp_pull(struct sk_buff *skb);

/* The flow of a datagram whose UDP header was taken off. */
void ksf_shim_udp_flow(const struct sk_buff *skb, struct ksf_shim_udp_flow *flow);

/* Whether anything is in the queues of the socket. */
bool ksf_shim_udp_queue_empty(struct sock *sk);

/* A new skb for a datagram of "len" bytes, or NULL. */
struct sk_buff *ksf_shim_udp_alloc(u32 len, gfp_t gfp);

/* Writes into the data of an skb of ksf_shim_udp_alloc(). */
int ksf_shim_udp_write(struct sk_buff *skb, u32 offset, const void *data, u32 len);

/*
 * Sends "skb", whose data is the payload, back to the peer of "flow", from where the peer had sent to. Takes it in any
 * case. It is one of ksf_shim_udp_alloc(), or a received one that nobody else uses. Any context but hard interrupts,
 * with bottom halves off.
 */
int ksf_shim_udp_send(struct sock *sk, struct sk_buff *skb, const struct ksf_shim_udp_flow *flow);

/* Whether a received skb may be sent back. */
bool ksf_shim_udp_reusable(struct sk_buff *skb);

/*
 * UDP, with routes that are kept and with segments
 */

/* A route, to which there is a reference unless it is NULL. */
struct ksf_shim_udp_route {
	struct dst_entry *dst;
	u32 cookie;		/* what it was found in, for IPv6 */
};

/* Looks up the route to the peer of "flow". Any context but hard interrupts, with bottom halves off. */
int ksf_shim_udp_route(struct sock *sk, const struct ksf_shim_udp_flow *flow, struct ksf_shim_udp_route *route);

/* Whether a route that was found is still one. */
bool ksf_shim_udp_route_is_valid(const struct ksf_shim_udp_route *route);
void ksf_shim_udp_route_put(struct ksf_shim_udp_route *route);

/* How many bytes of payload fit into one packet on that route, and whether segments may be combined. */
u32 ksf_shim_udp_route_payload(const struct ksf_shim_udp_route *route, const struct ksf_shim_udp_flow *flow);
bool ksf_shim_udp_route_combines(const struct ksf_shim_udp_route *route);

/* A new skb without data, and with room for "linear" bytes in one piece, or NULL. */
struct sk_buff *ksf_shim_udp_begin(u32 linear);

/*
 * Append to the data of such an skb: bytes, which are copied, and bytes of a page, to which a reference is taken. Return how
 * many pieces the skb has then besides its own memory, -EMSGSIZE when there would be more than it can have, -ENOBUFS when
 * memory is short.
 */
int ksf_shim_udp_add_bytes(struct sk_buff *skb, struct page_frag_cache *cache, const void *data, u32 len);
int ksf_shim_udp_add_page(struct sk_buff *skb, struct page *page, u32 offset, u32 len);

/* Gives up what is behind the first "len" bytes of data. */
void ksf_shim_udp_cut(struct sk_buff *skb, u32 len);

/*
 * Sends such an skb, in datagrams of "segment" bytes, the last of which may be shorter. Takes it in any case. The route is
 * valid, and stays during the call. As ksf_shim_udp_send().
 */
int ksf_shim_udp_transmit(struct sock *sk, struct sk_buff *skb, const struct ksf_shim_udp_flow *flow,
			  const struct ksf_shim_udp_route *route, u32 hash, u32 segment);

/* How many bytes of memory may be sent until the send buffer is full. */
u32 ksf_shim_udp_room(const struct sock *sk);

/* The size of the send buffer. Process context. */
void ksf_shim_udp_set_send_buffer(struct sock *sk, u32 bytes);

/*
 * Datagrams that wait
 */

/* Has nothing of the device and of others that a datagram came with, so that it may be kept. */
void ksf_shim_skb_detach(struct sk_buff *skb);

/* A number that is kept with such an skb, at first 0. */
u8 ksf_shim_skb_mark(const struct sk_buff *skb);
void ksf_shim_skb_set_mark(struct sk_buff *skb, u8 mark);

/* The first "len" bytes of data, in the skb's own memory. NULL if there are fewer, or memory is short. */
const u8 *ksf_shim_skb_head(struct sk_buff *skb, u32 len);

/* Pushes an skb on a list. Returns whether that was empty. Any context. */
bool ksf_shim_skb_push(struct llist_head *list, struct sk_buff *skb);

/* Takes all skbs of a list: returns the first that was pushed, or NULL. */
struct sk_buff *ksf_shim_skb_take(struct llist_head *list);

/* Takes an skb off those that were taken with it. Returns the next one, or NULL. */
struct sk_buff *ksf_shim_skb_split(struct sk_buff *skb);

/*
 * Softirqs
 */

/* Called in softirq, says how much was done, and whether it is to be called again. */
typedef u32 (*ksf_shim_napi_poll)(void *data, bool *again);

struct ksf_shim_napi;

/* What NAPI instances belong to. Freed after them. Process context. */
struct net_device *ksf_shim_napi_device_new(void);
void ksf_shim_napi_device_free(struct net_device *device);

/* A NAPI instance, or NULL. Freeing waits for those who run it. Process context. */
struct ksf_shim_napi *ksf_shim_napi_new(struct net_device *device, ksf_shim_napi_poll poll, void *data);
void ksf_shim_napi_free(struct ksf_shim_napi *napi);

/*
 * Has softirq on "cpu", or here if that is offline, call the instance. To be called again only when it was. Any
 * interrupt, or with bottom halves off.
 */
void ksf_shim_napi_schedule(struct ksf_shim_napi *napi, unsigned int cpu);

/*
 * Timers
 */

struct ksf_shim_timer;

/* A timer that calls "fire" in a hard interrupt, or NULL. Freeing waits for the end of that. Process context. */
struct ksf_shim_timer *ksf_shim_timer_new(void (*fire)(void *data), void *data);
void ksf_shim_timer_free(struct ksf_shim_timer *timer);

/* Starts or moves a timer, on this CPU, to a moment of the time since the start in ns. */
void ksf_shim_timer_start(struct ksf_shim_timer *timer, u64 at);
u64 ksf_shim_monotonic_ns(void);

/*
 * Pages
 */

/* 2^order pages of zeroes, or NULL. Process context. */
struct page *ksf_shim_alloc_pages(unsigned int order);
void *ksf_shim_page_address(struct page *page);

/*
 * Network namespaces, CPUs and tasks
 */

/* The network namespace of the current process, and the number of one. */
struct net *ksf_shim_current_net(void);
u32 ksf_shim_net_inum(const struct net *net);
bool ksf_shim_is_init_net(const struct net *net);

/* Takes a reference, unless there is none any more: maybe_get_net(). */
bool ksf_shim_get_net(struct net *net);
void ksf_shim_put_net(struct net *net);

/*
 * debugfs
 */

/* What a file leads to: who shows it is called with this as "entry". */
struct ksf_shim_debugfs_entry {
	int (*show)(struct seq_file *seq, void *entry);
};

/* Creates a file that keeps ksf.ko while it is open. */
struct dentry *ksf_shim_debugfs_create(const char *name, struct dentry *parent, struct ksf_shim_debugfs_entry *entry);

/* Announces that the current task is about to sleep, without counting as load. */
void ksf_shim_prepare_to_sleep(void);
void ksf_shim_finish_sleep(void);

/* Lets others run if it is their turn. */
void ksf_shim_cond_resched(void);

void ksf_shim_local_bh_disable(void);
void ksf_shim_local_bh_enable(void);

/* Time since some moment in the cheapest unit that there is, good for differences on one CPU; how many of it are a millisecond. */
u64 ksf_shim_ticks(void);
u64 ksf_shim_ticks_per_ms(void);

/* How many runs of the receiving softirq there have been on this CPU. */
u32 ksf_shim_softirq_run(void);

void ksf_shim_cpu_relax(void);
bool ksf_shim_need_resched(void);

/* Binds the current task to a CPU. */
int ksf_shim_bind_to_cpu(unsigned int cpu);

/* Parses a list such as "0-3,8" into the numbers of possible CPUs: calls "each" for them in order. */
int ksf_shim_parse_cpus(const char *list, void (*each)(unsigned int cpu, void *data), void *data);

#endif
