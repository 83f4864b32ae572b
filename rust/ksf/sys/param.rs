// SPDX-License-Identifier: GPL-2.0

//! Module parameters that are visible in sysfs and have a range.
//!
//! The kernel crate's own parameters have no range and do not appear in `/sys/module/*/parameters`.
//!
//! C header: [`include/linux/moduleparam.h`](srctree/include/linux/moduleparam.h)

use super::bindings;
use core::ptr;
use kernel::{
    ffi::{
        c_char,
        c_int, //
    },
    prelude::*,
    str::CStrExt,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};

/// An unsigned parameter of a module, declared with [`module_param!`](crate::module_param).
#[repr(C)]
pub struct Param {
    /// First, because the kernel's own function that prints it takes the address of a number.
    value: Atomic<u64>,
    min: u64,
    max: u64,
}

impl Param {
    /// Creates a parameter with its default and the range that includes `min` and `max`.
    pub const fn new(default: u64, min: u64, max: u64) -> Self {
        assert!(min <= default && default <= max);
        Self {
            value: Atomic::new(default),
            min,
            max,
        }
    }

    /// Returns the value.
    ///
    /// Any context.
    pub fn get(&self) -> u64 {
        self.value.load(Relaxed)
    }
}

/// The kernel's description of a parameter, in the section where it looks for it.
#[doc(hidden)]
#[repr(transparent)]
pub struct KernelParam(bindings::kernel_param);

// SAFETY: It is constant, and all that it points to is constant or atomic.
unsafe impl Sync for KernelParam {}

impl KernelParam {
    /// Describes `param` of `module`, with the access mode that sysfs shows.
    ///
    /// # Safety
    ///
    /// `module` is the module that the result is a part of.
    #[doc(hidden)]
    pub const unsafe fn new(
        name: &'static CStr,
        module: *const bindings::module,
        mode: u16,
        param: &'static Param,
    ) -> Self {
        // Anyone may read, and at most root may write.
        assert!(mode == 0o444 || mode == 0o644);
        Self(bindings::kernel_param {
            name: kernel::str::as_char_ptr_in_const_context(name),
            mod_: module.cast_mut(),
            ops: &raw const OPS,
            perm: mode,
            level: -1,
            flags: 0,
            __bindgen_anon_1: bindings::kernel_param__bindgen_ty_1 {
                arg: ptr::from_ref(param).cast_mut().cast(),
            },
        })
    }
}

static OPS: bindings::kernel_param_ops = bindings::kernel_param_ops {
    flags: 0,
    set: Some(set),
    get: Some(get),
    free: None,
};

/// Sets a parameter, at load or through sysfs.
///
/// # Safety
///
/// `value` is null or NUL-terminated, and `kp` comes from [`KernelParam::new()`].
unsafe extern "C" fn set(value: *const c_char, kp: *const bindings::kernel_param) -> c_int {
    // SAFETY: By the requirement of this function.
    let kp = unsafe { &*kp };
    // SAFETY: `KernelParam::new()` made it from a static `Param`.
    let param = unsafe { &*kp.__bindgen_anon_1.arg.cast::<Param>() };
    // SAFETY: The name was a static `CStr`.
    let name = unsafe { CStr::from_char_ptr(kp.name) };
    // SAFETY: `KernelParam::new()` was given the module that the parameter is a part of, so it exists, with its name.
    let module = unsafe { CStr::from_char_ptr((*kp.mod_).name.as_ptr()) };

    let mut number = 0;
    // SAFETY: `value` was checked not to be null, and is NUL-terminated by the requirement of this function.
    let parsed = !value.is_null() && unsafe { bindings::kstrtoull(value, 0, &mut number) } == 0;
    if !parsed || !(param.min..=param.max).contains(&number) {
        kernel::pr_err!(
            "{module}: parameter {name} must be a number from {} to {}\n",
            param.min,
            param.max
        );
        return EINVAL.to_errno();
    }
    param.value.store(number, Relaxed);
    0
}

/// Prints a parameter for sysfs.
///
/// # Safety
///
/// `buffer` has a page, and `kp` comes from [`KernelParam::new()`].
unsafe extern "C" fn get(buffer: *mut c_char, kp: *const bindings::kernel_param) -> c_int {
    // SAFETY: The argument leads to a `Param`, which starts with an aligned `u64`; the rest is the requirement of this
    // function.
    unsafe { bindings::param_get_ullong(buffer, kp) }
}

/// Copies a string into the array that a section of a module wants.
#[doc(hidden)]
pub const fn modinfo<const N: usize>(text: &str) -> [u8; N] {
    let bytes = text.as_bytes();
    let mut array = [0; N];
    let mut i = 0;
    while i < N {
        array[i] = bytes[i];
        i += 1;
    }
    array
}

/// Declares a module parameter that holds an unsigned number.
///
/// It is set with `insmod` (a value out of its range is refused with `EINVAL` and a line in the log that names the
/// range), and is read, and with mode `0o644` set, in `/sys/module/*/parameters`. `modinfo` shows the description,
/// range and default.
///
/// # Examples
///
/// ```ignore
/// ksf::module_param! {
///     /// The TCP port that is served.
///     static PORT: port = 60007 in 1..=65535, mode 0o444, "TCP port";
/// }
///
/// let port = PORT.get();
/// ```
#[macro_export]
macro_rules! module_param {
    (
        $(#[$meta:meta])*
        static $static:ident: $name:ident = $default:literal in $min:literal..=$max:literal, mode $mode:literal,
        $description:literal;
    ) => {
        $(#[$meta])*
        static $static: $crate::param::Param = $crate::param::Param::new($default, $min, $max);

        const _: () = {
            #[link_section = "__param"]
            #[used(compiler)]
            // SAFETY: It is the module that this is compiled into.
            static PARAM: $crate::param::KernelParam = unsafe {
                $crate::param::KernelParam::new(
                    $crate::module_param!(@cstr stringify!($name)),
                    &raw const ::kernel::bindings::__this_module,
                    $mode,
                    &$static,
                )
            };

            const TYPE: &str = concat!("parmtype=", stringify!($name), ":ullong\0");
            #[link_section = ".modinfo"]
            #[used(compiler)]
            static MODINFO_TYPE: [u8; TYPE.len()] = $crate::param::modinfo(TYPE);

            const TEXT: &str = concat!(
                "parm=", stringify!($name), ":", $description,
                " (", $min, " to ", $max, ", default ", $default, ")\0",
            );
            #[link_section = ".modinfo"]
            #[used(compiler)]
            static MODINFO_TEXT: [u8; TEXT.len()] = $crate::param::modinfo(TEXT);
        };
    };
    (@cstr $name:expr) => {
        match ::core::ffi::CStr::from_bytes_with_nul(concat!($name, "\0").as_bytes()) {
            Ok(name) => name,
            Err(_) => panic!("a parameter's name has a NUL"),
        }
    };
}
