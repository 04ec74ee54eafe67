//! The screen of a terminal as SVG, in which text stays text.

use std::fmt::Write as _;

use vt100::{Cell, Color, Screen};

/// Width and height of a cell, and the size of the letters in it. Browsers take what monospaced font they have; each run of
/// letters is stretched to the cells that it covers.
const CELL: (f64, f64, f64) = (8.0, 17.0, 13.0);
/// Around the text.
const MARGIN: f64 = 12.0;
const GROUND: &str = "#14171b";
const TEXT: &str = "#e4e8ec";
const DIM: &str = "#9aa5b1";

/// The first sixteen colours of a terminal, such that each can be read on the ground.
const COLORS: [&str; 16] = [
    "#5b6470", "#ec7063", "#5cb583", "#e6a23c", "#7fb2ec", "#c792ea", "#56c2c0", "#e4e8ec", "#9aa5b1", "#ff8a7d",
    "#7bd3a0", "#ffc266", "#a3cbff", "#dcb0ff", "#7fe0de", "#ffffff",
];

/// How a run of cells is drawn.
#[derive(Clone, Eq, PartialEq)]
struct Style {
    front: String,
    back: Option<String>,
    bold: bool,
}

/// What stands on the screen. `title` says what it is a picture of.
pub(crate) fn svg(screen: &Screen, title: &str) -> String {
    let (lines, columns) = screen.size();
    let (cell_width, cell_height, letters) = CELL;
    let width = f64::from(columns.get()) * cell_width + 2.0 * MARGIN;
    let height = f64::from(lines.get()) * cell_height + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"{letters}\">\n\
         <title>{}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{GROUND}\"/>\n",
        escape(title)
    );
    for line in 0..lines.get() {
        let top = MARGIN + f64::from(line) * cell_height;
        for (column, text, style) in runs(screen, line, columns.get()) {
            let left = MARGIN + f64::from(column) * cell_width;
            #[expect(clippy::cast_precision_loss, reason = "a line of a terminal")]
            let run_width = text.chars().count() as f64 * cell_width;
            if let Some(back) = &style.back {
                let _ = writeln!(
                    svg,
                    "<rect x=\"{left}\" y=\"{top}\" width=\"{run_width}\" height=\"{cell_height}\" fill=\"{back}\"/>"
                );
            }
            if text.trim().is_empty() {
                continue;
            }
            // Blocks are drawn: fonts leave gaps between the lines.
            if text.chars().all(|letter| eighths(letter) > 0) {
                for (place, letter) in (0_u32..).zip(text.chars()) {
                    let high = f64::from(eighths(letter)) / 8.0 * cell_height;
                    let (x, y) = (left + f64::from(place) * cell_width, top + cell_height - high);
                    let front = &style.front;
                    let _ = writeln!(
                        svg,
                        "<rect x=\"{x}\" y=\"{y:.1}\" width=\"{cell_width}\" height=\"{high:.1}\" fill=\"{front}\"/>"
                    );
                }
                continue;
            }
            let bold = if style.bold { " font-weight=\"bold\"" } else { "" };
            let _ = writeln!(
                svg,
                "<text x=\"{left}\" y=\"{}\" textLength=\"{run_width}\" lengthAdjust=\"spacingAndGlyphs\" \
                 xml:space=\"preserve\" fill=\"{}\"{bold}>{}</text>",
                top + 0.77 * cell_height,
                style.front,
                escape(&text)
            );
        }
    }
    svg + "</svg>\n"
}

/// The runs of equal style in a line: where each begins, and its text. Two blanks end a run, too, so that no gap is wider or
/// narrower than its cells.
fn runs(screen: &Screen, line: u16, columns: u16) -> Vec<(u16, String, Style)> {
    let mut runs: Vec<(u16, String, Style)> = Vec::new();
    for column in 0..columns {
        let Some(cell) = screen.cell(line, column).filter(|cell| !cell.is_wide_continuation()) else { continue };
        let (letter, style) = (if cell.has_contents() { cell.contents() } else { " " }, style(cell));
        match runs.last_mut() {
            Some((_, text, last)) if *last == style && goes_on(text, letter) => text.push_str(letter),
            _ => runs.push((column, letter.to_owned(), style)),
        }
    }
    for (_, text, style) in &mut runs {
        if style.back.is_none() {
            text.truncate(text.trim_end().len());
        }
    }
    runs.retain(|(_, text, _)| !text.is_empty());
    runs
}

/// Whether a letter belongs to the run before it.
fn goes_on(run: &str, letter: &str) -> bool {
    let is_block = |text: &str| text.chars().next_back().is_some_and(|letter| eighths(letter) > 0);
    (letter == " " || !run.ends_with("  ")) && is_block(run) == is_block(letter)
}

/// How much of its cell a block fills, from below; 0: it is no block.
fn eighths(letter: char) -> u32 {
    u32::from(letter).checked_sub(0x2580).filter(|number| (1..=8).contains(number)).unwrap_or(0)
}

fn style(cell: &Cell) -> Style {
    let front =
        if cell.dim() && cell.fgcolor() == Color::Default { DIM.to_owned() } else { color(cell.fgcolor(), TEXT) };
    let back = (cell.bgcolor() != Color::Default).then(|| color(cell.bgcolor(), GROUND));
    let (front, back) =
        if cell.inverse() { (back.unwrap_or_else(|| GROUND.to_owned()), Some(front)) } else { (front, back) };
    Style { front, back, bold: cell.bold() }
}

fn color(color: Color, default: &str) -> String {
    match color {
        Color::Default => default.to_owned(),
        Color::Idx(index) => {
            COLORS.get(usize::from(index)).map_or_else(|| default.to_owned(), |color| (*color).to_owned())
        }
        Color::Rgb(red, green, blue) => format!("#{red:02x}{green:02x}{blue:02x}"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use vt100::Parser;

    use super::*;

    fn of(bytes: &str) -> String {
        let mut parser = Parser::new(NonZero::new(2).unwrap(), NonZero::new(20).unwrap(), 0);
        parser.process(bytes.as_bytes());
        svg(parser.screen(), "a <screen>")
    }

    #[test]
    fn text_stays_text_with_its_colours() {
        let svg = of("\x1b[1;31mred\x1b[0m plain   far <&>");
        assert!(svg.contains(r##"fill="#ec7063" font-weight="bold">red</text>"##), "{svg}");
        assert!(svg.contains(">far &lt;&amp;&gt;</text>") && svg.contains("<title>a &lt;screen&gt;</title>"), "{svg}");
        assert_eq!(svg.matches("<text").count(), 3, "{svg}");
    }

    #[test]
    fn blocks_are_drawn() {
        let svg = of("\u{2584}\u{2588}");
        assert!(svg.contains(r#"x="12" y="20.5" width="8" height="8.5""#), "{svg}");
        assert!(svg.contains(r#"x="20" y="12.0" width="8" height="17.0""#) && !svg.contains("<text"), "{svg}");
    }

    #[test]
    fn inverse_cells_have_a_ground_of_their_own() {
        let svg = of("\x1b[7mkey\x1b[0m");
        assert!(svg.contains(r##"width="24" height="17" fill="#e4e8ec"/>"##), "{svg}");
        assert!(svg.contains(r##"fill="#14171b">key</text>"##), "{svg}");
    }
}
