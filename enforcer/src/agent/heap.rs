//! Memory that was used for a moment.

/// One heap for all threads, to be said before there is a second one. Otherwise glibc gives each thread that loads or reads something
/// a heap of its own, in which little things keep the pages of great ones: four times as much at rest, and more with each heap. It takes
/// questions of several threads under load to see it: `tests/load`.
pub(super) fn share() {
    #[cfg(target_env = "gnu")]
    // SAFETY: glibc's own function, which takes a parameter that it knows and a number.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Gives the kernel back what the allocator keeps. Compiling and loading a policy takes tens of megabytes that nobody needs until the
/// next change, which may be months away.
pub(super) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: glibc's own function, which takes its locks; the number is what it may keep at the end of the heap.
    unsafe {
        libc::malloc_trim(0);
    }
}
