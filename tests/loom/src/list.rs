// SPDX-License-Identifier: GPL-2.0

//! Models of [`List`]: nothing is lost and nothing comes twice, and an item is on one list at a time.

use crate::{
    explore,
    explore_up_to,
    item::{
        push,
        take,
        Item, //
    },
    sys::list::{
        Linked,
        List, //
    }, //
};
use kernel::sync::Arc;
use loom::thread;

/// Makes and pushes an item that nobody else has, and returns whether the list was empty, and the item.
fn push_new(list: &List<Item>, id: usize) -> (bool, Arc<Linked<Item>>) {
    let item = Item::new(id);
    item.write();
    let Ok(was_empty) = list.push(item.clone()) else {
        panic!("a new item is on no list");
    };
    (was_empty, item)
}

/// Checks that nobody has kept an item.
fn assert_free(items: Vec<Arc<Linked<Item>>>) {
    for item in items {
        assert_eq!(Arc::strong_count(&item), 1, "item {} is kept", item.id);
    }
}

#[test]
fn what_two_push_one_takes() {
    explore_up_to(2, || {
        let list = Arc::new(List::new());
        let pusher = |ids: &'static [usize]| {
            let list = list.clone();
            thread::spawn(move || {
                let pushed = ids.iter().map(|&id| push_new(&list, id));
                pushed.collect::<Vec<_>>()
            })
        };
        let pushers = [pusher(&[10, 11]), pusher(&[20])];
        let mut batches = vec![take(&list), take(&list)];
        let pushed: Vec<_> = pushers
            .into_iter()
            .flat_map(|pusher| pusher.join().unwrap())
            .collect();
        assert_eq!(list.is_empty(), batches.iter().flatten().count() == 3);
        batches.push(take(&list));
        assert!(list.is_empty());

        // Who pushed the first of a batch was told so, and nobody else.
        let first = batches.iter().filter(|batch| !batch.is_empty()).count();
        assert_eq!(
            pushed.iter().filter(|(was_empty, _)| *was_empty).count(),
            first
        );
        let taken = batches.concat();
        let of_first: Vec<_> = taken.iter().filter(|&&id| id < 20).collect();
        assert_eq!(of_first, [&10, &11], "not the first that was pushed first");
        let mut taken = taken.clone();
        taken.sort_unstable();
        assert_eq!(taken, [10, 11, 20]);
        assert_free(pushed.into_iter().map(|(_, item)| item).collect());
    });
}

#[test]
fn two_take() {
    explore(|| {
        let list = Arc::new(List::new());
        let taker = {
            let list = list.clone();
            thread::spawn(move || take(&list))
        };
        let mut items = vec![push_new(&list, 1).1, push_new(&list, 2).1];
        let mut taken = take(&list);
        items.push(push_new(&list, 3).1);
        taken.extend(taker.join().unwrap());
        taken.extend(take(&list));
        taken.sort_unstable();
        assert_eq!(taken, [1, 2, 3]);
        assert_free(items);
    });
}

#[test]
fn an_item_is_on_one_of_two_lists() {
    explore(|| {
        let item = Item::new(1);
        item.write();
        let lists = Arc::new([List::new(), List::new()]);
        let pusher = |list: usize| {
            let (lists, item) = (lists.clone(), item.clone());
            thread::spawn(move || push(&lists[list], &item))
        };
        let pushers = [pusher(0), pusher(1)];
        // Only when it was taken it can be pushed once more.
        let mut taken = take(&lists[0]).len();
        let pushed = pushers.map(|pusher| usize::from(pusher.join().unwrap()));
        let pushed: usize = pushed.iter().sum();
        let left = [take(&lists[0]), take(&lists[1])].concat();
        assert!(left.len() <= 1, "it is on two lists");
        taken += left.len();
        assert_eq!(taken, pushed);
        assert_free(vec![item]);
    });
}

#[test]
fn an_item_of_a_batch_is_pushed_again() {
    explore(|| {
        let items = [Item::new(1), Item::new(2), Item::new(3)];
        let lists = Arc::new([List::new(), List::new()]);
        for item in &items {
            item.write();
        }
        assert!(push(&lists[0], &items[0]) && push(&lists[0], &items[1]));
        // Somebody wakes the first one meanwhile, onto a list where there is another.
        let pusher = {
            let (lists, items) = (lists.clone(), items.clone());
            thread::spawn(move || {
                assert!(push(&lists[1], &items[2]), "nobody else has this one");
                usize::from(push(&lists[1], &items[0]))
            })
        };
        // A worker has more to do for each, and queues it again.
        let mut pushed = [1, 1];
        let mut taken = [0, 0];
        for item in lists[0].take() {
            item.read();
            let at = item.id - 1;
            assert_eq!(
                at,
                taken.iter().sum::<usize>(),
                "not the first that was pushed first"
            );
            taken[at] += 1;
            pushed[at] += usize::from(push(&lists[0], &item));
        }
        assert_eq!(taken, [1, 1], "a batch lost an item");
        pushed[0] += pusher.join().unwrap();
        let left = [take(&lists[0]), take(&lists[1])].concat();
        for id in [1, 2] {
            taken[id - 1] += left.iter().filter(|&&left| left == id).count();
        }
        assert_eq!(left.iter().filter(|&&left| left == 3).count(), 1);
        assert_eq!(taken, pushed);
        assert_eq!(pushed[1], 2, "nobody else pushed the second one");
        assert_free(items.into());
    });
}

#[test]
fn a_list_drops_what_nobody_took() {
    explore(|| {
        let list = Arc::new(List::new());
        let pusher = {
            let list = list.clone();
            thread::spawn(move || push_new(&list, 1).1)
        };
        let item = push_new(&list, 2).1;
        // The first item alone.
        drop(list.take().next());
        let pushed = pusher.join().unwrap();
        drop(list);
        assert_free(vec![item, pushed]);
    });
}
