// SPDX-License-Identifier: GPL-2.0
/* Work that softirq does after it has received what there is: a NAPI instance that has no device. */

#include <linux/netdevice.h>
#include <linux/slab.h>
#include <linux/smp.h>

#include "shim.h"

struct ksf_shim_napi {
	struct napi_struct napi;
	call_single_data_t csd;
	ksf_shim_napi_poll poll;
	void *data;
};

static int ksf_shim_napi_on_poll(struct napi_struct *napi, int budget)
{
	struct ksf_shim_napi *this = container_of(napi, struct ksf_shim_napi, napi);
	bool again = false;
	u32 work;

	/* First, so that it can be scheduled again from here on. */
	napi_complete(napi);
	work = this->poll(this->data, &again);
	if (again)
		napi_schedule(napi);
	/* All of the budget would say that it is not complete. */
	return min_t(u32, work, budget - 1);
}

static void ksf_shim_napi_on_call(void *data)
{
	struct ksf_shim_napi *this = data;

	napi_schedule(&this->napi);
}

struct net_device *ksf_shim_napi_device_new(void)
{
	return alloc_netdev_dummy(0);
}

void ksf_shim_napi_device_free(struct net_device *device)
{
	free_netdev(device);
}

struct ksf_shim_napi *ksf_shim_napi_new(struct net_device *device, ksf_shim_napi_poll poll, void *data)
{
	struct ksf_shim_napi *this = kzalloc(sizeof(*this), GFP_KERNEL);

	if (!this)
		return NULL;
	this->poll = poll;
	this->data = data;
	INIT_CSD(&this->csd, ksf_shim_napi_on_call, this);
	/* Nobody is to find it by a number: it has no packets. */
	set_bit(NAPI_STATE_NO_BUSY_POLL, &this->napi.state);
	netif_napi_add(device, &this->napi, ksf_shim_napi_on_poll);
	napi_enable(&this->napi);
	return this;
}

void ksf_shim_napi_free(struct ksf_shim_napi *this)
{
	napi_disable(&this->napi);
	__netif_napi_del(&this->napi);
	/* A call that was announced as complete may still be going on. As netif_napi_del(), but there is one for each CPU. */
	synchronize_rcu_expedited();
	kfree(this);
}

void ksf_shim_napi_schedule(struct ksf_shim_napi *this, unsigned int cpu)
{
	/* A CPU that is offline is called in vain. */
	if (cpu == smp_processor_id() || smp_call_function_single_async(cpu, &this->csd))
		napi_schedule(&this->napi);
}
