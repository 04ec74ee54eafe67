//! Plots as SVG, from the figures as they stand in the JSON. Each carries a style sheet with other colours for a dark page.

use std::fmt::Display;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::{Row, Section, Target};

const TEXT: RGBColor = RGBColor(0x33, 0x33, 0x33);
const LINE: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
const OURS: RGBColor = RGBColor(0x2f, 0x7d, 0x4f);
const OTHERS: RGBColor = RGBColor(0x8a, 0x8f, 0x98);
const LIMIT: RGBColor = RGBColor(0xc0, 0x39, 0x2b);
/// Lines of a chart, told apart on light and on dark.
const LINES: [RGBColor; 5] =
    [OURS, RGBColor(0x2c, 0x6f, 0xbb), RGBColor(0xd6, 0x89, 0x10), LIMIT, RGBColor(0x8e, 0x5f, 0xb8)];

/// Colours of a dark page in the place of those above. The greens, blues and oranges stay.
const STYLE: &str = "<style>@media (prefers-color-scheme: dark) {\n\
    [fill=\"#FFFFFF\"] { fill: #14171a }\n[fill=\"#333333\"] { fill: #d8dbdf }\n\
    [stroke=\"#DDDDDD\"] { stroke: #454b52 }\n[stroke=\"#333333\"] { stroke: #d8dbdf }\n}</style>\n";

const WIDTH: u32 = 960;
/// Height of a bar with its gap.
const BAR: i32 = 22;
/// Where bars begin: left of it stand their names.
const NAMES: i32 = 390;

/// Every plot that there are figures for, with the name of its file.
pub(crate) fn all(sections: &[Section]) -> anyhow::Result<Vec<(&'static str, String)>> {
    let of = |name: &str| sections.iter().find(|section| section.name == name);
    let mut plots = Vec::new();
    if let Some(section) = of("packets") {
        let shown = |row: &&Row| row.group == "inbound, XDP" && row.unit == "ns";
        let bars: Vec<_> = section.rows.iter().filter(shown).filter_map(|row| Bar::of(row, OURS)).collect();
        plots.push((
            "packets.svg",
            chart_of_bars("inbound at XDP, nanoseconds a packet above an empty program", &bars)?,
        ));
    }
    if let Some(section) = of("floods") {
        let shown = |row: &&Row| row.group == "refused, one source" && row.unit == "Mpps";
        let color = |row: &Row| if row.name.starts_with("enforcer") { OURS } else { OTHERS };
        let bars: Vec<_> = section.rows.iter().filter(shown).filter_map(|row| Bar::of(row, color(row))).collect();
        plots.push(("floods.svg", chart_of_bars("refused, one source: million packets a second", &bars)?));
    }
    if let Some(section) = of("streams") {
        let shown = |row: &&Row| row.group == "stream" && row.unit == "Gb/s";
        let color = |row: &Row| if row.name.starts_with("enforcer") { OURS } else { OTHERS };
        let bars: Vec<_> = section.rows.iter().filter(shown).filter_map(|row| Bar::of(row, color(row))).collect();
        plots.push(("streams.svg", chart_of_bars("TCP stream: gigabits a second, median", &bars)?));
    }
    if let Some(section) = of("growth") {
        plots.push(("growth.svg", growth(section)?));
        plots.push(("apply.svg", applies(section)?));
    }
    Ok(plots)
}

struct Bar<'a> {
    name: &'a str,
    value: f64,
    /// The value as the tables show it.
    shown: String,
    limit: Option<f64>,
    color: RGBColor,
}

impl<'a> Bar<'a> {
    /// `None` where nothing was measured.
    fn of(row: &'a Row, color: RGBColor) -> Option<Self> {
        let limit = row.target.map(|(Target::AtMost(limit) | Target::AtLeast(limit))| limit);
        let value = *row.value.as_ref().ok()?;
        Some(Self { name: &row.name, value, shown: row.number(value), limit, color })
    }
}

/// Bars beside each other, the longest as wide as there is room; a red stroke is a target.
fn chart_of_bars(title: &str, bars: &[Bar<'_>]) -> anyhow::Result<String> {
    let height = 40 + BAR * i32::try_from(bars.len())?;
    let most = bars.iter().map(|bar| bar.value.max(bar.limit.unwrap_or_default())).fold(0.0, f64::max).max(1e-9);
    #[expect(clippy::cast_possible_truncation, reason = "a place on the chart")]
    let at = |value: f64| NAMES + (value / most * f64::from(WIDTH as i32 - NAMES - 70)) as i32;
    draw((WIDTH, height.unsigned_abs()), |root| {
        root.draw(&Text::new(title, (8, 16), style(14, HPos::Left))).map_err(wrong)?;
        for (bar, y) in bars.iter().zip((36..).step_by(BAR.unsigned_abs() as usize)) {
            let (top, bottom) = (y - 7, y + 7);
            root.draw(&Text::new(bar.name, (NAMES - 8, y), style(12, HPos::Right))).map_err(wrong)?;
            root.draw(&Rectangle::new([(NAMES, top), (at(bar.value), bottom)], bar.color.filled())).map_err(wrong)?;
            if let Some(limit) = bar.limit {
                let stroke = vec![(at(limit), top - 2), (at(limit), bottom + 2)];
                root.draw(&PathElement::new(stroke, LIMIT.stroke_width(2))).map_err(wrong)?;
            }
            let value = at(bar.value.max(bar.limit.unwrap_or_default())) + 6;
            root.draw(&Text::new(&*bar.shown, (value, y), style(12, HPos::Left))).map_err(wrong)?;
        }
        Ok(())
    })
}

/// A line: its name, and its points.
type Series<'a> = (&'a str, Vec<(f64, f64)>);

/// The lines of what grows: one for each class, from few to many.
fn series<'a>(section: &'a Section, what: &str, unit: &str) -> Vec<Series<'a>> {
    let mut lines: Vec<Series<'a>> = Vec::new();
    for row in section.rows.iter().filter(|row| row.group == what && row.unit == unit) {
        let (Some(class), Some(count), Ok(value)) = (row.raw["class"].as_str(), row.raw["count"].as_f64(), &row.value)
        else {
            continue;
        };
        match lines.iter_mut().find(|(name, _)| *name == class) {
            Some((_, points)) => points.push((count, *value)),
            None => lines.push((class, vec![(count, *value)])),
        }
    }
    lines
}

/// Nanoseconds over size, a panel for each thing that grows.
fn growth(section: &Section) -> anyhow::Result<String> {
    draw((WIDTH, 640), |root| {
        for (panel, what) in root.split_evenly((2, 2)).iter().zip(["rules", "prefixes", "roles", "flows"]) {
            lines(panel, &format!("nanoseconds a packet by number of {what}"), &series(section, what, "ns"))?;
        }
        Ok(())
    })
}

/// Milliseconds of `apply` over size.
fn applies(section: &Section) -> anyhow::Result<String> {
    draw((WIDTH, 320), |root| {
        let lines_of = |what| series(section, what, "ms").into_iter().find(|(class, _)| *class == "apply");
        let of_all: Vec<_> = ["rules", "prefixes", "roles", "flows"]
            .into_iter()
            .filter_map(|what| Some((what, lines_of(what)?.1)))
            .collect();
        lines(root, "milliseconds of `apply` over a policy in force, by number of", &of_all)
    })
}

fn lines(area: &Area<'_>, title: &str, lines: &[Series<'_>]) -> anyhow::Result<()> {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let (least, most) = points().fold((f64::INFINITY, 1.0), |(a, b): (f64, f64), (x, _)| (a.min(*x), b.max(*x)));
    let highest = points().map(|(_, y)| *y).fold(1.0, f64::max);
    if least >= most {
        return Ok(());
    }
    area.draw(&Text::new(title, (8, 14), style(13, HPos::Left))).map_err(wrong)?;
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .margin_top(26)
        .x_label_area_size(24)
        .y_label_area_size(52)
        .build_cartesian_2d((least..most).log_scale(), 0.0..highest * 1.45)
        .map_err(wrong)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(LINE)
        .light_line_style(TRANSPARENT)
        .axis_style(LINE)
        .label_style(("sans-serif", 12).into_font().color(&TEXT))
        .x_labels(6)
        .y_labels(5)
        .x_label_formatter(&|x| short(*x))
        .y_label_formatter(&|y| short(*y))
        .draw()
        .map_err(wrong)?;
    for ((name, points), color) in lines.iter().zip(LINES.into_iter().cycle()) {
        let drawn = chart.draw_series([PathElement::new(points.clone(), color.stroke_width(2))]).map_err(wrong)?;
        drawn.label(*name).legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], color.stroke_width(2)));
        let dots = points.iter().map(|point| Circle::new(*point, 3, color.filled()));
        chart.draw_series(dots).map_err(wrong)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(("sans-serif", 11).into_font().color(&TEXT))
        .draw()
        .map_err(wrong)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw(size: (u32, u32), work: impl FnOnce(&Area<'_>) -> anyhow::Result<()>) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE).map_err(wrong)?;
        work(&root)?;
        root.present().map_err(wrong)?;
    }
    // Behind the tag that opens the picture.
    let at = svg.find(">\n").map_or(0, |end| end + 2);
    svg.insert_str(at, STYLE);
    Ok(svg)
}

fn style(size: i32, side: HPos) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&TEXT).pos(Pos::new(side, VPos::Center))
}

/// A number beside a bar or on an axis.
fn short(number: f64) -> String {
    match number {
        n if n >= 1e6 => format!("{:.1}M", n / 1e6),
        n if n >= 1e4 => format!("{:.0}k", n / 1e3),
        n if n.fract() == 0.0 || n >= 100.0 => format!("{n:.0}"),
        n => format!("{n:.2}"),
    }
}

fn wrong(error: impl Display) -> anyhow::Error {
    anyhow::anyhow!("a plot cannot be drawn: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_has_colours_for_light_and_dark() {
        let row = Row::new("refused, one source", "enforcer, XDP", 7.0, "Mpps");
        let plots = all(&[Section::new("floods", "", vec![row])]).unwrap();
        let [(name, svg)] = plots.as_slice() else { panic!("one plot") };
        assert_eq!(*name, "floods.svg");
        for part in
            ["<svg", "prefers-color-scheme: dark", "fill=\"#FFFFFF\"", "fill=\"#333333\"", "enforcer, XDP", "</svg>"]
        {
            assert!(svg.contains(part), "{part} in {svg}");
        }
    }
}
