//! Memory that was used for a moment.

/// Gives the kernel back what the allocator keeps. Compiling and loading a policy takes tens of megabytes that nobody needs until the
/// next change, which may be months away.
pub(super) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: glibc's own function, which takes its locks; the number is what it may keep at the end of the heap.
    unsafe {
        libc::malloc_trim(0);
    }
}
