//! The one test binary of the kernel suite.

/// Exit codes and messages, of commands that look at no interface.
mod cli;
/// Apply, again, kill, detach; what must not change when something goes wrong.
mod lifecycle;
/// Connections that are there when a policy comes: flows made for them, the cut list, the SSH guard.
mod live;
/// Sockets over a cable: what only traffic shows.
mod traffic;
/// Verdict and reason of single frames, by test run of the pinned program.
mod verdict;
