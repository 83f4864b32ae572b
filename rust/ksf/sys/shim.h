/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What Rust cannot reach: inline functions, macros, and the fields of structures that the kernel crate's bindings keep
 * opaque. No logic lives here that could live in Rust.
 */
#ifndef _KSF_SHIM_H
#define _KSF_SHIM_H

#include <net/sock.h>

struct net;

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

/* Whether a sender that was told to wait may go on; if so, the socket no longer remembers that one waits. */
bool ksf_shim_take_write_space(struct sock *sk);

/* Whether nothing of a TCP socket waits to be sent or acknowledged. Process context. */
bool ksf_shim_send_queue_empty(struct sock *sk);

/* The network namespace of the current process. */
struct net *ksf_shim_current_net(void);

/* Makes an IPv6 socket that is not bound yet accept IPv4 as well. */
void ksf_shim_set_dual_stack(struct sock *sk);

/* Announces that the current task is about to sleep, without counting as load. */
void ksf_shim_prepare_to_sleep(void);
void ksf_shim_finish_sleep(void);

/* Whether a CPU that is possible is online at this moment. */
bool ksf_shim_cpu_online(unsigned int cpu);

/* Lets others run if it is their turn. */
void ksf_shim_cond_resched(void);

#endif
