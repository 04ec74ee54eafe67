//! Memory-mapped arrays.

use std::num::NonZeroUsize;
use std::os::fd::AsFd as _;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

use aya::maps::MapData;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use crate::dataplane::error::{Context as _, DataplaneError};

/// An atomic integer type as which shared memory is read and written.
pub(in crate::dataplane) trait Shared {}

impl Shared for AtomicU64 {}

impl Shared for AtomicU8 {}

impl Shared for AtomicU32 {}

/// Calls `work` with the contents of a memory-mapped array, to read or write it. Words have eight bytes, to which the kernel rounds
/// elements up, or a part of that.
pub(in crate::dataplane) fn with_memory<W: Shared, T>(
    data: &MapData,
    work: impl FnOnce(&[W]) -> T,
) -> Result<T, DataplaneError> {
    let context = || "cannot map a BPF array into memory".to_owned();
    let info = data.info().with_context(context)?;
    let bytes = info.max_entries() as usize * (info.value_size() as usize).next_multiple_of(8);
    let length = NonZeroUsize::new(bytes).unwrap_or(NonZeroUsize::MIN);
    // SAFETY: a new mapping of an open file descriptor, at an address that the kernel chooses.
    let address = unsafe {
        mmap(None, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED, data.fd().as_fd(), 0)
    }
    .map_err(|errno| DataplaneError::system(context(), std::io::Error::from(errno)))?;
    let words: NonNull<W> = address.cast();
    // SAFETY: page-aligned, `bytes` long, and alive until `munmap` below. Programs and other processes share it, and each word
    // is an atomic one, for which any bits are valid.
    let result = work(unsafe { std::slice::from_raw_parts(words.as_ptr(), bytes / size_of::<W>()) });
    // SAFETY: the mapping from above; the slice is no longer used.
    unsafe { munmap(address, length.get()) }
        .map_err(|errno| DataplaneError::system(context(), std::io::Error::from(errno)))?;
    Ok(result)
}
