//! Settings of glibc's allocator that keep the memory of the agent small.

/// Makes all threads use one heap; call this before a second thread starts. Otherwise glibc gives each thread its own heap, in which
/// small allocations keep large pages in use: at rest the agent then needs four times as much memory. `tests/load` shows the
/// difference.
pub(super) fn share() {
    #[cfg(target_env = "gnu")]
    // SAFETY: a glibc function that takes a known parameter and a number.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Returns unused memory to the kernel. Compiling and loading a policy needs tens of megabytes, which are then unused until the next
/// change, possibly for months.
pub(super) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: a glibc function that takes its own locks; the number is what it may keep at the end of the heap.
    unsafe {
        libc::malloc_trim(0);
    }
}
