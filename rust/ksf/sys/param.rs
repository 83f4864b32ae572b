// SPDX-License-Identifier: GPL-2.0

//! Module parameters that are visible in sysfs and have a range.
//!
//! The kernel crate's own parameters have no range and do not appear in `/sys/module/*/parameters`.
//!
//! C header: [`include/linux/moduleparam.h`](srctree/include/linux/moduleparam.h)

use super::{
    bindings,
    hotplug,
    once::Once64, //
};
use core::{
    fmt::{
        self,
        Write, //
    },
    net::IpAddr,
    ptr,
    slice, //
};
use kernel::{
    cpu::CpuId,
    ffi::{
        c_char,
        c_int, //
    },
    page::PAGE_SIZE,
    prelude::*,
    str::CStrExt,
    sync::SetOnce, //
};

/// The value of a parameter.
pub trait Value: Sync {
    /// Sets the value to what `text` says, or returns `false` if it does not say one that is allowed.
    ///
    /// Process context; never twice at the same time.
    fn set(&self, text: &CStr) -> bool;

    /// Writes the value as [`set()`](Self::set()) takes it.
    fn show(&self, f: &mut dyn Write) -> fmt::Result;

    /// Writes what is allowed, to follow the words "must be".
    fn expected(&self, f: &mut dyn Write) -> fmt::Result;
}

/// An unsigned number.
pub struct Number {
    value: Once64,
    min: u64,
    max: u64,
}

impl Number {
    /// Creates a number with its default and the range that includes `min` and `max`.
    pub const fn new(default: u64, min: u64, max: u64) -> Self {
        assert!(min <= default && default <= max);
        Self {
            value: Once64::new(default),
            min,
            max,
        }
    }

    /// Returns the value.
    ///
    /// Any context.
    pub fn get(&self) -> u64 {
        self.value.get()
    }
}

impl Value for Number {
    fn set(&self, text: &CStr) -> bool {
        let mut number = 0;
        // SAFETY: The text is NUL-terminated, and the out-parameter valid.
        let parsed = unsafe { bindings::kstrtoull(text.as_char_ptr(), 0, &mut number) } == 0;
        let allowed = parsed && (self.min..=self.max).contains(&number);
        if allowed {
            self.value.set(number);
        }
        allowed
    }

    fn show(&self, f: &mut dyn Write) -> fmt::Result {
        write!(f, "{}", self.get())
    }

    fn expected(&self, f: &mut dyn Write) -> fmt::Result {
        write!(f, "a number from {} to {}", self.min, self.max)
    }
}

/// One of a few words.
pub struct Choice {
    words: &'static [&'static str],
    value: Once64,
}

impl Choice {
    /// Creates a choice among `words`, of which the first is the default.
    pub const fn new(words: &'static [&'static str]) -> Self {
        assert!(!words.is_empty());
        Self {
            words,
            value: Once64::new(0),
        }
    }

    /// Returns the number of the word, from 0.
    ///
    /// Any context.
    pub fn get(&self) -> usize {
        // CAST: It is the index of one of the words.
        self.value.get() as usize
    }

    /// Returns the word.
    ///
    /// Any context.
    pub fn word(&self) -> &'static str {
        self.words.get(self.get()).copied().unwrap_or_default()
    }
}

impl Value for Choice {
    fn set(&self, text: &CStr) -> bool {
        let text = text.to_bytes().trim_ascii_end();
        let index = self.words.iter().position(|word| word.as_bytes() == text);
        if let Some(index) = index {
            self.value.set(index as u64);
        }
        index.is_some()
    }

    fn show(&self, f: &mut dyn Write) -> fmt::Result {
        f.write_str(self.word())
    }

    fn expected(&self, f: &mut dyn Write) -> fmt::Result {
        f.write_str("one of:")?;
        self.words.iter().try_for_each(|word| write!(f, " {word}"))
    }
}

/// An IP address to be served, that is set once, when the module is loaded.
///
/// A link-local address of IPv6 is that of any interface's link, and which one cannot be said. What is mapped from IPv4 is served
/// by sockets of IPv4, under its own name. What is sent to many hosts at once is not served, so none of it may be all there is.
pub struct Address {
    default: IpAddr,
    value: SetOnce<IpAddr>,
}

impl Address {
    /// Creates an address with its default.
    pub const fn new(default: IpAddr) -> Self {
        Self {
            default,
            value: SetOnce::new(),
        }
    }

    /// Returns the value.
    ///
    /// Any context.
    pub fn get(&self) -> IpAddr {
        self.value.copy().unwrap_or(self.default)
    }

    /// Returns whether a service can have `address`.
    fn may_be_served(address: IpAddr) -> bool {
        match address {
            IpAddr::V4(ip) => !ip.is_multicast() && !ip.is_broadcast(),
            IpAddr::V6(ip) => {
                !ip.is_multicast() && !ip.is_unicast_link_local() && ip.to_ipv4_mapped().is_none()
            }
        }
    }

    /// Returns whether it was set.
    ///
    /// Any context.
    pub fn is_set(&self) -> bool {
        self.value.as_ref().is_some()
    }
}

impl Value for Address {
    fn set(&self, text: &CStr) -> bool {
        let address = text.to_str().ok().and_then(|text| text.trim().parse().ok());
        address.is_some_and(|address| Self::may_be_served(address) && self.value.populate(address))
    }

    fn show(&self, f: &mut dyn Write) -> fmt::Result {
        write!(f, "{}", self.get())
    }

    fn expected(&self, f: &mut dyn Write) -> fmt::Result {
        f.write_str(
            "a unicast IPv4 or IPv6 address, not link-local IPv6 nor mapped IPv4, given once",
        )
    }
}

/// A list of CPUs that is set once, when the module is loaded; all possible ones by default.
pub struct CpuList {
    value: SetOnce<KVec<CpuId>>,
}

impl CpuList {
    /// Creates the list of all.
    #[expect(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self {
            value: SetOnce::new(),
        }
    }

    /// Returns whether `cpu` is in it.
    ///
    /// Any context.
    pub(crate) fn contains(&self, cpu: CpuId) -> bool {
        self.value
            .as_ref()
            .is_none_or(|cpus| cpus.iter().any(|one| one.as_u32() == cpu.as_u32()))
    }
}

impl Value for CpuList {
    fn set(&self, text: &CStr) -> bool {
        match hotplug::parse_list(text) {
            Ok(cpus) => !cpus.is_empty() && self.value.populate(cpus),
            Err(_) => false,
        }
    }

    fn show(&self, f: &mut dyn Write) -> fmt::Result {
        let Some(cpus) = self.value.as_ref() else {
            return f.write_str("all");
        };
        let mut first = true;
        let mut at = cpus.iter().map(|cpu| cpu.as_u32()).peekable();
        while let Some(start) = at.next() {
            let mut end = start;
            while let Some(next) = at.next_if(|next| *next == end.wrapping_add(1)) {
                end = next;
            }
            if !core::mem::take(&mut first) {
                f.write_str(",")?;
            }
            write!(f, "{start}")?;
            if end != start {
                write!(f, "-{end}")?;
            }
        }
        Ok(())
    }

    fn expected(&self, f: &mut dyn Write) -> fmt::Result {
        f.write_str("a list of CPUs that this machine can have, such as 0-3,8, given once")
    }
}

/// A parameter, as C refers to it.
#[doc(hidden)]
pub struct Entry {
    value: &'static dyn Value,
}

impl Entry {
    /// Creates the entry of a value.
    pub const fn new(value: &'static dyn Value) -> Self {
        Self { value }
    }
}

/// The kernel's description of a parameter, in the section where it looks for it.
#[doc(hidden)]
#[repr(transparent)]
pub struct KernelParam(bindings::kernel_param);

// SAFETY: It is constant, and all that it points to is constant or may be shared.
unsafe impl Sync for KernelParam {}

impl KernelParam {
    /// Describes the parameter `entry` of `module`, with the access mode that sysfs shows.
    ///
    /// # Safety
    ///
    /// `module` is the module that the result is a part of.
    #[doc(hidden)]
    pub const unsafe fn new(
        name: &'static CStr,
        module: *const bindings::module,
        mode: u16,
        entry: &'static Entry,
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
                arg: ptr::from_ref(entry).cast_mut().cast(),
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

/// Returns the value of a parameter.
///
/// # Safety
///
/// `kp` comes from [`KernelParam::new()`].
unsafe fn value_of(kp: *const bindings::kernel_param) -> &'static dyn Value {
    // SAFETY: By the requirement of this function.
    let kp = unsafe { &*kp };
    // SAFETY: `KernelParam::new()` made it from a static `Entry`.
    unsafe { &*kp.__bindgen_anon_1.arg.cast::<Entry>() }.value
}

/// Sets a parameter, at load or through sysfs.
///
/// # Safety
///
/// `text` is null or NUL-terminated, and `kp` comes from [`KernelParam::new()`].
unsafe extern "C" fn set(text: *const c_char, kp: *const bindings::kernel_param) -> c_int {
    // SAFETY: By the requirement of this function.
    let value = unsafe { value_of(kp) };
    if !text.is_null() {
        // SAFETY: By the requirement of this function.
        if value.set(unsafe { CStr::from_char_ptr(text) }) {
            return 0;
        }
    }
    // SAFETY: By the requirement of this function; the name was a static `CStr`.
    let name = unsafe { CStr::from_char_ptr((*kp).name) };
    // SAFETY: `KernelParam::new()` was given the module that the parameter is a part of, so it exists, with its name.
    let module = unsafe { CStr::from_char_ptr((*(*kp).mod_).name.as_ptr()) };
    let mut buffer = [0; EXPECTED_BYTES];
    let mut expected = Text::new(&mut buffer);
    // What does not fit is cut off.
    let _ = value.expected(&mut expected);
    kernel::pr_err!("{module}: parameter {name} must be {}\n", expected.as_str());
    EINVAL.to_errno()
}

/// Prints a parameter for sysfs.
///
/// # Safety
///
/// `buffer` has a page, and `kp` comes from [`KernelParam::new()`].
unsafe extern "C" fn get(buffer: *mut c_char, kp: *const bindings::kernel_param) -> c_int {
    // SAFETY: By the requirement of this function, and nobody else uses the page meanwhile.
    let buffer = unsafe { slice::from_raw_parts_mut(buffer.cast::<u8>(), PAGE_SIZE) };
    let mut text = Text::new(buffer);
    // SAFETY: By the requirement of this function.
    let value = unsafe { value_of(kp) };
    if value.show(&mut text).is_err() || text.write_str("\n").is_err() {
        return ENOSPC.to_errno();
    }
    // CAST: Less than a page.
    text.len as c_int
}

/// How long the text of [`Value::expected()`] may be.
const EXPECTED_BYTES: usize = 96;

/// Text that is written into a buffer, as far as it has room.
struct Text<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl<'a> Text<'a> {
    fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    fn as_str(&self) -> &str {
        let written = self.buffer.get(..self.len).unwrap_or_default();
        core::str::from_utf8(written).unwrap_or_default()
    }
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len.checked_add(text.len()).ok_or(fmt::Error)?;
        let room = self.buffer.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
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

/// Declares a module parameter.
///
/// It is set with `insmod` (a value that is not allowed is refused with `EINVAL` and a line in the log that names what is),
/// and is read, and with mode `0o644` set, in `/sys/module/*/parameters`. `modinfo` shows the description.
///
/// A [`Number`](crate::param::Number) has a default and a range; for another type, give the [`Value`](crate::param::Value).
///
/// # Examples
///
/// ```ignore
/// ksf::module_param! {
///     /// The longest line, in bytes.
///     static MAX_LINE: max_line = 256 in 1..=4096, mode 0o644, "bytes in a line at most";
/// }
///
/// ksf::module_param! {
///     /// What ends a line.
///     static END: end: Choice = Choice::new(&["lf", "crlf"]), mode 0o444, "end of a line: lf (default) or crlf";
/// }
///
/// let max_line = MAX_LINE.get();
/// ```
#[macro_export]
macro_rules! module_param {
    (
        $(#[$meta:meta])*
        $vis:vis static $static:ident: $name:ident = $default:literal in $min:literal..=$max:literal, mode $mode:literal,
        $description:literal;
    ) => {
        $(#[$meta])*
        $vis static $static: $crate::param::Number = $crate::param::Number::new($default, $min, $max);
        $crate::module_param! {
            @describe $static, $name, $mode, "ullong",
            concat!($description, " (", $min, " to ", $max, ", default ", $default, ")")
        }
    };
    (
        $(#[$meta:meta])*
        $vis:vis static $static:ident: $name:ident: $type:ty = $value:expr, mode $mode:literal, $description:literal;
    ) => {
        $(#[$meta])*
        $vis static $static: $type = $value;
        $crate::module_param! { @describe $static, $name, $mode, "charp", $description }
    };
    (@describe $static:ident, $name:ident, $mode:literal, $type:literal, $description:expr) => {
        const _: () = {
            static ENTRY: $crate::param::Entry = $crate::param::Entry::new(&$static);

            const NAME: &::core::ffi::CStr = $crate::module_param!(@cstr stringify!($name));
            const MODE: u16 = $mode;

            #[link_section = "__param"]
            #[used(compiler)]
            // SAFETY: It is the module that this is compiled into.
            static PARAM: $crate::param::KernelParam = unsafe {
                $crate::param::KernelParam::new(
                    NAME,
                    &raw const ::kernel::bindings::__this_module,
                    MODE,
                    &ENTRY,
                )
            };

            const TYPE: &str = concat!("parmtype=", stringify!($name), ":", $type, "\0");
            #[link_section = ".modinfo"]
            #[used(compiler)]
            static MODINFO_TYPE: [u8; TYPE.len()] = $crate::param::modinfo(TYPE);

            const TEXT: &str = concat!("parm=", stringify!($name), ":", $description, "\0");
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

#[kunit_tests(ksf_param)]
mod tests {
    use super::*;
    use core::net::Ipv6Addr;

    /// The value after `text` was set, if it was allowed.
    fn set(text: &CStr) -> Option<IpAddr> {
        let address = Address::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        address.set(text).then(|| address.get())
    }

    #[test]
    fn an_address_may_be_that_of_one_host_or_of_all() -> Result {
        for text in [
            c"::",
            c"0.0.0.0",
            c"::1",
            c"127.0.0.1",
            c"192.0.2.1",
            c"169.254.0.1",
            c"2001:db8::1",
            c"fd00::1\n",
        ] {
            let expected = text.to_str()?.trim().parse().map_err(|_| EINVAL)?;
            assert_eq!(set(text), Some(expected));
        }
        Ok(())
    }

    #[test]
    fn an_address_that_cannot_be_served_is_refused() {
        for text in [
            c"fe80::1",
            c"febf:ffff::1",
            c"::ffff:127.0.0.1",
            c"::ffff:0.0.0.0",
            c"ff02::1",
            c"ff0e::1",
            c"224.0.0.1",
            c"239.255.255.255",
            c"255.255.255.255",
        ] {
            assert_eq!(set(text), None);
        }
    }

    #[test]
    fn what_an_address_must_be_fits_into_the_log() {
        let mut buffer = [0; EXPECTED_BYTES];
        let mut text = Text::new(&mut buffer);
        assert!(Address::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
            .expected(&mut text)
            .is_ok());
        assert!(text.as_str().contains("link-local"));
    }
}
