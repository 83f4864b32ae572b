// SPDX-License-Identifier: GPL-2.0

//! How a kernel thread sleeps and is woken, as in `rust/ksf/sys/kthread.rs`, and models of a worker that does.

use crate::{
    explore,
    explore_up_to,
    item::{
        take,
        Item, //
    },
    sys::list::List, //
};
use kernel::sync::{
    atomic::{
        Atomic,
        Relaxed, //
    },
    barrier::smp_mb,
    Arc, //
};
use loom::thread;

/// `TASK_RUNNING`.
const RUNNING: u32 = 0;
/// `TASK_IDLE`.
const SLEEPING: u32 = 1;

/// A kernel thread.
pub(crate) struct Kthread {
    state: Atomic<u32>,
    should_stop: Atomic<u32>,
    thread: thread::Thread,
}

impl Kthread {
    /// The thread that runs.
    pub(crate) fn current() -> Arc<Self> {
        Arc::new(Self {
            state: Atomic::new(RUNNING),
            should_stop: Atomic::new(0),
            thread: thread::current(),
        })
    }

    /// `wake_up_process()`, but without the full barrier that it begins with: who pushed has had one.
    pub(crate) fn wake(&self) {
        if self.state.cmpxchg(SLEEPING, RUNNING, Relaxed).is_ok() {
            self.thread.unpark();
        }
    }

    /// The beginning of `kthread_stop()`.
    pub(crate) fn stop(&self) {
        self.should_stop.store(1, Relaxed);
        // That of `wake_up_process()`.
        smp_mb();
        self.wake();
    }

    /// `kthread_should_stop()`.
    pub(crate) fn should_stop(&self) -> bool {
        self.should_stop.load(Relaxed) != 0
    }

    /// `Current::sleep_unless()` without a limit.
    pub(crate) fn sleep_unless(&self, condition: impl FnOnce() -> bool) {
        // set_current_state()
        self.state.store(SLEEPING, Relaxed);
        smp_mb();
        if !condition() {
            // schedule()
            while self.state.load(Relaxed) == SLEEPING {
                thread::park();
            }
        }
        // __set_current_state()
        self.state.store(RUNNING, Relaxed);
    }
}

/// Pushes a new item and wakes the thread if it has to be, as `Pool::queue()` does.
fn queue(list: &List<Item>, worker: &Kthread, id: usize) {
    let item = Item::new(id);
    item.write();
    if let Ok(true) = list.push(item) {
        worker.wake();
    }
}

/// Works until it has taken so many items. Loom finds where it sleeps for ever.
fn work(list: &List<Item>, worker: &Kthread, items: usize) -> Vec<usize> {
    let mut taken = Vec::new();
    loop {
        taken.extend(take(list));
        if taken.len() == items {
            return taken;
        }
        worker.sleep_unless(|| !list.is_empty());
    }
}

#[test]
fn a_worker_takes_what_is_pushed() {
    explore(|| {
        let list = Arc::new(List::new());
        let worker = Kthread::current();
        {
            let (list, worker) = (list.clone(), worker.clone());
            thread::spawn(move || queue(&list, &worker, 1));
        }
        work(&list, &worker, 1);
    });
}

#[test]
fn a_worker_takes_all_that_two_push() {
    explore_up_to(2, || {
        let list = Arc::new(List::new());
        let worker = Kthread::current();
        for id in 1..=2 {
            let (list, worker) = (list.clone(), worker.clone());
            thread::spawn(move || queue(&list, &worker, id));
        }
        let mut taken = work(&list, &worker, 2);
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
    });
}

#[test]
fn a_worker_takes_what_comes_one_after_the_other() {
    explore_up_to(3, || {
        let list = Arc::new(List::new());
        let worker = Kthread::current();
        {
            let (list, worker) = (list.clone(), worker.clone());
            thread::spawn(move || (1..=3).for_each(|id| queue(&list, &worker, id)));
        }
        assert_eq!(work(&list, &worker, 3), [1, 2, 3]);
    });
}

#[test]
fn a_worker_stops() {
    explore_up_to(3, || {
        let list = Arc::new(List::new());
        let worker = Kthread::current();
        let pusher = {
            let (list, worker) = (list.clone(), worker.clone());
            thread::spawn(move || queue(&list, &worker, 1))
        };
        {
            let worker = worker.clone();
            thread::spawn(move || worker.stop());
        }
        let mut taken = Vec::new();
        while !worker.should_stop() {
            taken.extend(take(&list));
            worker.sleep_unless(|| worker.should_stop() || !list.is_empty());
        }
        pusher.join().unwrap();
        taken.extend(take(&list));
        assert_eq!(taken, [1]);
    });
}
