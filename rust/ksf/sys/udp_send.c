// SPDX-License-Identifier: GPL-2.0
/* How datagrams are sent: packets are made, get their headers, and are given to IP. */

#include <linux/if_vlan.h>
#include <net/ip6_checksum.h>
#include <net/ip6_fib.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/route.h>
#include <net/udp.h>

#include "shim.h"

/* What is in front of the payload: link, IP and UDP header. */
#define KSF_SHIM_UDP_HEADROOM (MAX_HEADER + sizeof(struct ipv6hdr) + sizeof(struct udphdr))
/* What is allocated in one piece; the rest is in pages. */
#define KSF_SHIM_UDP_LINEAR 2048

struct sk_buff *ksf_shim_udp_alloc(u32 len, gfp_t gfp)
{
	u32 linear = min_t(u32, len, KSF_SHIM_UDP_LINEAR);
	struct sk_buff *skb;
	int err;

	skb = alloc_skb_with_frags(KSF_SHIM_UDP_HEADROOM + linear, len - linear, PAGE_ALLOC_COSTLY_ORDER, &err, gfp);
	if (!skb)
		return NULL;
	skb_reserve(skb, KSF_SHIM_UDP_HEADROOM);
	skb_put(skb, linear);
	skb->data_len = len - linear;
	skb->len += len - linear;
	return skb;
}

int ksf_shim_udp_write(struct sk_buff *skb, u32 offset, const void *data, u32 len)
{
	return skb_store_bits(skb, offset, data, len);
}

struct sk_buff *ksf_shim_udp_begin(u32 linear)
{
	struct sk_buff *skb = alloc_skb(KSF_SHIM_UDP_HEADROOM + linear, GFP_ATOMIC | __GFP_NOWARN);

	if (skb)
		skb_reserve(skb, KSF_SHIM_UDP_HEADROOM);
	return skb;
}

static int ksf_shim_udp_add_frag(struct sk_buff *skb, struct page *page, u32 offset, u32 len)
{
	int frags = skb_shinfo(skb)->nr_frags;

	skb_fill_page_desc(skb, frags, page, offset, len);
	skb->len += len;
	skb->data_len += len;
	skb->truesize += len;
	return frags + 1;
}

int ksf_shim_udp_add_bytes(struct sk_buff *skb, struct page_frag_cache *cache, const void *data, u32 len)
{
	struct page *page;
	void *memory;

	if (!skb_is_nonlinear(skb) && skb_tailroom(skb) >= len) {
		skb_put_data(skb, data, len);
		return skb_shinfo(skb)->nr_frags;
	}
	if (skb_shinfo(skb)->nr_frags == MAX_SKB_FRAGS)
		return -EMSGSIZE;
	memory = page_frag_alloc_align(cache, len, GFP_ATOMIC | __GFP_NOWARN, sizeof(u32));
	if (!memory)
		return -ENOBUFS;
	memcpy(memory, data, len);
	page = virt_to_head_page(memory);
	return ksf_shim_udp_add_frag(skb, page, memory - page_address(page), len);
}

int ksf_shim_udp_add_page(struct sk_buff *skb, struct page *page, u32 offset, u32 len)
{
	if (skb_shinfo(skb)->nr_frags == MAX_SKB_FRAGS)
		return -EMSGSIZE;
	get_page(page);
	return ksf_shim_udp_add_frag(skb, page, offset, len);
}

void ksf_shim_udp_cut(struct sk_buff *skb, u32 len)
{
	/* Nothing is allocated, for nobody else has the skb. */
	pskb_trim(skb, len);
}

bool ksf_shim_udp_reusable(struct sk_buff *skb)
{
	return !skb_shared(skb) && !skb_has_frag_list(skb) && !skb_is_gso(skb) && !skb_zcopy(skb) &&
	       skb_frags_readable(skb);
}

static struct dst_entry *ksf_shim_udp_route4(struct sock *sk, const struct ksf_shim_udp_flow *flow)
{
	struct flowi4 fl4 = {
		.flowi4_mark = READ_ONCE(sk->sk_mark),
		.flowi4_oif = READ_ONCE(sk->sk_bound_dev_if),
		.flowi4_proto = IPPROTO_UDP,
		.fl4_sport = flow->local_port,
		.fl4_dport = flow->peer_port,
		.flowi4_uid = sk_uid(sk),
	};
	struct rtable *rt;

	memcpy(&fl4.daddr, flow->peer, sizeof(fl4.daddr));
	memcpy(&fl4.saddr, flow->local, sizeof(fl4.saddr));
	security_sk_classify_flow(sk, flowi4_to_flowi_common(&fl4));
	rt = ip_route_output_flow(sock_net(sk), &fl4, sk);
	if (IS_ERR(rt))
		return ERR_CAST(rt);
	/* A broadcast address would multiply what one datagram asked for. */
	if (rt->rt_flags & (RTCF_BROADCAST | RTCF_MULTICAST)) {
		ip_rt_put(rt);
		return ERR_PTR(-EACCES);
	}
	return &rt->dst;
}

#if IS_ENABLED(CONFIG_IPV6)
static void ksf_shim_udp_flow6(struct sock *sk, const struct ksf_shim_udp_flow *flow, struct flowi6 *fl6)
{
	*fl6 = (struct flowi6) {
		.flowi6_mark = READ_ONCE(sk->sk_mark),
		.flowi6_oif = flow->interface ?: READ_ONCE(sk->sk_bound_dev_if),
		.flowi6_proto = IPPROTO_UDP,
		.fl6_sport = flow->local_port,
		.fl6_dport = flow->peer_port,
		.flowi6_uid = sk_uid(sk),
	};
	memcpy(&fl6->daddr, flow->peer, sizeof(fl6->daddr));
	memcpy(&fl6->saddr, flow->local, sizeof(fl6->saddr));
}

static struct dst_entry *ksf_shim_udp_route6(struct sock *sk, const struct ksf_shim_udp_flow *flow)
{
	struct flowi6 fl6;

	ksf_shim_udp_flow6(sk, flow, &fl6);
	security_sk_classify_flow(sk, flowi6_to_flowi_common(&fl6));
	return ip6_dst_lookup_flow(sock_net(sk), sk, &fl6, NULL);
}
#endif

int ksf_shim_udp_route(struct sock *sk, const struct ksf_shim_udp_flow *flow, struct ksf_shim_udp_route *route)
{
	struct dst_entry *dst = ERR_PTR(-EAFNOSUPPORT);

	if (flow->family == AF_INET)
		dst = ksf_shim_udp_route4(sk, flow);
#if IS_ENABLED(CONFIG_IPV6)
	else
		dst = ksf_shim_udp_route6(sk, flow);
#endif
	if (IS_ERR(dst))
		return PTR_ERR(dst);
	route->dst = dst;
	route->cookie = 0;
#if IS_ENABLED(CONFIG_IPV6)
	if (flow->family == AF_INET6)
		route->cookie = rt6_get_cookie(dst_rt6_info(dst));
#endif
	return 0;
}

bool ksf_shim_udp_route_is_valid(const struct ksf_shim_udp_route *route)
{
	return dst_check(route->dst, route->cookie);
}

void ksf_shim_udp_route_put(struct ksf_shim_udp_route *route)
{
	dst_release(route->dst);
	route->dst = NULL;
}

static u32 ksf_shim_udp_headers(const struct ksf_shim_udp_flow *flow)
{
	return sizeof(struct udphdr) + (flow->family == AF_INET ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
}

u32 ksf_shim_udp_route_payload(const struct ksf_shim_udp_route *route, const struct ksf_shim_udp_flow *flow)
{
	u32 mtu = dst_mtu(route->dst), headers = ksf_shim_udp_headers(flow);

	return mtu > headers ? mtu - headers : 0;
}

bool ksf_shim_udp_route_combines(const struct ksf_shim_udp_route *route)
{
	/* As udp_send_skb() has it: what is transformed cannot be cut afterwards. */
	return !dst_xfrm(route->dst);
}

/* The header, and that the checksum is still to be computed. Frees the skb if it fails. */
static int ksf_shim_udp_header(struct sk_buff *skb, const struct ksf_shim_udp_flow *flow, u32 ip_header)
{
	struct udphdr *udp;

	/* Whoever else looks at a received skb, such as tcpdump, keeps the headers that it had. */
	if (skb_cow_head(skb, LL_RESERVED_SPACE(skb_dst_dev(skb)) + ip_header + sizeof(*udp))) {
		kfree_skb(skb);
		return -ENOBUFS;
	}
	skb_push(skb, sizeof(*udp));
	skb_reset_transport_header(skb);
	udp = udp_hdr(skb);
	udp->source = flow->local_port;
	udp->dest = flow->peer_port;
	/* That of all segments together, if there are several, and so is what the checksum starts with. */
	udp->len = htons(skb->len);
	udp->check = 0;
	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = skb_transport_header(skb) - skb->head;
	skb->csum_offset = offsetof(struct udphdr, check);
	return 0;
}

static int ksf_shim_udp_out4(struct sock *sk, struct sk_buff *skb, const struct ksf_shim_udp_flow *flow)
{
	struct dst_entry *dst = skb_dst(skb);
	struct net *net = sock_net(sk);
	struct iphdr *ip;
	int err;

	err = ksf_shim_udp_header(skb, flow, sizeof(*ip));
	if (err)
		return err;
	skb_push(skb, sizeof(*ip));
	skb_reset_network_header(skb);
	ip = ip_hdr(skb);
	*(__be16 *)ip = htons((4 << 12) | (5 << 8) | READ_ONCE(inet_sk(sk)->tos));
	ip->ttl = ip4_dst_hoplimit(dst);
	ip->protocol = IPPROTO_UDP;
	memcpy(&ip->saddr, flow->local, sizeof(ip->saddr));
	memcpy(&ip->daddr, flow->peer, sizeof(ip->daddr));
	udp_hdr(skb)->check = ~udp_v4_check(skb->len - sizeof(*ip), ip->saddr, ip->daddr, 0);
	/* As __ip_make_skb(): what has to be fragmented may be. */
	if (ip_dont_fragment(sk, dst) && !skb_is_gso(skb) && skb->len <= dst_mtu(dst)) {
		ip->frag_off = htons(IP_DF);
		ip->id = 0;
	} else {
		ip->frag_off = 0;
		skb->ignore_df = 1;
		__ip_select_ident(net, ip, skb_shinfo(skb)->gso_segs ?: 1);
	}
	skb->protocol = htons(ETH_P_IP);
	skb->priority = READ_ONCE(sk->sk_priority);
	skb->mark = READ_ONCE(sk->sk_mark);
	return ip_local_out(net, sk, skb);
}

#if IS_ENABLED(CONFIG_IPV6)
static int ksf_shim_udp_out6(struct sock *sk, struct sk_buff *skb, const struct ksf_shim_udp_flow *flow)
{
	struct flowi6 fl6;
	int err;

	err = ksf_shim_udp_header(skb, flow, sizeof(struct ipv6hdr));
	if (err)
		return err;
	ksf_shim_udp_flow6(sk, flow, &fl6);
	udp_hdr(skb)->check = ~udp_v6_check(skb->len, &fl6.saddr, &fl6.daddr, 0);
	skb->ignore_df = 1;
	return ip6_xmit(sk, skb, &fl6, READ_ONCE(sk->sk_mark), NULL, 0, READ_ONCE(sk->sk_priority));
}
#endif

/* The skb has its route. Takes it in any case. */
static int ksf_shim_udp_out(struct sock *sk, struct sk_buff *skb, const struct ksf_shim_udp_flow *flow)
{
	int err;

#if IS_ENABLED(CONFIG_IPV6)
	if (flow->family == AF_INET6)
		err = ksf_shim_udp_out6(sk, skb, flow);
	else
#endif
		err = ksf_shim_udp_out4(sk, skb, flow);
	err = net_xmit_eval(err);
	if (!err)
		__UDPX_INC_STATS(sk, UDP_MIB_OUTDATAGRAMS);
	return err;
}

u32 ksf_shim_udp_room(const struct sock *sk)
{
	int used = refcount_read(&sk->sk_wmem_alloc), size = READ_ONCE(sk->sk_sndbuf);

	return used < size ? size - used : 0;
}

void ksf_shim_udp_set_send_buffer(struct sock *sk, u32 bytes)
{
	lock_sock(sk);
	sk->sk_userlocks |= SOCK_SNDBUF_LOCK;
	WRITE_ONCE(sk->sk_sndbuf, bytes);
	release_sock(sk);
}

int ksf_shim_udp_send(struct sock *sk, struct sk_buff *skb, const struct ksf_shim_udp_flow *flow)
{
	struct ksf_shim_udp_route route;
	int err = -ENOBUFS;

	if (skb->truesize > ksf_shim_udp_room(sk))
		goto drop;
	skb_orphan(skb);
	skb_scrub_packet(skb, true);
	skb_clear_hash(skb);
	skb_reset_redirect(skb);
	__vlan_hwaccel_clear_tag(skb);
	skb->encapsulation = 0;
	skb->dev = NULL;
	memset(skb->cb, 0, sizeof(skb->cb));
	skb_set_owner_w(skb, sk);
	err = ksf_shim_udp_route(sk, flow, &route);
	if (err)
		goto drop;
	skb_dst_set(skb, route.dst);
	return ksf_shim_udp_out(sk, skb, flow);
drop:
	kfree_skb(skb);
	return err;
}

int ksf_shim_udp_transmit(struct sock *sk, struct sk_buff *skb, const struct ksf_shim_udp_flow *flow,
			  const struct ksf_shim_udp_route *route, u32 hash, u32 segment)
{
	int err;

	skb_set_owner_w(skb, sk);
	/* Whoever spreads packets over queues need not look into them for that. */
	if (hash)
		__skb_set_sw_hash(skb, hash, true);
	if (skb->len > segment) {
		skb_shinfo(skb)->gso_size = segment;
		skb_shinfo(skb)->gso_type = SKB_GSO_UDP_L4;
		skb_shinfo(skb)->gso_segs = DIV_ROUND_UP(skb->len, segment);
	}
	rcu_read_lock();
	skb_dst_set_noref(skb, route->dst);
	err = ksf_shim_udp_out(sk, skb, flow);
	rcu_read_unlock();
	return err;
}
