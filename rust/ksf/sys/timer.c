// SPDX-License-Identifier: GPL-2.0
/* Timers that call somebody at a moment. */

#include <linux/hrtimer.h>
#include <linux/slab.h>

#include "shim.h"

struct ksf_shim_timer {
	struct hrtimer timer;
	void (*fire)(void *data);
	void *data;
};

static enum hrtimer_restart ksf_shim_timer_on_fire(struct hrtimer *timer)
{
	struct ksf_shim_timer *this = container_of(timer, struct ksf_shim_timer, timer);

	this->fire(this->data);
	return HRTIMER_NORESTART;
}

struct ksf_shim_timer *ksf_shim_timer_new(void (*fire)(void *data), void *data)
{
	struct ksf_shim_timer *this = kzalloc(sizeof(*this), GFP_KERNEL);

	if (!this)
		return NULL;
	this->fire = fire;
	this->data = data;
	hrtimer_setup(&this->timer, ksf_shim_timer_on_fire, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_PINNED);
	return this;
}

void ksf_shim_timer_free(struct ksf_shim_timer *this)
{
	hrtimer_cancel(&this->timer);
	kfree(this);
}

void ksf_shim_timer_start(struct ksf_shim_timer *this, u64 at)
{
	hrtimer_start(&this->timer, ns_to_ktime(min_t(u64, at, KTIME_MAX)), HRTIMER_MODE_ABS_PINNED);
}

u64 ksf_shim_monotonic_ns(void)
{
	return ktime_get_ns();
}
