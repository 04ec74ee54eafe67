//! Maps of one value, to which the programs hold the address.
//!
//! To look a word up in an array, a program writes an index to its stack and lets the kernel check it, multiply it and add it to
//! the address of the array: fourteen instructions, one of them waiting for the stack. The address of the only value of an array is
//! a constant (`BPF_PSEUDO_MAP_VALUE`, Linux 5.2), and what remains is one load. Here stands a [placeholder](Direct::placeholder)
//! for the address; the loader writes the map there.

use core::arch::asm;
use core::marker::PhantomData;
use core::ptr::read_volatile;

use aya_ebpf::helpers::generated::bpf_get_smp_processor_id;
use enforcer_common::layout::{Direct, Parts};

/// An array of `LENGTH` elements, which is the only value of the map with this number.
pub(crate) struct DirectArray<T, const NUMBER: u32, const LENGTH: u32>(PhantomData<T>);

impl<T, const NUMBER: u32, const LENGTH: u32> DirectArray<T, NUMBER, LENGTH> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }

    /// The first element. It lives as long as a program that uses the map.
    #[inline(always)]
    pub(crate) fn first(&self) -> *mut T {
        const { assert!(size_of::<T>() as u64 * LENGTH as u64 == Direct::from_number(NUMBER).size() as u64) };
        const { assert!(matches!(Direct::from_number(NUMBER).parts(), Parts::One)) };
        address::<T, NUMBER>()
    }

    /// What an element is now: others write it meanwhile. See [`at`](Self::at).
    #[inline(always)]
    pub(crate) fn load(&self, index: u32) -> T
    where
        T: Copy,
    {
        // SAFETY: there is such an element, and any bits are a valid integer.
        unsafe { read_volatile(self.at(index)) }
    }

    /// An element. There is no comparison: the verifier follows what an index can be, and refuses a program in which it could be
    /// beyond the last one.
    #[inline(always)]
    pub(crate) fn at(&self, index: u32) -> *mut T {
        // SAFETY: no program is loaded in which this is not within the map's value.
        unsafe { self.first().add(index as usize) }
    }
}

/// An array for each CPU, with `LAST` as its last index, a power of two less one: together they are the only value of the map with
/// this number.
pub(crate) struct DirectPerCpuArray<T, const NUMBER: u32, const LAST: u32>(PhantomData<T>);

impl<T, const NUMBER: u32, const LAST: u32> DirectPerCpuArray<T, NUMBER, LAST> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }

    /// An element of this CPU. It lives as long as a program that uses the map. There is none beyond the last one: an index
    /// begins again at the first.
    #[inline(always)]
    pub(crate) fn at(&self, index: u32) -> *mut T {
        const { assert!(size_of::<T>() as u64 * (LAST as u64 + 1) == Direct::from_number(NUMBER).size() as u64) };
        const { assert!(matches!(Direct::from_number(NUMBER).parts(), Parts::Cpus) && (LAST + 1).is_power_of_two()) };
        let within = if LAST == 0 { 0 } else { masked::<LAST>(index) };
        let number = this_cpu() * (LAST + 1) + within;
        // SAFETY: the part of this CPU is within the value, and the element within that part.
        unsafe { address::<T, NUMBER>().add(number as usize) }
    }
}

/// The ranges of the policy: together they are the only value of the map with this number.
pub(crate) struct DirectRanges<T, const NUMBER: u32>(PhantomData<T>);

impl<T, const NUMBER: u32> DirectRanges<T, NUMBER> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }

    /// One of them. It lives as long as a program that uses the map. There is none beyond the last one: a number begins again at
    /// the first.
    #[inline(always)]
    pub(crate) fn at(&self, number: u32) -> *mut T {
        const { assert!(size_of::<T>() as u64 == Direct::from_number(NUMBER).size() as u64) };
        const { assert!(matches!(Direct::from_number(NUMBER).parts(), Parts::Ranges)) };
        // SAFETY: the mask keeps the number within the value.
        unsafe { address::<T, NUMBER>().add(masked::<{ Parts::Ranges.placeholder() }>(number) as usize) }
    }
}

/// Where the value of a map begins.
#[inline(always)]
fn address<T, const NUMBER: u32>() -> *mut T {
    let start: *mut T;
    // SAFETY: a constant.
    unsafe {
        asm!(
            "{} = {} ll",
            out(reg) start,
            const Direct::from_number(NUMBER).placeholder(),
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    start
}

/// The number of the CPU, which a program does not leave while it runs. The mask changes nothing; the verifier wants it.
#[inline(always)]
fn this_cpu() -> u32 {
    // SAFETY: a helper without arguments.
    masked::<{ Parts::Cpus.placeholder() }>(unsafe { bpf_get_smp_processor_id() })
}

/// The bits of the mask, by one instruction that the compiler does not leave out where it knows the answer: the verifier of Linux
/// 6.1 may not know it.
#[inline(always)]
pub(crate) fn masked<const MASK: u32>(mut number: u32) -> u32 {
    // SAFETY: arithmetic on a register.
    unsafe { asm!("{0} &= {1}", inout(wreg) number, const MASK, options(pure, nomem, nostack)) };
    number
}
