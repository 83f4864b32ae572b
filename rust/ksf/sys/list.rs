// SPDX-License-Identifier: GPL-2.0

//! A lock-free list that many contexts push to and one takes whole.
//!
//! It is the kernel's `llist` with ownership: an item on the list is an [`Arc`] that the list holds.
//!
//! C header: [`include/linux/llist.h`](srctree/include/linux/llist.h)

use core::{
    marker::PhantomData,
    ops::Deref,
    ptr, //
};
use kernel::{
    ffi::c_void,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed,
            Release, //
        },
        Arc, //
    }, //
};

/// A value that can be on a [`List`].
pub(crate) struct Linked<T> {
    /// [`free()`] while the item is on no list, otherwise the next item, or null at the end.
    next: Atomic<*const c_void>,
    value: T,
}

/// A pointer that is neither null nor that of an item.
fn free() -> *const c_void {
    ptr::without_provenance(1)
}

impl<T> Linked<T> {
    /// Creates an item that is on no list.
    pub(crate) fn new(value: T) -> Self {
        Self {
            next: Atomic::new(free()),
            value,
        }
    }
}

impl<T> Deref for Linked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// A lock-free list of [`Arc`]s.
///
/// # Invariants
///
/// `head` is null or came from [`Arc::into_raw()`] of an item whose `next` is null or another such item, and so on. The
/// list owns one reference to each of them. A `next` that is not free belongs to the one list, or batch, that holds the
/// item.
pub(crate) struct List<T> {
    head: Atomic<*const c_void>,
    _owns: PhantomData<Arc<Linked<T>>>,
}

impl<T> List<T> {
    /// Creates an empty list.
    pub(crate) fn new() -> Self {
        // INVARIANT: There is no item.
        Self {
            head: Atomic::new(ptr::null()),
            _owns: PhantomData,
        }
    }

    /// Pushes `item` and returns whether the list was empty before, or returns an item that is on a list already.
    ///
    /// Any context.
    pub(crate) fn push(&self, item: Arc<Linked<T>>) -> Result<bool, Arc<Linked<T>>> {
        // ORDERING: An acquire, to come after the `Release` by which the last batch gave the item up.
        if item.next.cmpxchg(free(), ptr::null(), Acquire).is_err() {
            return Err(item);
        }
        // INVARIANT: `next` was free and is now this list's, and the list takes over the reference.
        let item = Arc::into_raw(item);
        let mut head = self.head.load(Relaxed);
        loop {
            // SAFETY: The reference that was just taken over keeps the item alive, and nobody can take it from the list
            // before the `cmpxchg` below has put it there.
            unsafe { &*item }.next.store(head, Relaxed);
            // ORDERING: Full, so that the item's content is visible to who takes it, and so that a consumer that is
            // about to sleep sees either the item or the wake-up that follows.
            match self.head.cmpxchg(head, item.cast(), Full) {
                Ok(_) => return Ok(head.is_null()),
                Err(now) => head = now,
            }
        }
    }

    /// Takes all items, the first that was pushed first.
    ///
    /// Any context.
    pub(crate) fn take(&self) -> Batch<T> {
        // INVARIANT: The items move from the list to the batch whole.
        let mut newest = self.head.xchg(ptr::null(), Full);
        let mut oldest: *const c_void = ptr::null();
        while !newest.is_null() {
            // SAFETY: By the invariants this is an item, and the batch owns a reference to it.
            let item = unsafe { &*newest.cast::<Linked<T>>() };
            let next = item.next.load(Relaxed);
            item.next.store(oldest, Relaxed);
            oldest = newest;
            newest = next;
        }
        Batch {
            head: oldest,
            _owns: PhantomData,
        }
    }

    /// Returns whether the list is empty at this moment.
    pub(crate) fn is_empty(&self) -> bool {
        self.head.load(Acquire).is_null()
    }
}

impl<T> Drop for List<T> {
    fn drop(&mut self) {
        self.take();
    }
}

/// The items that were taken from a [`List`].
///
/// # Invariants
///
/// As those of [`List`].
pub(crate) struct Batch<T> {
    head: *const c_void,
    _owns: PhantomData<Arc<Linked<T>>>,
}

impl<T> Iterator for Batch<T> {
    type Item = Arc<Linked<T>>;

    fn next(&mut self) -> Option<Arc<Linked<T>>> {
        if self.head.is_null() {
            return None;
        }
        // SAFETY: By the invariants this came from `Arc::into_raw()`, and the batch owns that reference.
        let item = unsafe { Arc::from_raw(self.head.cast::<Linked<T>>()) };
        // INVARIANT: The rest is headed by the next item, and this one's `next` is given up.
        self.head = item.next.load(Relaxed);
        item.next.store(free(), Release);
        Some(item)
    }
}

impl<T> Drop for Batch<T> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

#[kunit_tests(ksf_list)]
mod tests {
    use super::*;

    fn item(id: u32) -> Result<Arc<Linked<u32>>> {
        Ok(Arc::new(Linked::new(id), GFP_KERNEL)?)
    }

    #[test]
    fn is_first_in_first_out() -> Result {
        let list = List::new();
        assert!(list.is_empty());
        assert_eq!(list.push(item(1)?).ok(), Some(true));
        assert_eq!(list.push(item(2)?).ok(), Some(false));
        assert_eq!(list.push(item(3)?).ok(), Some(false));
        assert!(!list.is_empty());
        let mut batch = list.take();
        assert!(list.is_empty());
        assert_eq!(batch.next().map(|item| **item), Some(1));
        // What is pushed meanwhile waits for the next batch.
        assert_eq!(list.push(item(4)?).ok(), Some(true));
        assert_eq!(batch.next().map(|item| **item), Some(2));
        assert_eq!(batch.next().map(|item| **item), Some(3));
        assert!(batch.next().is_none());
        assert_eq!(list.take().next().map(|item| **item), Some(4));
        Ok(())
    }

    #[test]
    fn holds_an_item_once() -> Result {
        let list = List::new();
        let other = List::new();
        let one = item(1)?;
        assert!(list.push(one.clone()).is_ok());
        assert!(list.push(one.clone()).is_err());
        assert!(other.push(one.clone()).is_err());
        drop(list.take().next());
        assert_eq!(other.push(one).ok(), Some(true));
        Ok(())
    }

    #[test]
    fn drops_what_nobody_took() -> Result {
        let one = item(1)?;
        let two = item(2)?;
        let list = List::new();
        assert!(list.push(one.clone()).is_ok());
        assert!(list.push(two.clone()).is_ok());
        let mut batch = list.take();
        drop(batch.next());
        drop(batch);
        assert!(list.push(one.clone()).is_ok());
        drop(list);
        assert!(Arc::into_unique_or_drop(one).is_some());
        assert!(Arc::into_unique_or_drop(two).is_some());
        Ok(())
    }
}
