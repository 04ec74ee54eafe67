//! Drawing: everything in 80 columns and 24 lines, more where there is more.

use enforcer_common::Mode;
use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Clear, Paragraph, Row as Cells, Sparkline, Table};

use super::{App, Head, Refused, Row};

const QUIET: Style = Style::new().add_modifier(Modifier::DIM);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD).remove_modifier(Modifier::DIM);
const HELP: &str = "\
/        filter rules, reasons and flows; Enter keeps the filter, Esc clears it
s        sort by rate, packets, last match or name
p space  pause or continue
j k      scroll the rules (arrow keys work, too)
?        show this help
q        quit (also Ctrl-C)

Yellow: refused in audit, so the packet was counted and passed.
Red: dropped.
A rate is the packets per second between two readings.
Press any key to close this help.";

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, app: &App) {
    let area = frame.area();
    let [head, sparks, rules, reasons, denied, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(4),
        Constraint::Fill(3),
        Constraint::Fill(2),
        Constraint::Fill(2),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(title(app), head);
    let [passed, refused] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(sparks);
    spark(frame, passed, "passed/s", &app.passed, Color::Green);
    spark(frame, refused, "refused/s", &app.refused, Color::Yellow);
    rows(frame, rules, "RULES", &app.shown(&app.rules), app.scroll, app.at);
    rows(frame, reasons, "REASONS", &app.shown(&app.reasons), 0, app.at);
    rows(frame, denied, "DENIED FLOWS", &app.shown(&app.denied), 0, app.at);
    frame.render_widget(footer(app), foot);
    if app.help {
        help(frame, area);
    }
}

fn title(app: &App) -> Line<'_> {
    let mut spans = vec![Span::styled("enforcer top ", BOLD)];
    for head in &app.heads {
        spans.extend(interface(head, app.at));
    }
    if app.heads.is_empty() {
        spans.push(Span::raw(" waiting for the first reading"));
    }
    Line::from(spans)
}

fn interface(head: &Head, now: Option<Timestamp>) -> Vec<Span<'_>> {
    let Head { interface, modes, deadline } = head;
    let mode = |mode: Mode| match mode {
        Mode::Audit => Span::styled("audit", Style::new().fg(Color::Yellow)),
        Mode::Enforce => Span::styled("enforce", Style::new().fg(Color::Green)),
    };
    let mut spans = vec![Span::raw(" "), Span::styled(interface.as_str(), BOLD), Span::raw(" ")];
    if modes.inbound == modes.outbound {
        spans.push(mode(modes.inbound));
    } else {
        spans.extend([Span::raw("in "), mode(modes.inbound), Span::raw(" out "), mode(modes.outbound)]);
    }
    if let (Some(deadline), Some(now)) = (deadline, now) {
        let left = deadline.duration_since(now).as_secs().max(0);
        let text = format!(" until {:02}:{:02}:{:02}", left / 3600, left / 60 % 60, left % 60);
        spans.push(Span::styled(text, Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)));
    }
    spans
}

fn spark(frame: &mut Frame<'_>, area: Rect, name: &str, line: &std::collections::VecDeque<u64>, color: Color) {
    let width = usize::from(area.width);
    let data: Vec<u64> = line.iter().skip(line.len().saturating_sub(width)).copied().collect();
    let (now, most) = (data.last().copied().unwrap_or(0), data.iter().max().copied().unwrap_or(0));
    let text = format!("{name} {} (most {})", number(now), number(most));
    let block = Block::new().borders(Borders::TOP).border_style(QUIET).title(Span::styled(text, BOLD));
    frame.render_widget(Sparkline::default().data(data).style(Style::new().fg(color)).block(block), area);
}

fn rows(frame: &mut Frame<'_>, area: Rect, name: &str, rows: &[&Row], scroll: usize, now: Option<Timestamp>) {
    let room = usize::from(area.height.saturating_sub(1));
    let more = rows.len().saturating_sub(scroll + room);
    let count = if more > 0 { format!("{name} ({more} more)") } else { name.to_owned() };
    let right = |text: String| Cell::from(Line::from(text).right_aligned());
    let [rate_name, packets_name, last_name] = ["PACKETS/S", "PACKETS", "LAST"].map(|name| right(name.to_owned()));
    let header =
        Cells::new([Cell::from(count.as_str()), Cell::from(""), rate_name, packets_name, last_name]).style(BOLD);
    let lines = rows.iter().skip(scroll).take(room).map(|row| {
        let color = match row.refused {
            None => Style::new(),
            Some(Refused::Counted) => Style::new().fg(Color::Yellow),
            Some(Refused::Dropped) => Style::new().fg(Color::Red),
        };
        Cells::new([
            Cell::from(row.name.as_str()),
            Cell::from(row.detail.as_str()),
            right(row.rate.map_or_else(|| "-".to_owned(), rate)),
            right(number(row.packets)),
            right(ago(row.last, now)),
        ])
        .style(color)
    });
    let widths =
        [Constraint::Fill(4), Constraint::Fill(3), Constraint::Length(9), Constraint::Length(9), Constraint::Length(7)];
    frame.render_widget(Table::new(lines, widths).header(header).column_spacing(1), area);
}

fn footer(app: &App) -> Line<'_> {
    if app.types_filter {
        return Line::from(vec![Span::styled("/", BOLD), Span::raw(app.filter.as_str()), Span::styled("_", BOLD)]);
    }
    let mut spans = Vec::new();
    if app.paused {
        spans.push(Span::styled("PAUSED  ", Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)));
    }
    spans.push(Span::raw(format!("sort: {}  ", app.order.name())));
    if !app.filter.is_empty() {
        spans.push(Span::styled(format!("filter: {}  ", app.filter), BOLD));
    }
    spans.push(Span::styled("/ filter  s sort  p pause  ? help  q quit", QUIET));
    Line::from(spans)
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    let [area] = Layout::vertical([Constraint::Length(14)]).flex(ratatui::layout::Flex::Center).areas(area);
    let [area] = Layout::horizontal([Constraint::Max(76)]).flex(ratatui::layout::Flex::Center).areas(area);
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(HELP).block(Block::bordered().title(" keys ")), area);
}

/// A number in at most nine columns.
fn number(number: u64) -> String {
    match number {
        0..1_000_000 => number.to_string(),
        1_000_000..1_000_000_000 => format!("{}.{}M", number / 1_000_000, number / 100_000 % 10),
        _ => format!("{}.{}G", number / 1_000_000_000, number / 100_000_000 % 10),
    }
}

fn rate(rate: f64) -> String {
    if rate < 0.05 {
        return "0".to_owned();
    }
    if rate < 100.0 {
        return format!("{rate:.1}");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is positive, and far from the end")]
    let whole = rate as u64;
    number(whole)
}

/// How long ago, in one unit.
fn ago(last: Option<Timestamp>, now: Option<Timestamp>) -> String {
    let (Some(last), Some(now)) = (last, now) else { return String::new() };
    let seconds = now.duration_since(last).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
