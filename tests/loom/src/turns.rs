// SPDX-License-Identifier: GPL-2.0

//! Models of [`Turns`]: one turn at a time, no wake is lost, and a value is queued once.

use crate::{
    explore,
    explore_up_to,
    sys::turns::{
        Turn,
        Turns, //
    }, //
};
use kernel::sync::Arc;
use loom::{
    cell::UnsafeCell,
    sync::atomic::{
        AtomicU32,
        Ordering, //
    },
    thread, //
};

/// How many contexts may ask for turns.
const CONTEXTS: usize = 2;

/// What only a turn touches.
pub(crate) struct Turned {
    /// Finds two turns at a time, and a turn that may not see what the one before has done.
    exclusive: UnsafeCell<()>,
    /// Up to which wake of each context the turns have seen.
    pub(crate) seen: [u32; CONTEXTS],
    /// How many turns there were.
    pub(crate) turns: u32,
}

impl Turned {
    /// Nothing was seen yet.
    pub(crate) fn new() -> Self {
        Self {
            exclusive: UnsafeCell::new(()),
            seen: [0; CONTEXTS],
            turns: 0,
        }
    }
}

/// What contexts have turns for, written before they ask for one.
pub(crate) struct Asked([AtomicU32; CONTEXTS]);

impl Asked {
    /// Nothing was asked for yet.
    pub(crate) fn new() -> Self {
        Self([AtomicU32::new(0), AtomicU32::new(0)])
    }

    /// Has something new for a turn to see, the `number`th. The order with the turn is for [`Turns`] to make.
    pub(crate) fn ask(&self, context: usize, number: u32) {
        self.0[context].store(number, Ordering::Relaxed);
    }

    /// What there is to be seen.
    pub(crate) fn now(&self) -> [u32; CONTEXTS] {
        [
            self.0[0].load(Ordering::Relaxed),
            self.0[1].load(Ordering::Relaxed),
        ]
    }

    /// Has the turn see all that it can.
    pub(crate) fn serve(&self, turn: &mut Turned) {
        turn.exclusive.with_mut(|_| ());
        let seen = self.now();
        for (seen, before) in seen.iter().zip(&turn.seen) {
            assert!(seen >= before, "a turn saw less than the one before");
        }
        turn.seen = seen;
        turn.turns += 1;
        turn.exclusive.with_mut(|_| ());
    }
}

/// A value, and a queue that has room for it once.
struct Model {
    turns: Turns<Turned>,
    asked: Asked,
    queued: AtomicU32,
    /// How many turns ask for more.
    greedy: u32,
}

impl Model {
    /// An idle value whose first `greedy` turns ask for more.
    fn new(greedy: u32) -> Arc<Self> {
        Arc::new(Self {
            turns: Turns::new(Turned::new()),
            asked: Asked::new(),
            queued: AtomicU32::new(0),
            greedy,
        })
    }

    /// Puts the value on the queue, as who was told to has to do.
    fn queue(&self) {
        assert_eq!(
            self.queued.swap(1, Ordering::Release),
            0,
            "it was queued twice"
        );
    }

    /// Wakes from a context, as a callback in softirq does that leaves the turn to a worker.
    fn wake(&self, context: usize, number: u32) {
        self.asked.ask(context, number);
        if self.turns.wake() {
            self.queue();
        }
    }

    /// Has the turn at once if it can, as a callback in softirq does that serves.
    fn serve_or_wake(&self, context: usize, number: u32) {
        self.asked.ask(context, number);
        if let Some(turn) = self.turns.begin_idle() {
            self.serve(turn);
        } else if self.turns.wake() {
            self.queue();
        }
    }

    /// Has a turn to its end.
    fn serve(&self, mut turn: Turn<'_, Turned>) {
        self.asked.serve(&mut turn);
        let more = turn.turns <= self.greedy;
        if turn.end(more) {
            self.queue();
        }
    }

    /// Has the turn of a queued value, as a worker does. Returns whether there was one.
    fn work(&self) -> bool {
        if self.queued.swap(0, Ordering::Acquire) == 0 {
            return false;
        }
        let turn = self.turns.begin();
        self.serve(turn.expect("what was queued has a turn"));
        true
    }

    /// Checks that nothing was lost, when nobody but the caller is left.
    fn finish(&self) {
        while self.work() {}
        let turn = self.turns.begin_idle().expect("it is idle in the end");
        assert_eq!(turn.seen, self.asked.now(), "a wake was lost");
    }
}

/// Makes a model of `contexts`, each in a thread, and of a worker that looks at the queue once while they run.
fn model(greedy: u32, contexts: &'static [fn(&Model)]) -> impl Fn() {
    model_of(false, greedy, contexts)
}

/// Makes such a model whose worker has had a turn since before the contexts began.
fn running_model(greedy: u32, contexts: &'static [fn(&Model)]) -> impl Fn() {
    model_of(true, greedy, contexts)
}

/// Makes a model of either kind.
fn model_of(is_running: bool, greedy: u32, contexts: &'static [fn(&Model)]) -> impl Fn() {
    move || {
        let model = Model::new(greedy);
        let turn = is_running.then(|| model.turns.begin_idle().expect("it is idle at first"));
        let threads = contexts.iter().map(|context| {
            let model = model.clone();
            thread::spawn(move || context(&model))
        });
        let threads: Vec<_> = threads.collect();
        if let Some(turn) = turn {
            model.serve(turn);
        }
        model.work();
        for thread in threads {
            thread.join().unwrap();
        }
        model.finish();
    }
}

#[test]
fn a_context_wakes() {
    explore(model(0, &[|model| model.wake(0, 1)]));
}

#[test]
fn a_context_wakes_while_a_turn_runs() {
    explore(running_model(0, &[|model| model.wake(0, 1)]));
}

#[test]
fn a_context_serves_or_wakes_while_a_turn_runs() {
    explore(running_model(0, &[|model| model.serve_or_wake(0, 1)]));
}

#[test]
fn a_context_wakes_while_a_turn_asks_for_more() {
    explore(running_model(1, &[|model| model.wake(0, 1)]));
}

#[test]
fn two_contexts_wake_while_a_turn_runs() {
    explore_up_to(
        2,
        running_model(0, &[|model| model.wake(0, 1), |model| model.wake(1, 1)]),
    );
}

#[test]
fn two_contexts_wake() {
    explore_up_to(
        4,
        model(0, &[|model| model.wake(0, 1), |model| model.wake(1, 1)]),
    );
}

#[test]
fn a_turn_asks_for_more() {
    explore_up_to(
        4,
        model(1, &[|model| model.wake(0, 1), |model| model.wake(1, 1)]),
    );
}

#[test]
fn one_context_serves_and_another_wakes() {
    explore_up_to(
        4,
        model(
            0,
            &[|model| model.serve_or_wake(0, 1), |model| model.wake(1, 1)],
        ),
    );
}

#[test]
fn two_contexts_serve() {
    explore_up_to(
        4,
        model(
            0,
            &[
                |model| model.serve_or_wake(0, 1),
                |model| model.serve_or_wake(1, 1),
            ],
        ),
    );
}

#[test]
fn a_turn_without_a_queue_asks_for_more() {
    explore_up_to(
        3,
        model(
            1,
            &[
                |model| model.serve_or_wake(0, 1),
                |model| model.serve_or_wake(1, 1),
            ],
        ),
    );
}

#[test]
fn a_context_wakes_twice() {
    let contexts: &[fn(&Model)] = &[
        |model| {
            model.wake(0, 1);
            model.wake(0, 2);
        },
        |model| model.wake(1, 1),
    ];
    explore_up_to(3, model(0, contexts));
}

#[test]
fn a_context_serves_twice() {
    let contexts: &[fn(&Model)] = &[
        |model| {
            model.serve_or_wake(0, 1);
            model.serve_or_wake(0, 2);
        },
        |model| model.wake(1, 1),
    ];
    explore_up_to(3, model(0, contexts));
}
