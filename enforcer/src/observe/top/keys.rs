//! Keys, and how they change what is shown.

use super::App;

/// What a key asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Key {
    /// A character.
    Char(char),
    /// Enter.
    Enter,
    /// Escape.
    Escape,
    /// Delete the last character.
    Backspace,
    /// One row down, or up.
    Down,
    /// The other way.
    Up,
    /// Control and C.
    Interrupt,
}

impl App {
    /// Takes a key.
    pub fn press(&mut self, key: Key) {
        if key == Key::Interrupt {
            self.done = true;
        } else if self.types_filter {
            self.type_filter(key);
        } else if self.help {
            // Any key leaves the help.
            self.help = false;
        } else {
            self.command(key);
        }
    }

    fn command(&mut self, key: Key) {
        match key {
            Key::Char('q') => self.done = true,
            Key::Char('/') => self.types_filter = true,
            Key::Char('s') => self.order = self.order.next(),
            Key::Char('p' | ' ') => self.paused = !self.paused,
            Key::Char('?' | 'h') => self.help = true,
            Key::Escape => {
                self.filter.clear();
                self.scroll = 0;
            }
            Key::Down | Key::Char('j') => self.scroll = (self.scroll + 1).min(self.rules.len().saturating_sub(1)),
            Key::Up | Key::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            Key::Char(_) | Key::Enter | Key::Backspace | Key::Interrupt => {}
        }
    }

    fn type_filter(&mut self, key: Key) {
        /// More is no name.
        const LONGEST: usize = 64;
        self.scroll = 0;
        match key {
            Key::Char(c) if self.filter.len() < LONGEST => self.filter.push(c),
            Key::Backspace => {
                self.filter.pop();
            }
            Key::Enter => self.types_filter = false,
            Key::Escape => {
                self.types_filter = false;
                self.filter.clear();
            }
            Key::Char(_) | Key::Down | Key::Up | Key::Interrupt => {}
        }
    }
}
