//! Figures into a page of the documentation: tables between marks, which nobody writes by hand, and plots beside the page.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::plots;
use crate::report::{self, Section};

/// Writes what there are figures of; the rest of the page stays as it is.
pub(crate) fn publish(page: &Path, machine: &Value, sections: &[Section]) -> anyhow::Result<()> {
    let mut text = fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))?;
    for section in sections {
        text = fill(&text, &section.name, &block(&section.table()))?;
    }
    let (met, all) = report::tally(sections);
    text = fill(&text, "targets", &format!("{met} of {all} are met.\n\n{}", block(&report::targets(sections))))?;
    text = fill(&text, "machine", &about(machine))?;
    fs::write(page, text).with_context(|| format!("cannot write {}", page.display()))?;
    println!("tables: {}", page.display());
    let folder = page.with_extension("");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, svg) in plots::all(sections)? {
        let path = folder.join(name);
        fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))?;
        println!("plot: {}", path.display());
    }
    Ok(())
}

/// Where and when the figures were taken.
fn about(machine: &Value) -> String {
    let text = |name: &str| machine[name].as_str().unwrap_or("unknown");
    let quick =
        if machine["quick"] == true { " In a quick run, which is for seeing that everything runs." } else { "" };
    format!("{}, revision {}: {}.{quick}\n", text("date"), text("revision"), text("text"))
}

fn block(table: &str) -> String {
    let lines: Vec<_> = table.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
    format!("```\n{}\n```\n", lines.join("\n"))
}

/// Replaces what stands between the marks of this name.
fn fill(page: &str, name: &str, content: &str) -> anyhow::Result<String> {
    let (begin, end) = (format!("<!-- bench: {name} -->\n"), format!("<!-- end of {name} -->"));
    let Some((before, rest)) = page.split_once(&begin) else { bail!("the page has no mark `{}`", begin.trim_end()) };
    let Some((_, after)) = rest.split_once(&end) else { bail!("the page has no mark `{end}`") };
    Ok(format!("{before}{begin}{content}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let page = "before\n<!-- bench: one -->\nold\n<!-- end of one -->\nafter\n";
        let filled = fill(page, "one", "new\n").unwrap();
        assert_eq!(filled, page.replace("old", "new"));
        assert_eq!(fill(&filled, "one", "new\n").unwrap(), filled);
        assert_eq!(fill(page, "two", "").unwrap_err().to_string(), "the page has no mark `<!-- bench: two -->`");
    }
}
