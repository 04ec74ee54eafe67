//! Maps of one value, to which the programs hold the address.
//!
//! To look a word up in an array, a program writes an index to its stack and lets the kernel check it, multiply it and add it to
//! the address of the array: fourteen instructions, one of them waiting for the stack. The address of the only value of an array is
//! a constant (`BPF_PSEUDO_MAP_VALUE`, Linux 5.2), and what remains is one load. Here stands a [placeholder](Direct::placeholder)
//! for the address; the loader writes the map there.

use core::arch::asm;
use core::marker::PhantomData;
use core::ptr::read_volatile;

use enforcer_common::layout::Direct;

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
