//! `enforcer top`: the terminal dashboard.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use crate::cli::args::interfaces::{InterfaceArgs, duration};
use crate::cli::output::Output;
use crate::cli::print::interrupt;
use crate::dataplane::{Pending, counters, denied, pending};
use crate::failure::Failure;
use crate::observe::top::{App, Key, Reading, draw};

/// Show rates and denied flows in the terminal.
///
/// Shows rates by rule and reason, modes, deadlines and the busiest denied flows.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Keys: / filter, s sort, p or space pause, j and k scroll, ? help, q quit. The terminal needs 80 \
                  columns and 24 lines. For files and programs, use `enforcer counters --watch`.\n\n\
                  Examples:\n  \
                  enforcer top\n  \
                  enforcer top --interface eth0 --interval 5s"
)]
pub struct Args {
    #[command(flatten)]
    interfaces: InterfaceArgs,
    /// Interval between two readings.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1s")]
    interval: Duration,
}

/// Runs the command.
///
/// # Errors
/// When there is no terminal, nothing is protected, or it is protected no longer.
pub fn run(args: &Args, _: &mut Output<'_>) -> Result<(), Failure> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Failure::BadInput(anyhow::anyhow!(
            "`enforcer top` needs a terminal; `enforcer counters --watch` prints the same numbers"
        )));
    }
    let first = read(args)?;
    interrupt::catch()?;
    // A panic restores the terminal as well: the library has put a hook before the one that prints.
    let mut terminal = ratatui::try_init()?;
    let shown = show(args, first, &mut terminal);
    let restored = ratatui::try_restore();
    shown?;
    Ok(restored?)
}

fn show(args: &Args, first: Reading, terminal: &mut DefaultTerminal) -> Result<(), Failure> {
    /// How long a signal may wait.
    const STEP: Duration = Duration::from_millis(100);
    let mut app = App::default();
    app.observe(first);
    let mut next = Instant::now() + args.interval;
    while !app.is_done() && !interrupt::asked() {
        terminal.draw(|frame| draw(frame, &app))?;
        loop {
            let left = next.saturating_duration_since(Instant::now());
            if interrupt::asked() || left.is_zero() {
                break;
            }
            if event::poll(left.min(STEP))? {
                // A new size is an event too: it is drawn anew.
                key(&event::read()?).into_iter().for_each(|key| app.press(key));
                break;
            }
        }
        if Instant::now() >= next {
            next = Instant::now() + args.interval;
            if !app.is_paused() {
                app.observe(read(args)?);
            }
        }
    }
    Ok(())
}

fn key(event: &Event) -> Option<Key> {
    let Event::Key(key) = event else { return None };
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if let KeyCode::Char(character) = key.code {
        let is_interrupt = character == 'c' && key.modifiers.contains(KeyModifiers::CONTROL);
        return Some(if is_interrupt { Key::Interrupt } else { Key::Char(character) });
    }
    let known = [
        (KeyCode::Enter, Key::Enter),
        (KeyCode::Esc, Key::Escape),
        (KeyCode::Backspace, Key::Backspace),
        (KeyCode::Down, Key::Down),
        (KeyCode::Up, Key::Up),
    ];
    known.into_iter().find(|(code, _)| *code == key.code).map(|(_, key)| key)
}

fn read(args: &Args) -> Result<Reading, Failure> {
    let protected = args.interfaces.some_protected()?;
    let mut interfaces = Vec::with_capacity(protected.len());
    for one in &protected {
        let deadline = pending(one)?.filter(Pending::is_armed).map(|pending| pending.at());
        interfaces.push((counters(one)?, deadline));
    }
    Ok(Reading { at: Timestamp::now(), interfaces, denied: denied(&protected)?.flows })
}
