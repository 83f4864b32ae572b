// SPDX-License-Identifier: GPL-2.0

//! What ksf's lock-free code uses of the kernel crate, on loom's atomics.
//!
//! Nothing here promises more than the kernel's memory model does, so that what holds here holds there.

pub mod sync;

/// Types of C.
pub mod ffi {
    pub use core::ffi::c_void;
}

/// What all kernel code imports.
pub mod prelude {
    pub use macros::kunit_tests;
}
