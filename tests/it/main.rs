//! The one test binary of the kernel suite.

/// nftables and our programs let the same packets arrive.
mod against_nft;
/// The agent: what it follows, what it puts back, and that nothing hangs on it.
mod agent;
/// The programs' own log lines.
mod bpf_log;
/// Network cards of virtual machines, whatever happens to their links.
mod cards;
/// Exit codes and messages, of commands that look at no interface.
mod cli;
/// Kernels that are locked down or lack something, and processes that may do less.
mod conditions;
/// Dashboards and alerts for the metrics.
mod contrib;
/// Counters in every format, and how they go on.
mod counters;
/// What was refused, as an operator reads it.
mod denied;
/// Commands in the documents and examples of `--help`, run.
mod documents;
/// Names that others have chosen, on a terminal and in a log.
mod escapes;
/// Hosts of the reference estate, each tried by the others.
mod estate;
/// Denied packets, told one by one and summed up, both bounded.
mod events;
/// Policies for other firewalls: what their own tools say of them.
mod export;
/// Conversations: who makes them, who may answer, and when they are over.
mod flows;
/// Guests behind ports, hostile ones: nothing of one can touch another, or the machine.
mod guests;
/// What the programs see and do at each hook they can be attached to.
mod health;
mod hooks;
/// Apply, again, kill, detach; what must not change when something goes wrong.
mod lifecycle;
/// Connections that are there when a policy comes: flows made for them, the cut list, the SSH guard.
mod live;
/// The loaded programs agree with the same decision code on the host, on random policies and packets.
mod oracle;
/// Is the host ready to enforce, by what history and kernel tell.
mod readiness;
/// Captures through the programs and the plain reading.
mod replay;
/// The page about a host.
mod report;
/// What a user without privileges cannot do.
mod security;
mod siem;
mod stage;
/// Suggestions from denied flows, applied.
mod suggest;
/// The terminal dashboard, on a terminal.
mod top;
/// Sockets over a cable: what only traffic shows.
mod traffic;
/// Verdict and reason of single frames, by test run of the pinned program.
mod verdict;
