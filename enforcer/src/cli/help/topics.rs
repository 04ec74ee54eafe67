//! `enforcer help TOPIC`: prints sections of the documents in `docs/`, which are embedded in the binary, to the terminal and the manual.
//!
//! Every sentence has one place: a change of a document also changes the help and the manual pages.

use crate::cli::help::markdown::Block;

const CATALOGUE: &str = include_str!("../../../../docs/catalogue.md");
const ESTATE: &str = include_str!("../../../../docs/estate.md");
const HOW_IT_WORKS: &str = include_str!("../../../../docs/how-it-works.md");
const OPERATING: &str = include_str!("../../../../docs/operating.md");
const POLICY: &str = include_str!("../../../../docs/policy.md");

/// Something that operators ask about, and where a document answers.
#[derive(Clone, Copy, Debug)]
pub struct Topic {
    /// The word behind `enforcer help`.
    pub name: &'static str,
    /// What it is about, in a line.
    pub summary: &'static str,
    document: &'static str,
    heading: &'static str,
}

const fn topic(name: &'static str, summary: &'static str, document: &'static str, heading: &'static str) -> Topic {
    Topic { name, summary, document, heading }
}

/// All topics, in the order in which a newcomer would read them.
pub const TOPICS: &[Topic] = &[
    topic("policy", "What a policy permits and refuses", POLICY, "What a policy means"),
    topic("site", "The site file, key by key", POLICY, "The site file"),
    topic("estate", "One file for all hosts", ESTATE, "From a spreadsheet to an enforced estate"),
    topic("catalogue", "Roles, document rows, peers", CATALOGUE, "Reading a role"),
    topic("audit", "From the first command to enforcement", OPERATING, "From audit to enforce"),
    topic("modes", "Audit and enforce, and how the mode is chosen", OPERATING, "Modes"),
    topic("deadline", "--confirm-within, and change windows", OPERATING, "Deadlines"),
    topic("lockout", "What to do when you are locked out", OPERATING, "Locked out"),
    topic("outbound", "Outbound packets, and how replies pass", POLICY, "What leaves the host"),
    topic("reasons", "Every reason why a packet passes or is refused", HOW_IT_WORKS, "Reasons"),
    topic("flows", "Flows: how they begin and expire", HOW_IT_WORKS, "Flows"),
    topic("pins", "Paths of programs, tables and files", HOW_IT_WORKS, "Pins and files"),
    topic("permissions", "Privileges that each command needs", OPERATING, "Permissions"),
    topic("exit-codes", "Exit codes of the commands", OPERATING, "Exit codes"),
    topic("symptoms", "Symptoms, their causes and remedies", OPERATING, "Symptoms"),
];

impl Topic {
    /// The topic with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        TOPICS.iter().find(|topic| topic.name == name)
    }

    /// The section that is about it, its heading included.
    #[must_use]
    pub fn blocks(&self) -> Vec<Block> {
        section(self.document, self.heading)
    }
}

/// The part of the policy reference that describes the site file, for its manual page.
#[must_use]
pub fn site_file() -> Vec<Block> {
    section(POLICY, "The site file")
}

/// The part of the guide to estates that describes the file, for its manual page.
#[must_use]
pub fn estate_file() -> Vec<Block> {
    section(ESTATE, "The estate file")
}

/// The part of the catalogue guide that describes its files, for their manual page.
#[must_use]
pub fn catalogue_files() -> Vec<Block> {
    section(CATALOGUE, "The files")
}

/// A heading and what stands below it, to the next one that is not below it.
fn section(document: &str, heading: &str) -> Vec<Block> {
    let mut blocks = super::markdown::read(document).into_iter();
    let mut section: Vec<Block> = blocks.by_ref().skip_while(|block| !block.is_heading(heading)).take(1).collect();
    if let Some(Block::Heading { level, .. }) = section.first() {
        let level = *level;
        section.extend(blocks.take_while(|block| block.level().is_none_or(|found| found > level)));
    }
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_at_the_next_heading_that_is_not_below_it() {
        let document = "# T\n\none\n\n## A\n\ntwo\n\n### B\n\nthree\n\n## C\n\nfour\n";
        let text = |heading| crate::cli::help::terminal::print(&section(document, heading), 40, false);
        assert_eq!(text("A"), "A\n\ntwo\n\nB\n\nthree\n");
        assert_eq!(text("C"), "C\n\nfour\n");
        assert_eq!(text("D"), "");
    }

    #[test]
    fn every_topic_has_text() {
        for topic in TOPICS {
            assert!(topic.blocks().len() > 1, "no section `{}` for the topic {}", topic.heading, topic.name);
        }
        assert!(site_file().len() > 1 && estate_file().len() > 1 && catalogue_files().len() > 1);
    }
}
