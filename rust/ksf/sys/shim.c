// SPDX-License-Identifier: GPL-2.0

#include <linux/cpumask.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "shim.h"

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

bool ksf_shim_take_write_space(struct sock *sk)
{
	struct socket *sock = READ_ONCE(sk->sk_socket);

	if (!sock || !sk_stream_is_writeable(sk))
		return false;
	clear_bit(SOCK_NOSPACE, &sock->flags);
	return true;
}

bool ksf_shim_send_queue_empty(struct sock *sk)
{
	bool empty;

	lock_sock(sk);
	empty = tcp_rtx_and_write_queues_empty(sk);
	release_sock(sk);
	return empty;
}

struct net *ksf_shim_current_net(void)
{
	return current->nsproxy->net_ns;
}

void ksf_shim_set_dual_stack(struct sock *sk)
{
	sk->sk_ipv6only = false;
}

void ksf_shim_prepare_to_sleep(void)
{
	set_current_state(TASK_IDLE);
}

void ksf_shim_finish_sleep(void)
{
	__set_current_state(TASK_RUNNING);
}

bool ksf_shim_cpu_online(unsigned int cpu)
{
	return cpu_online(cpu);
}

void ksf_shim_cond_resched(void)
{
	cond_resched();
}
