//! What `cargo xtask load` starts as root: floods over two cables while policies, modes and addresses change every second, flows
//! are made and pushed out, and everything is read. Afterwards every frame has to be accounted for, and nothing may be left over.
//!
//! Nothing here depends on how fast the machine is: what is compared are numbers of frames, objects and bytes.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool that talks to the person who started it")]

mod account;
mod disturb;
mod growth;
#[expect(dead_code, reason = "the bench has more of them")]
#[path = "../bench/programs.rs"]
mod programs;
mod readers;
mod traffic;
mod world;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use clap::Parser;
use harness::{interrupt, results};
use serde_json::{Map, Value, json};

use crate::account::Account;
use crate::growth::Growth;
use crate::world::World;

/// From here on it can be told whether the agent's memory grows.
const LONG: Duration = Duration::from_secs(60);

/// Floods two protected interfaces while everything changes and is read, and sees that nothing is lost or left over.
#[derive(Debug, Parser)]
struct Options {
    /// How long, half of it at each hook.
    #[arg(long, value_name = "N", default_value_t = 600)]
    seconds: u64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    interrupt::listen();
    match std::panic::catch_unwind(|| run(options.seconds)) {
        Ok(figures) => {
            println!("{figures:#}");
            results::write("load", &figures);
            ExitCode::SUCCESS
        }
        // The agent, the pins and the namespaces went with the stack that was unwound.
        Err(panic) if panic.is::<interrupt::Interrupted>() => {
            eprintln!("\ninterrupted; nothing is left behind");
            ExitCode::from(130)
        }
        Err(_) => ExitCode::FAILURE,
    }
}

fn run(seconds: u64) -> Value {
    let half = Duration::from_millis(seconds * 500);
    json!({"native": at_hook("native", half), "tc": at_hook("tc", half)})
}

/// All of it at one hook.
///
/// # Panics
/// When something was lost, grew or was left over.
fn at_hook(hook: &str, time: Duration) -> Value {
    eprintln!("{hook}: {} seconds", time.as_secs());
    let world = World::new(hook);
    let is_long = time >= LONG;
    if is_long {
        // What is made once is made, and full is what fills up.
        let mut growth = Growth::begin(&world, false);
        under_load(&world, time / 5, &mut growth);
    }
    disturb::each_once(&world);
    let before = Account::settled(&world);
    let mut growth = Growth::begin(&world, is_long);
    let (mut figures, sent) = under_load(&world, time, &mut growth);
    disturb::each_once(&world);
    let after = Account::settled(&world);
    figures.extend(after.figures_since(&before, sent));
    figures.extend(growth.end(&world));
    figures.extend(growth.gone(world));
    Value::Object(figures)
}

/// Everything at the same time. Says what was done, and how many frames were sent over each cable.
fn under_load(world: &World, time: Duration, growth: &mut Growth) -> (Map<String, Value>, [u64; 2]) {
    let mut figures = Map::new();
    let (over, changes) = (Over(AtomicBool::new(false)), AtomicUsize::new(0));
    let sent = thread::scope(|scope| {
        // However this thread ends, the others have to.
        let end = End(&over);
        let floods = [0, 1].map(|pair| {
            let over = &over;
            over.spawn(scope, move || traffic::flood(world, pair, over))
        });
        let others = [
            over.spawn(scope, || traffic::conversations(world, &over)),
            over.spawn(scope, || disturb::addresses(world, &over)),
            over.spawn(scope, || disturb::policies(world, &over, &changes)),
            over.spawn(scope, || readers::commands(world, &over)),
            over.spawn(scope, || readers::events(world, &over)),
            over.spawn(scope, || readers::top(world, &over)),
        ];
        let begin = Instant::now();
        // On a slow machine, as long as it takes to change everything once.
        while (begin.elapsed() < time || changes.load(Ordering::Relaxed) < disturb::KINDS) && !over.is() {
            interrupt::check();
            growth.watch(world);
            thread::sleep(Duration::from_millis(250));
        }
        drop(end);
        figures.insert("seconds".to_owned(), begin.elapsed().as_secs().into());
        for other in others {
            figures.extend(joined(other));
        }
        floods.map(joined)
    });
    (figures, sent)
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Says when it is over: when the time has passed, or one of the threads has panicked.
struct Over(AtomicBool);

impl Over {
    fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn spawn<'scope, T: Send + 'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        work: impl FnOnce() -> T + Send + 'scope,
    ) -> ScopedJoinHandle<'scope, T> {
        scope.spawn(move || {
            // Nobody ends before it is over, but by a panic.
            let _end = End(self);
            work()
        })
    }
}

struct End<'a>(&'a Over);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_load_loses_no_frame_and_leaves_nothing_over() {
        run(10);
    }
}
