// SPDX-License-Identifier: GPL-2.0

#include <linux/debugfs.h>
#include <linux/cpumask.h>
#include <linux/kernel_stat.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/sched/clock.h>
#include <linux/time64.h>
#if defined(CONFIG_X86_TSC) && !defined(CONFIG_UML)
#include <asm/tsc.h>
#endif
#include <net/flow.h>
#include <net/ip6_checksum.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>
#include <net/route.h>
#include <net/sock.h>
#include <net/sock_reuseport.h>
#include <net/tcp.h>
#include <net/udp.h>
#include <net/udp_tunnel.h>

#include "shim.h"

/* Only that it is not 0 matters, as in WireGuard. */
#define KSF_SHIM_ENCAP 1

/* Received data is read at the kernel's own address of its page. */
static_assert(!IS_ENABLED(CONFIG_HIGHMEM));

void ksf_shim_get_callbacks(struct sock *sk, struct ksf_shim_callbacks *callbacks)
{
	callbacks->data_ready = READ_ONCE(sk->sk_data_ready);
	callbacks->write_space = READ_ONCE(sk->sk_write_space);
	callbacks->state_change = READ_ONCE(sk->sk_state_change);
}

void ksf_shim_set_callbacks(struct sock *sk, const struct ksf_shim_callbacks *callbacks, void *user_data)
{
	/* TCP calls back with this lock held, but for a listener. */
	lock_sock(sk);
	write_lock_bh(&sk->sk_callback_lock);
	WRITE_ONCE(sk->sk_data_ready, callbacks->data_ready);
	WRITE_ONCE(sk->sk_write_space, callbacks->write_space);
	WRITE_ONCE(sk->sk_state_change, callbacks->state_change);
	/* A connection that a listener clones must not inherit the listener's data. */
	__rcu_assign_sk_user_data_with_flags(sk, user_data, user_data ? SK_USER_DATA_NOCOPY : 0);
	write_unlock_bh(&sk->sk_callback_lock);
	release_sock(sk);
}

void *ksf_shim_lock_user_data(struct sock *sk)
{
	read_lock_bh(&sk->sk_callback_lock);
	return rcu_dereference_sk_user_data(sk);
}

void ksf_shim_unlock_user_data(struct sock *sk)
{
	read_unlock_bh(&sk->sk_callback_lock);
}

void ksf_shim_lock_sock(struct sock *sk)
{
	lock_sock(sk);
}

void ksf_shim_release_sock(struct sock *sk)
{
	release_sock(sk);
}

void ksf_shim_set_timeout(struct sock *sk, unsigned int ms)
{
	long jiffies = max(msecs_to_jiffies(ms), 1UL);

	WRITE_ONCE(sk->sk_sndtimeo, jiffies);
	WRITE_ONCE(sk->sk_rcvtimeo, jiffies);
}

int ksf_shim_send(struct socket *sock, const void *data, size_t len)
{
	struct msghdr msg = { .msg_flags = MSG_NOSIGNAL };
	struct kvec vec = { .iov_base = (void *)data, .iov_len = len };

	return kernel_sendmsg(sock, &msg, &vec, 1, len);
}

int ksf_shim_receive(struct socket *sock, void *data, size_t len)
{
	struct msghdr msg = {};
	struct kvec vec = { .iov_base = data, .iov_len = len };

	return kernel_recvmsg(sock, &msg, &vec, 1, len, 0);
}

void ksf_shim_set_v6only(struct sock *sk, bool v6only)
{
	sk->sk_ipv6only = v6only;
}

int ksf_shim_reuseport_slot(struct sock *sk)
{
	struct sock_reuseport *reuse;
	int i, slot = -1;

	rcu_read_lock();
	reuse = rcu_dereference(sk->sk_reuseport_cb);
	for (i = 0; reuse && i < READ_ONCE(reuse->num_socks); i++) {
		if (READ_ONCE(reuse->socks[i]) == sk)
			slot = i;
	}
	rcu_read_unlock();
	return slot;
}

static void ksf_shim_tcp_limit_buffers(struct sock *sk, u32 bytes)
{
	if (unlikely(sk->sk_rcvbuf > bytes)) {
		sk->sk_userlocks |= SOCK_RCVBUF_LOCK;
		WRITE_ONCE(sk->sk_rcvbuf, max_t(u32, bytes, SOCK_MIN_RCVBUF));
	}
	if (unlikely(sk->sk_sndbuf > bytes)) {
		sk->sk_userlocks |= SOCK_SNDBUF_LOCK;
		WRITE_ONCE(sk->sk_sndbuf, max_t(u32, bytes, SOCK_MIN_SNDBUF));
	}
}

void ksf_shim_tcp_status(struct sock *sk, u32 buffer_bytes, struct ksf_shim_tcp_status *status,
			 struct ksf_shim_position *position)
{
	struct tcp_sock *tp = tcp_sk(sk);
	int room;

	ksf_shim_tcp_limit_buffers(sk, buffer_bytes);
	room = READ_ONCE(sk->sk_sndbuf) - READ_ONCE(sk->sk_wmem_queued);
	/* Left alone it would end TCP's fast path, and reading, for ever. */
	if (unlikely(tp->urg_data))
		WRITE_ONCE(tp->urg_data, 0);
	status->unread = tcp_inq(sk);
	status->room = max(room, 0);
	status->memory = atomic_read(&sk->sk_rmem_alloc) + READ_ONCE(sk->sk_wmem_queued);
	status->error = READ_ONCE(sk->sk_err);
	/* The window that is announced is about half of the buffer. */
	status->crowded = atomic_read(&sk->sk_rmem_alloc) >= READ_ONCE(sk->sk_rcvbuf) / 4;
	status->finished = (1 << sk->sk_state) & (TCPF_CLOSE | TCPF_FIN_WAIT2 | TCPF_TIME_WAIT);
	status->receive_shutdown = sk->sk_shutdown & RCV_SHUTDOWN;
	status->sent_all = tcp_rtx_and_write_queues_empty(sk);

	position->skb = status->unread ? tcp_recv_skb(sk, tp->copied_seq, &position->offset) : NULL;
	if (position->skb) {
		position->end = position->skb->len;
		ksf_shim_skb_run(position->skb, position->offset, &position->run);
	}
}

u32 ksf_shim_tcp_acknowledged(const struct sock *sk)
{
	return tcp_sk(sk)->snd_una;
}

u32 ksf_shim_tcp_written(const struct sock *sk)
{
	return tcp_sk(sk)->write_seq;
}

struct sk_buff *ksf_shim_tcp_first(struct sock *sk, u32 *offset)
{
	return tcp_recv_skb(sk, tcp_sk(sk)->copied_seq, offset);
}

struct sk_buff *ksf_shim_tcp_next(struct sock *sk, struct sk_buff *skb, u32 *offset)
{
	u32 seq = TCP_SKB_CB(skb)->seq + skb->len;

	/* Segments may overlap. */
	skb_queue_walk_from(&sk->sk_receive_queue, skb) {
		*offset = seq - TCP_SKB_CB(skb)->seq;
		if (*offset < skb->len)
			return skb;
	}
	return NULL;
}

static int ksf_shim_tcp_send(struct sock *sk, struct msghdr *msg, size_t len, struct page_frag *frag)
{
	int sent;

	/*
	 * Without a fragment of its own, each connection would keep one of 32 KiB; that of the current task is not to be
	 * touched in softirq. So all connections of a core share one, which each borrows under its lock.
	 */
	sk->sk_frag = *frag;
	sent = tcp_sendmsg_locked(sk, msg, len);
	*frag = sk->sk_frag;
	sk->sk_frag.page = NULL;
	return sent;
}

int ksf_shim_tcp_send_bytes(struct sock *sk, const void *data, size_t len, int flags, struct page_frag *frag)
{
	struct msghdr msg = { .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL | flags };
	struct kvec vec = { .iov_base = (void *)data, .iov_len = len };

	iov_iter_kvec(&msg.msg_iter, ITER_SOURCE, &vec, 1, len);
	return ksf_shim_tcp_send(sk, &msg, len, frag);
}

int ksf_shim_tcp_send_pages(struct sock *sk, const struct bio_vec *pages, unsigned int count, size_t len, int flags,
			    struct page_frag *frag)
{
	struct msghdr msg = { .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL | MSG_SPLICE_PAGES | flags };

	iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, pages, count, len);
	return ksf_shim_tcp_send(sk, &msg, len, frag);
}

void ksf_shim_tcp_prepare_release(struct sock *sk)
{
	/* tcp_fin_time() is the larger of the two, and __tcp_close() compares it with TCP_TIMEWAIT_LEN. */
	WRITE_ONCE(tcp_sk(sk)->linger2, TCP_TIMEWAIT_LEN);
	inet_csk(sk)->icsk_rto = min_t(u32, inet_csk(sk)->icsk_rto, TCP_TIMEWAIT_LEN / 4);
}

bool ksf_shim_tcp_want_room(struct sock *sk)
{
	set_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
	/* Pairs with the barrier of tcp_check_space(). */
	smp_mb__after_atomic();
	return sk_stream_is_writeable(sk);
}

bool ksf_shim_take_write_space(struct sock *sk)
{
	struct socket *sock = READ_ONCE(sk->sk_socket);

	if (!sock || !sk_stream_is_writeable(sk))
		return false;
	clear_bit(SOCK_NOSPACE, &sock->flags);
	return true;
}

bool ksf_shim_may_serve_inline(struct sock *sk)
{
	return in_serving_softirq() && !sock_owned_by_user_nocheck(sk);
}

void ksf_shim_tcp_prepare_listener(struct sock *sk, u32 receive_bytes)
{
	lock_sock(sk);
	/* Sent also in softirq, where one must not sleep for memory nor use what belongs to the interrupted task. */
	sk->sk_allocation = GFP_ATOMIC;
	sk->sk_use_task_frag = false;
	/* Urgent data is data like any other (RFC 6093). */
	sock_set_flag(sk, SOCK_URGINLINE);
	/* Grows with what is read; a peer that is not read from yet takes no more than this. */
	WRITE_ONCE(sk->sk_rcvbuf, receive_bytes);
	release_sock(sk);
	sock_set_keepalive(sk);
	tcp_sock_set_nodelay(sk);
}

void ksf_shim_page_frag_free(struct page_frag *frag)
{
	if (frag->page)
		put_page(frag->page);
	frag->page = NULL;
}

void ksf_shim_skb_run(const struct sk_buff *skb, u32 offset, struct ksf_shim_run *run)
{
	const struct sk_buff *part;
	u32 start = skb_headlen(skb);
	int i;

	run->page = NULL;
	if (offset < start) {
		run->data = skb->data + offset;
		run->len = start - offset;
		return;
	}
	run->len = 0;
	if (!skb_frags_readable(skb))
		return;
	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++) {
		const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];
		u32 size = skb_frag_size(frag);

		if (offset - start < size) {
			run->data = (u8 *)skb_frag_address(frag) + (offset - start);
			run->len = size - (offset - start);
			run->page = skb_frag_page(frag);
			run->page_offset = skb_frag_off(frag) + (offset - start);
			return;
		}
		start += size;
	}
	skb_walk_frags(skb, part) {
		if (offset - start < part->len) {
			ksf_shim_skb_run(part, offset - start, run);
			return;
		}
		start += part->len;
	}
}

struct sk_buff *ksf_shim_skb_alloc(u32 len, gfp_t gfp)
{
	return alloc_skb(len, gfp);
}

int ksf_shim_skb_append(struct sk_buff *skb, const struct sk_buff *from, u32 offset, u32 len)
{
	int err = skb_copy_bits(from, offset, skb_tail_pointer(skb), len);

	if (!err)
		skb_put(skb, len);
	return err;
}

void ksf_shim_skb_get(struct sk_buff *skb)
{
	skb_get(skb);
}

void ksf_shim_consume_skb(struct sk_buff *skb)
{
	consume_skb(skb);
}

void ksf_shim_drop_skb(struct sk_buff *skb)
{
	kfree_skb(skb);
}

u32 ksf_shim_skb_len(const struct sk_buff *skb)
{
	return skb->len;
}

u32 ksf_shim_skb_truesize(const struct sk_buff *skb)
{
	return skb->truesize;
}

void ksf_shim_skb_detach(struct sk_buff *skb)
{
	skb_orphan(skb);
	skb_dst_drop(skb);
	nf_reset_ct(skb);
	secpath_reset(skb);
	skb->dev = NULL;
	ksf_shim_skb_set_mark(skb, 0);
}

/* Behind what IPv4, IPv6 and UDP keep there, which still counts. */
#define KSF_SHIM_MARK (sizeof_field(struct sk_buff, cb) - 1)
static_assert(sizeof(struct udp_skb_cb) <= KSF_SHIM_MARK);

u8 ksf_shim_skb_mark(const struct sk_buff *skb)
{
	return skb->cb[KSF_SHIM_MARK];
}

void ksf_shim_skb_set_mark(struct sk_buff *skb, u8 mark)
{
	skb->cb[KSF_SHIM_MARK] = mark;
}

const u8 *ksf_shim_skb_head(struct sk_buff *skb, u32 len)
{
	return pskb_may_pull(skb, len) ? skb->data : NULL;
}

bool ksf_shim_skb_push(struct llist_head *list, struct sk_buff *skb)
{
	return llist_add(&skb->ll_node, list);
}

struct sk_buff *ksf_shim_skb_take(struct llist_head *list)
{
	struct llist_node *first = llist_reverse_order(llist_del_all(list));

	return first ? llist_entry(first, struct sk_buff, ll_node) : NULL;
}

struct sk_buff *ksf_shim_skb_split(struct sk_buff *skb)
{
	struct sk_buff *next = skb->ll_node.next ? llist_entry(skb->ll_node.next, struct sk_buff, ll_node) : NULL;

	skb_mark_not_on_list(skb);
	return next;
}

struct page *ksf_shim_alloc_pages(unsigned int order)
{
	/* What is large may be refused: then it is made of small ones. */
	gfp_t large = order ? __GFP_COMP | __GFP_NORETRY | __GFP_NOWARN : 0;

	return alloc_pages(GFP_KERNEL | __GFP_ZERO | large, order);
}

void *ksf_shim_page_address(struct page *page)
{
	return page_address(page);
}

void ksf_shim_get_page(struct page *page)
{
	get_page(page);
}

void ksf_shim_put_page(struct page *page)
{
	put_page(page);
}

void ksf_shim_udp_attach(struct sock *sk, ksf_shim_udp_receive receive, void *user_data,
			 void (*data_ready)(struct sock *sk))
{
	lock_sock(sk);
	sk->sk_allocation = GFP_ATOMIC;
	rcu_assign_sk_user_data(sk, user_data);
	WRITE_ONCE(sk->sk_data_ready, data_ready);
	WRITE_ONCE(udp_sk(sk)->encap_type, KSF_SHIM_ENCAP);
	WRITE_ONCE(udp_sk(sk)->encap_rcv, receive);
	udp_tunnel_encap_enable(sk);
	release_sock(sk);
}

void ksf_shim_udp_detach(struct sock *sk, void (*data_ready)(struct sock *sk))
{
	lock_sock(sk);
	WRITE_ONCE(udp_sk(sk)->encap_rcv, NULL);
	WRITE_ONCE(sk->sk_data_ready, data_ready);
	rcu_assign_sk_user_data(sk, NULL);
	release_sock(sk);
}

void *ksf_shim_user_data(struct sock *sk)
{
	return rcu_dereference_sk_user_data(sk);
}

bool ksf_shim_udp_is_unicast(const struct sk_buff *skb)
{
	if (skb->pkt_type != PACKET_HOST)
		return false;
	if (skb->protocol == htons(ETH_P_IPV6))
		return !ipv6_addr_is_multicast(&ipv6_hdr(skb)->daddr);
	/* Early demultiplexing of UDP attaches no route that would not be for this host. */
	return !ipv4_is_multicast(ip_hdr(skb)->daddr) && !ipv4_is_lbcast(ip_hdr(skb)->daddr) &&
	       (!skb_rtable(skb) || skb_rtable(skb)->rt_type == RTN_LOCAL);
}

bool ksf_shim_udp_pull(struct sk_buff *skb)
{
	if (!pskb_may_pull(skb, sizeof(struct udphdr)))
		return false;
	__skb_pull(skb, sizeof(struct udphdr));
	return true;
}

void ksf_shim_udp_flow(const struct sk_buff *skb, struct ksf_shim_udp_flow *flow)
{
	const struct udphdr *udp = udp_hdr(skb);

	flow->peer_port = udp->source;
	flow->local_port = udp->dest;
	flow->interface = 0;
	if (skb->protocol == htons(ETH_P_IPV6)) {
		flow->family = AF_INET6;
		memcpy(flow->peer, &ipv6_hdr(skb)->saddr, sizeof(struct in6_addr));
		memcpy(flow->local, &ipv6_hdr(skb)->daddr, sizeof(struct in6_addr));
		if (ipv6_addr_type(&ipv6_hdr(skb)->saddr) & IPV6_ADDR_LINKLOCAL)
			flow->interface = inet6_iif(skb);
	} else {
		flow->family = AF_INET;
		memcpy(flow->peer, &ip_hdr(skb)->saddr, sizeof(struct in_addr));
		memcpy(flow->local, &ip_hdr(skb)->daddr, sizeof(struct in_addr));
	}
}

bool ksf_shim_udp_queue_empty(struct sock *sk)
{
	return skb_queue_empty_lockless(&sk->sk_receive_queue) &&
	       skb_queue_empty_lockless(&udp_sk(sk)->reader_queue);
}

struct net *ksf_shim_current_net(void)
{
	return current->nsproxy->net_ns;
}

u32 ksf_shim_net_inum(const struct net *net)
{
	return net->ns.inum;
}

void ksf_shim_prepare_to_sleep(void)
{
	set_current_state(TASK_IDLE);
}

void ksf_shim_finish_sleep(void)
{
	__set_current_state(TASK_RUNNING);
}

void ksf_shim_cond_resched(void)
{
	cond_resched();
}

void ksf_shim_local_bh_disable(void)
{
	local_bh_disable();
}

void ksf_shim_local_bh_enable(void)
{
	local_bh_enable();
}

#if defined(CONFIG_X86_TSC) && !defined(CONFIG_UML)
u64 ksf_shim_ticks(void)
{
	return rdtsc();
}

u64 ksf_shim_ticks_per_ms(void)
{
	return tsc_khz;
}
#else
u64 ksf_shim_ticks(void)
{
	return local_clock();
}

u64 ksf_shim_ticks_per_ms(void)
{
	return NSEC_PER_MSEC;
}
#endif

u32 ksf_shim_softirq_run(void)
{
	return __this_cpu_read(kstat.softirqs[NET_RX_SOFTIRQ]);
}

void ksf_shim_cpu_relax(void)
{
	cpu_relax();
}

bool ksf_shim_need_resched(void)
{
	return need_resched();
}

int ksf_shim_bind_to_cpu(unsigned int cpu)
{
	return set_cpus_allowed_ptr(current, cpumask_of(cpu));
}

int ksf_shim_parse_cpus(const char *list, void (*each)(unsigned int cpu, void *data), void *data)
{
	cpumask_var_t mask;
	unsigned int cpu;
	int err;

	if (!zalloc_cpumask_var(&mask, GFP_KERNEL))
		return -ENOMEM;
	err = cpulist_parse(list, mask);
	if (!err && !cpumask_subset(mask, cpu_possible_mask))
		err = -ERANGE;
	if (!err) {
		for_each_cpu(cpu, mask)
			each(cpu, data);
	}
	free_cpumask_var(mask);
	return err;
}

bool ksf_shim_is_init_net(const struct net *net)
{
	return net_eq(net, &init_net);
}

bool ksf_shim_get_net(struct net *net)
{
	return maybe_get_net(net);
}

void ksf_shim_put_net(struct net *net)
{
	put_net(net);
}

static int ksf_shim_debugfs_show(struct seq_file *seq, void *unused)
{
	struct ksf_shim_debugfs_entry *entry = seq->private;

	return entry->show(seq, entry);
}
DEFINE_SHOW_ATTRIBUTE(ksf_shim_debugfs);

struct dentry *ksf_shim_debugfs_create(const char *name, struct dentry *parent, struct ksf_shim_debugfs_entry *entry)
{
	return debugfs_create_file(name, 0400, parent, entry, &ksf_shim_debugfs_fops);
}
