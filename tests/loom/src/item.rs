// SPDX-License-Identifier: GPL-2.0

//! What the models put on lists.

use crate::sys::list::{
    Linked,
    List, //
};
use kernel::sync::Arc;
use loom::cell::UnsafeCell;

/// An item, which keeps its content from who may not see it.
pub(crate) struct Item {
    /// What tells it from others.
    pub(crate) id: usize,
    /// Written before the first push, and read by who takes the item.
    content: UnsafeCell<()>,
}

impl Item {
    /// Makes an item that is on no list.
    pub(crate) fn new(id: usize) -> Arc<Linked<Self>> {
        Arc::new(Linked::new(Self {
            id,
            content: UnsafeCell::new(()),
        }))
    }

    /// Changes the content.
    pub(crate) fn write(&self) {
        self.content.with_mut(|_| ());
    }

    /// Looks at the content.
    pub(crate) fn read(&self) {
        self.content.with(|_| ());
    }
}

/// Pushes `item`, and returns whether it is on no other list.
pub(crate) fn push(list: &List<Item>, item: &Arc<Linked<Item>>) -> bool {
    list.push(item.clone()).is_ok()
}

/// Takes all items that are on `list`, looks at them, and returns their names in their order.
pub(crate) fn take(list: &List<Item>) -> Vec<usize> {
    let read = |item: Arc<Linked<Item>>| {
        item.read();
        item.id
    };
    list.take().map(read).collect()
}
