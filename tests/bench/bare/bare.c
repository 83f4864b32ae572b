// SPDX-License-Identifier: GPL-2.0
/*
 * An experiment to compare kecho with, not a server: the least that an echo in the kernel costs, without a framework.
 *
 *   mode=2  a thread, woken when something has come
 *   mode=3  no thread: in softirq, where it has come
 *   udp=1   datagrams instead of a stream
 *
 * The numbers are those of the experiment in which the difference was first seen; 0 and 1 were threads that cost more.
 *
 * It serves IPv4 only and one TCP connection after the other, has no limits, and closes a connection whose client does
 * not read: what a framework adds to be a server is just what is to be measured. It can be unloaded at any time.
 */
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/udp_tunnel.h>

static int mode = 2;
module_param(mode, int, 0444);
MODULE_PARM_DESC(mode, "2: in a thread, 3: in softirq");
static bool udp;
module_param(udp, bool, 0444);
MODULE_PARM_DESC(udp, "datagrams instead of a stream");
static ushort port = 6000;
module_param(port, ushort, 0444);
MODULE_PARM_DESC(port, "port");

/* ip_make_skb() uses the current task's page fragment for more, and in softirq that task is any. */
#define INLINE_DATAGRAM 8192

static struct socket *server;	/* the listener, or the socket of all datagrams */
static struct task_struct *thread;
static DECLARE_WAIT_QUEUE_HEAD(wq);
static bool ready;		/* something has come that the thread shall look at */
static bool broken;		/* a reply could not be sent */
static char buffer[65536];	/* of who serves: there is one at a time */

static void wake_thread(struct sock *sk)
{
	WRITE_ONCE(ready, true);
	wake_up(&wq);
}

/* Waits until something has come; false when the module is to be unloaded. */
static bool wait_until_ready(void)
{
	wait_event_interruptible(wq, READ_ONCE(ready) || kthread_should_stop());
	WRITE_ONCE(ready, false);
	return !kthread_should_stop();
}

/* Streams */

static int take(read_descriptor_t *desc, struct sk_buff *skb, unsigned int offset, size_t len)
{
	size_t n = min(len, sizeof(buffer) - desc->written);

	if (skb_copy_bits(skb, offset, buffer + desc->written, n))
		return 0;
	desc->written += n;
	return n;
}

/* The caller owns the socket's lock, or is in softirq with the socket's spinlock while nobody owns it. */
static void echo_stream(struct sock *sk)
{
	read_descriptor_t desc;

	do {
		struct msghdr msg = { .msg_flags = MSG_DONTWAIT };
		struct kvec vec = { .iov_base = buffer };

		desc = (read_descriptor_t){ .count = 1 };
		tcp_read_sock(sk, &desc, take);
		if (!desc.written)
			return;
		vec.iov_len = desc.written;
		iov_iter_kvec(&msg.msg_iter, ITER_SOURCE, &vec, 1, vec.iov_len);
		if (tcp_sendmsg_locked(sk, &msg, vec.iov_len) != vec.iov_len)
			broken = true;
	} while (desc.written == sizeof(buffer) && !broken);
}

static bool is_over(struct sock *sk)
{
	return broken || sk->sk_shutdown & RCV_SHUTDOWN;
}

static void stream_ready(struct sock *sk)
{
	/* Owned: this is the backlog, run by who releases the lock, in the middle of what he does. */
	if (mode == 3 && !sock_owned_by_user(sk)) {
		echo_stream(sk);
		if (!is_over(sk))
			return;
	}
	wake_thread(sk);
}

static void serve_connection(struct socket *conn)
{
	void (*data_ready)(struct sock *sk), (*state_change)(struct sock *sk);
	struct sock *sk = conn->sk;
	bool over;

	tcp_sock_set_nodelay(sk);
	broken = false;
	lock_sock(sk);
	data_ready = sk->sk_data_ready;
	state_change = sk->sk_state_change;
	if (mode == 3) {
		sk->sk_allocation = GFP_ATOMIC;
		/* Else sk_page_frag() would be that of whatever task the softirq interrupted. */
		sk->sk_use_task_frag = false;
	}
	sk->sk_data_ready = stream_ready;
	sk->sk_state_change = wake_thread;
	release_sock(sk);

	/* What came before the callbacks were set has called nobody. */
	WRITE_ONCE(ready, true);
	do {
		if (!wait_until_ready())
			break;
		lock_sock(sk);
		echo_stream(sk);
		over = is_over(sk);
		release_sock(sk);
	} while (!over);

	lock_sock(sk);
	sk->sk_data_ready = data_ready;
	sk->sk_state_change = state_change;
	release_sock(sk);
}

static int serve_streams(void *unused)
{
	struct socket *conn;

	while (!kernel_accept(server, &conn, 0)) {
		serve_connection(conn);
		sock_release(conn);
	}
	/* The listener was shut down, for the module is to be unloaded. */
	wait_event_interruptible(wq, kthread_should_stop());
	return 0;
}

/* Datagrams */

static int echo_datagram_inline(struct sock *sk, struct sk_buff *skb)
{
	struct sockaddr_in peer = {
		.sin_family = AF_INET,
		.sin_port = udp_hdr(skb)->source,
		.sin_addr.s_addr = ip_hdr(skb)->saddr,
	};
	struct msghdr msg = { .msg_name = &peer, .msg_namelen = sizeof(peer), .msg_flags = MSG_DONTWAIT };
	struct kvec vec;

	/* The thread's. */
	if (skb->len > INLINE_DATAGRAM || skb_linearize(skb))
		return 1;
	vec.iov_base = skb->data + sizeof(struct udphdr);
	vec.iov_len = skb->len - sizeof(struct udphdr);
	iov_iter_kvec(&msg.msg_iter, ITER_SOURCE, &vec, 1, vec.iov_len);
	/* Not kernel_sendmsg(), whose security hooks would judge the interrupted task. What cannot be sent is lost. */
	udp_sendmsg(sk, &msg, vec.iov_len);
	consume_skb(skb);
	return 0;
}

static bool has_datagrams(struct sock *sk)
{
	return !skb_queue_empty_lockless(&udp_sk(sk)->reader_queue) || !skb_queue_empty_lockless(&sk->sk_receive_queue);
}

static int serve_datagrams(void *unused)
{
	while (wait_until_ready()) {
		while (has_datagrams(server->sk)) {
			struct sockaddr_in peer;
			struct msghdr msg = { .msg_name = &peer };
			struct kvec vec = { buffer, sizeof(buffer) };
			int n = kernel_recvmsg(server, &msg, &vec, 1, sizeof(buffer), MSG_DONTWAIT);

			if (n < 0)
				break;
			vec = (struct kvec){ buffer, n };
			msg = (struct msghdr){
				.msg_name = &peer,
				.msg_namelen = sizeof(peer),
				.msg_flags = MSG_DONTWAIT,
			};
			kernel_sendmsg(server, &msg, &vec, 1, n);
		}
	}
	return 0;
}

static void set_datagram_callbacks(struct sock *sk)
{
	lock_sock(sk);
	sk->sk_data_ready = wake_thread;
	if (mode == 3) {
		sk->sk_allocation = GFP_ATOMIC;
		WRITE_ONCE(udp_sk(sk)->encap_rcv, echo_datagram_inline);
		/* Any type but 0: the callback is asked, and nothing else looks at it. */
		WRITE_ONCE(udp_sk(sk)->encap_type, 1);
		udp_tunnel_encap_enable(sk);
	}
	release_sock(sk);
}

static int __init bare_init(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };
	int err;

	if (mode != 2 && mode != 3)
		return -EINVAL;
	err = sock_create_kern(&init_net, AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0, &server);
	if (err)
		return err;
	sock_set_reuseaddr(server->sk);
	err = kernel_bind(server, (void *)&addr, sizeof(addr));
	if (!err && !udp)
		err = kernel_listen(server, 16);
	if (err)
		goto release;
	thread = kthread_create(udp ? serve_datagrams : serve_streams, NULL, "bare");
	if (IS_ERR(thread)) {
		err = PTR_ERR(thread);
		goto release;
	}
	if (udp)
		set_datagram_callbacks(server->sk);
	wake_up_process(thread);
	return 0;

release:
	sock_release(server);
	return err;
}
module_init(bare_init);

static void __exit bare_exit(void)
{
	/* A thread that waits for a connection sees this, and one that serves is told to stop. */
	kernel_sock_shutdown(server, SHUT_RDWR);
	kthread_stop(thread);
	sock_release(server);
	/* A datagram's callback may still run. */
	synchronize_net();
}
module_exit(bare_exit);

MODULE_DESCRIPTION("The least that an echo in the kernel costs: an experiment");
MODULE_LICENSE("GPL");
