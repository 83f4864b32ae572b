// SPDX-License-Identifier: GPL-2.0

//! Models of a connection and its worker, as in `rust/ksf/conn.rs` and `rust/ksf/pool.rs`: turns, lists and sleep
//! together.

use crate::{
    explore_up_to,
    sleep::Kthread,
    sys::{
        list::{
            Batch,
            Linked,
            List, //
        },
        turns::Turns, //
    },
    turns::{
        Asked,
        Turned, //
    }, //
};
use kernel::sync::Arc;
use loom::thread;

/// A connection.
struct Conn {
    turns: Turns<Turned>,
    asked: Asked,
    /// In how many turns something is short at first.
    short: u32,
    /// What the turns have to see until all is over.
    goal: [u32; 2],
    worker: Arc<Worker>,
}

/// A worker.
struct Worker {
    conns: List<Conn>,
    thread: Arc<Kthread>,
}

impl Worker {
    /// Queues a connection.
    fn queue(&self, conn: Arc<Linked<Conn>>) {
        match self.conns.push(conn) {
            Ok(was_empty) if was_empty => self.thread.wake(),
            Ok(_) => {}
            Err(_) => panic!("a connection that is to be queued is on a list"),
        }
    }

    /// Works until it is told to stop. Loom finds where it sleeps for ever.
    fn run(&self) {
        let delayed = List::new();
        while !self.thread.should_stop() {
            let run_all = |conns: Batch<Conn>| {
                for conn in conns.filter_map(Conn::run) {
                    assert!(delayed.push(conn).is_ok(), "what is delayed is on a list");
                }
            };
            run_all(delayed.take());
            run_all(self.conns.take());
            // With something delayed it does not sleep for long.
            if delayed.is_empty() {
                self.thread
                    .sleep_unless(|| self.thread.should_stop() || !self.conns.is_empty());
            }
        }
    }
}

impl Conn {
    /// Has something for a connection, and wakes it.
    fn wake(this: &Arc<Linked<Self>>, context: usize, number: u32) {
        this.asked.ask(context, number);
        if this.turns.wake() {
            this.worker.queue(this.clone());
        }
    }

    /// Has something for a connection, and serves it at once if it is idle.
    fn serve_or_wake(this: &Arc<Linked<Self>>, context: usize, number: u32) {
        this.asked.ask(context, number);
        if let Some(mut turn) = this.turns.begin_idle() {
            this.serve(&mut turn);
            if turn.end(false) {
                this.worker.queue(this.clone());
            }
        } else if this.turns.wake() {
            this.worker.queue(this.clone());
        }
    }

    /// Has the turn of a connection that came off a list. Returns the connection if it is to be run again after a while.
    fn run(this: Arc<Linked<Self>>) -> Option<Arc<Linked<Self>>> {
        let turn = this.turns.begin();
        let mut turn = turn.expect("what is on a list is queued");
        this.serve(&mut turn);
        let is_short = turn.turns <= this.short;
        let is_queued = turn.end(is_short);
        if is_short {
            return Some(this);
        }
        if is_queued {
            this.worker.queue(this.clone());
        }
        None
    }

    /// Does the work of a turn, and ends the model when all is done.
    fn serve(&self, turn: &mut Turned) {
        self.asked.serve(turn);
        if turn.seen == self.goal {
            self.worker.thread.stop();
        }
    }
}

/// Makes a model of `contexts`, each in a thread, and of a worker.
fn model(short: u32, goal: [u32; 2], contexts: &'static [fn(&Arc<Linked<Conn>>)]) -> impl Fn() {
    move || {
        let worker = Arc::new(Worker {
            conns: List::new(),
            thread: Kthread::current(),
        });
        let conn = Arc::new(Linked::new(Conn {
            turns: Turns::new(Turned::new()),
            asked: Asked::new(),
            short,
            goal,
            worker: worker.clone(),
        }));
        let threads = contexts.iter().map(|context| {
            let conn = conn.clone();
            thread::spawn(move || context(&conn))
        });
        let threads: Vec<_> = threads.collect();
        worker.run();
        for thread in threads {
            thread.join().unwrap();
        }
        // What is left there would keep the connection, which keeps the worker.
        drop(worker.conns.take());
        assert_eq!(Arc::strong_count(&conn), 1);
    }
}

#[test]
fn two_contexts_wake_a_connection() {
    explore_up_to(
        2,
        model(
            0,
            [1, 1],
            &[|conn| Conn::wake(conn, 0, 1), |conn| Conn::wake(conn, 1, 1)],
        ),
    );
}

#[test]
fn one_context_serves_a_connection_and_another_wakes_it() {
    explore_up_to(
        2,
        model(
            0,
            [1, 1],
            &[
                |conn| Conn::serve_or_wake(conn, 0, 1),
                |conn| Conn::wake(conn, 1, 1),
            ],
        ),
    );
}

#[test]
fn a_connection_is_delayed() {
    explore_up_to(
        2,
        model(
            1,
            [1, 1],
            &[|conn| Conn::wake(conn, 0, 1), |conn| Conn::wake(conn, 1, 1)],
        ),
    );
}

#[test]
fn a_delayed_connection_is_woken_twice() {
    let contexts: &[fn(&Arc<Linked<Conn>>)] = &[|conn| {
        Conn::wake(conn, 0, 1);
        Conn::wake(conn, 0, 2);
    }];
    explore_up_to(3, model(1, [2, 0], contexts));
}
