/* SPDX-License-Identifier: GPL-2.0 */
/* What bindgen reads: the C interface that ksf uses beyond the kernel crate's own bindings. */
#include <linux/hrtimer_types.h>	/* first: bindgen loses an enum of it otherwise */
#include <linux/debugfs.h>
#include <linux/filter.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/moduleparam.h>
#include <linux/net.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/skbuff.h>
#include <linux/socket.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include <net/sock_reuseport.h>
#include <net/tcp.h>
#include <net/udp.h>
#include "shim.h"
