// SPDX-License-Identifier: GPL-2.0

//! Runs ksf's lock-free code in all orders that the processors may choose.
//!
//! What is run are the files of the kernel module themselves ([`sys`]), on a [`kernel`] crate whose atomics are loom's.
//! Each test is a model: a few threads that do what contexts of the kernel do. Loom runs it again and again, until it has
//! seen every order of their atomic operations, and every value that a load may return in the C11 memory model. A model
//! fails where an assertion does, where two threads reach a [`loom::cell::UnsafeCell`] without an order between them, and
//! where all threads sleep.
//!
//! [`explore()`] sees all orders. Of large models there are too many: [`explore_up_to()`] sees those in which threads are
//! interrupted a few times, and among these every value of every load still. What is not seen: a load of what is older than
//! the last seven stores to a value, and orders that C11 does not have, such as a load that depends on its own store.

#![cfg(test)]

mod item;
mod list;
mod sleep;
mod sys;
mod turns;
mod worker;

use loom::model::Builder;
use std::sync::{
    atomic::{
        AtomicU64,
        Ordering::Relaxed, //
    },
    Arc, //
};

/// Checks a model in all orders.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    run(Builder::new(), model);
}

/// Checks a model in all orders in which threads that could go on are made to wait up to so many times.
fn explore_up_to(interruptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(interruptions);
    run(builder, model);
}

/// Checks a model, and says how many orders there were.
fn run(builder: Builder, model: impl Fn() + Send + Sync + 'static) {
    let orders = Arc::new(AtomicU64::new(0));
    let counter = orders.clone();
    builder.check(move || {
        counter.fetch_add(1, Relaxed);
        model();
    });
    println!("{} orders", orders.load(Relaxed));
}
