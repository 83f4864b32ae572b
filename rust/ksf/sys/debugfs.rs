// SPDX-License-Identifier: GPL-2.0

//! Files in debugfs.
//!
//! The kernel crate has such files, too, but theirs do not keep the module whose code is run when they are closed: who has one open
//! while the module goes brings the kernel down. These keep ksf.ko, and a service only needs to be there while they are read, which
//! debugfs itself takes care of.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)

use super::bindings;
use core::{
    fmt,
    ptr::NonNull, //
};
use kernel::{
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    seq_file::SeqFile, //
};

/// What a file shows.
pub trait Show: Send + Sync + 'static {
    /// Writes all of it, possibly several times for one who reads.
    ///
    /// Process context.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// A directory. Dropping it removes it, with all that is in it.
///
/// # Invariants
///
/// `dentry` is what `debugfs_create_dir()` has returned, and was not removed.
pub(crate) struct Dir {
    dentry: NonNull<bindings::dentry>,
}

// SAFETY: A directory of debugfs may be used from any thread.
unsafe impl Send for Dir {}

// SAFETY: As above.
unsafe impl Sync for Dir {}

impl Dir {
    /// Creates a directory at the top.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// `ENODEV` without debugfs, `EEXIST`.
    pub(crate) fn new(name: &'static CStr) -> Result<Self> {
        // SAFETY: The name is a C string, and the parent may be null.
        let dentry = unsafe {
            kernel::error::from_err_ptr(bindings::debugfs_create_dir(
                name.as_char_ptr(),
                core::ptr::null_mut(),
            ))
        }?;
        // INVARIANT: It was created just now.
        Ok(Self {
            dentry: NonNull::new(dentry).ok_or(ENODEV)?,
        })
    }

    /// Creates a file that shows what `show` writes.
    ///
    /// Process context. It has to be dropped before the directory.
    ///
    /// # Errors
    ///
    /// `EEXIST`, `ENOMEM`.
    pub(crate) fn file<T: Show>(&self, name: &'static CStr, show: T) -> Result<File<T>> {
        let entry = Entry {
            c: bindings::ksf_shim_debugfs_entry {
                show: Some(on_show::<T>),
            },
            show,
        };
        let entry = KBox::into_raw(KBox::new(entry, GFP_KERNEL)?);
        // SAFETY: It begins with the structure, and lives until the file is removed.
        match unsafe { self.create(name, entry.cast()) } {
            // INVARIANT: It was created just now, with `entry`.
            Ok(dentry) => Ok(File { dentry, entry }),
            Err(error) => {
                // SAFETY: It was made by `into_raw()` above, and there is no file that has it.
                drop(unsafe { KBox::from_raw(entry) });
                Err(error)
            }
        }
    }
}

impl Dir {
    /// Creates a file. This is not generic, for services cannot call C's shim themselves.
    ///
    /// # Safety
    ///
    /// `entry` is valid until the file is removed.
    #[inline(never)]
    unsafe fn create(
        &self,
        name: &'static CStr,
        entry: *mut bindings::ksf_shim_debugfs_entry,
    ) -> Result<NonNull<bindings::dentry>> {
        let parent = self.dentry.as_ptr();
        // SAFETY: The name is a C string, the parent is valid by the invariants, and `entry` by the requirement of this function.
        let dentry = unsafe {
            kernel::error::from_err_ptr(bindings::ksf_shim_debugfs_create(
                name.as_char_ptr(),
                parent,
                entry,
            ))
        }?;
        NonNull::new(dentry).ok_or(ENODEV)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // SAFETY: By the invariants it was not removed.
        unsafe { bindings::debugfs_remove(self.dentry.as_ptr()) };
    }
}

/// What a file of C leads to.
#[repr(C)]
struct Entry<T> {
    c: bindings::ksf_shim_debugfs_entry,
    show: T,
}

/// A file. Dropping it waits for who reads it, and removes it.
///
/// # Invariants
///
/// `dentry` is a file that was created with `entry`, which was made by [`KBox::into_raw()`], and was not removed.
pub(crate) struct File<T: Show> {
    dentry: NonNull<bindings::dentry>,
    entry: *mut Entry<T>,
}

// SAFETY: What it shows may be sent to, and used from, any thread, and so may a file of debugfs.
unsafe impl<T: Show> Send for File<T> {}

// SAFETY: As above.
unsafe impl<T: Show> Sync for File<T> {}

impl<T: Show> Drop for File<T> {
    fn drop(&mut self) {
        // SAFETY: By the invariants it was not removed. This waits for all that run `on_show()`, and none begins afterwards.
        unsafe { bindings::debugfs_remove(self.dentry.as_ptr()) };
        // SAFETY: By the invariants, and nobody uses it any more.
        drop(unsafe { KBox::from_raw(self.entry) });
    }
}

/// Shows a file.
///
/// # Safety
///
/// `seq` is valid and nobody else uses it; `entry` is the first field of an [`Entry<T>`].
unsafe extern "C" fn on_show<T: Show>(seq: *mut bindings::seq_file, entry: *mut c_void) -> c_int {
    // SAFETY: By the requirement of this function. The entry lives until the file is removed, which waits for this call.
    let entry = unsafe { &*entry.cast::<Entry<T>>() };
    // SAFETY: By the requirement of this function.
    let seq = unsafe { SeqFile::from_raw(seq.cast()) };
    seq.call_printf(format_args!("{}", Shown(&entry.show)));
    0
}

/// What is shown, as something to print.
struct Shown<'a, T>(&'a T);

impl<T: Show> fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f)
    }
}
