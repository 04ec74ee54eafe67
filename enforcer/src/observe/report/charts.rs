//! Charts as SVG, each for a wide and for a narrow screen. The page's style sheet replaces their colours, for light and dark; they
//! hold numbers and times, never names.

use std::fmt::Display;

use enforcer_common::{Direction, Mode};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::axis::{self, grid, step};
use super::series::{Bar, Bars};
use super::{LastSeen, SpanPart};

/// Colours by which the page's style sheet finds what to colour anew.
const PASS: RGBColor = RGBColor(0x2f, 0x7d, 0x4f);
const DROP: RGBColor = RGBColor(0xc0, 0x39, 0x2b);
const WOULD_DROP: RGBColor = RGBColor(0xd6, 0x89, 0x10);
const TEXT: RGBColor = RGBColor(0x33, 0x33, 0x33);
const LINE: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);

/// What a chart is drawn on.
#[derive(Clone, Copy)]
struct Canvas {
    /// In pixels.
    width: u32,
    /// Room for the labels of the vertical axis, in pixels.
    left: u32,
    /// Labels that the horizontal axis has room for.
    labels: f64,
}

/// Seconds that every chart shows: one bar is no chart.
const LEAST_WIDTH: f64 = 600.0;

const WIDE: Canvas = Canvas { width: 800, left: 64, labels: 9.0 };
const NARROW: Canvas = Canvas { width: 340, left: 52, labels: 4.0 };

/// A chart, and what it shows in a sentence.
pub(super) struct Chart {
    /// For wide screens and paper.
    pub(super) wide: String,
    /// For narrow screens.
    pub(super) narrow: String,
    /// What it shows.
    pub(super) says: String,
}

impl Chart {
    fn draw(says: String, draw: impl Fn(Canvas) -> anyhow::Result<String>) -> anyhow::Result<Self> {
        Ok(Self { wide: draw(WIDE)?, narrow: draw(NARROW)?, says })
    }
}

/// The modes over time: a band for each direction. `None` where nothing is known.
pub(super) fn modes(spans: &[&SpanPart], now: Timestamp, zone: &TimeZone) -> anyhow::Result<Option<Chart>> {
    let Some(first) = spans.iter().map(|span| span.from).min() else { return Ok(None) };
    let (from, to) = range(first, now);
    let draw = |canvas: Canvas| {
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, (canvas.width, 84)).into_drawing_area();
            let mut builder = ChartBuilder::on(&root);
            builder.margin(4).margin_right(24).x_label_area_size(22).y_label_area_size(64);
            let mut chart =
                builder.build_cartesian_2d(TimeAxis::new(from, to, canvas, zone), 0.0..2.0).map_err(wrong)?;
            mesh(&mut chart, zone, to - from, canvas, 0, &|_| String::new())?;
            for span in spans {
                for (floor, mode) in [(1.1, span.modes.inbound), (0.1, span.modes.outbound)] {
                    let color = match mode {
                        Mode::Enforce => PASS,
                        Mode::Audit => WOULD_DROP,
                    };
                    let ends = [(seconds(span.from), floor), (seconds(span.to), floor + 0.8)];
                    chart.draw_series([Rectangle::new(ends, color.filled())]).map_err(wrong)?;
                }
            }
            for (y, name) in [(12, "inbound"), (40, "outbound")] {
                let style = ("sans-serif", 12).into_font().color(&TEXT);
                root.draw(&Text::new(name, (4, y), style)).map_err(wrong)?;
            }
            root.present().map_err(wrong)?;
        }
        Ok(svg)
    };
    Chart::draw(modes_in_words(spans, now, zone), draw).map(Some)
}

fn modes_in_words(spans: &[&SpanPart], now: Timestamp, zone: &TimeZone) -> String {
    let Some(last) = spans.iter().max_by_key(|span| span.to) else { return String::new() };
    // A policy that was applied anew changes no mode.
    let mut since = last.from;
    for span in spans.iter().rev() {
        if span.modes == last.modes && span.to >= since && span.from < since {
            since = span.from;
        }
    }
    let is_now = now.duration_since(last.to) < SignedDuration::from_secs(60);
    let until = if is_now { String::new() } else { format!(" until {}", axis::time(last.to, zone)) };
    let modes = &last.modes;
    format!("Inbound {}, outbound {} since {}{until}.", modes.inbound, modes.outbound, axis::time(since, zone))
}

/// Refused packets, bar by bar. `None` where there are none.
pub(super) fn refused(bars: &Bars, zone: &TimeZone) -> anyhow::Result<Option<Chart>> {
    let (Some(first), Some(last)) = (bars.bars.first(), bars.bars.last()) else { return Ok(None) };
    if bars.dropped + bars.would_drop == 0 {
        return Ok(None);
    }
    let (from, to) = (first.from.min(last.to - LEAST_WIDTH), last.to);
    Chart::draw(bars.in_words(zone), |canvas| stacked(&bars.bars, (from, to), canvas, zone)).map(Some)
}

/// Refused flows of a direction by the hour in which they were last seen. `None` where there are none.
pub(super) fn last_seen(
    hours: &[LastSeen],
    direction: Direction,
    now: Timestamp,
    zone: &TimeZone,
) -> anyhow::Result<Option<Chart>> {
    #[expect(clippy::cast_precision_loss, reason = "a bar is not that exact")]
    let bar = |one: &LastSeen| {
        let (start, flows) = (seconds(one.hour), one.of(direction));
        Bar {
            from: start,
            to: (start + 3600.0).min(seconds(now).max(start + 60.0)),
            dropped: flows.dropped as f64,
            would_drop: flows.would_drop as f64,
        }
    };
    let bars: Vec<Bar> = hours.iter().map(bar).filter(|bar| bar.dropped + bar.would_drop > 0.0).collect();
    let Some(first) = bars.first() else { return Ok(None) };
    // One bar is no chart: at least a day is shown.
    let to = seconds(now);
    let from = first.from.min(to - 86_400.0);
    let (mut dropped, mut would_drop) = (0, 0);
    for one in hours {
        dropped += one.of(direction).dropped;
        would_drop += one.of(direction).would_drop;
    }
    let says =
        format!("{dropped} flows were dropped and {would_drop} would be dropped, by the hour of their last packet.");
    Chart::draw(says, |canvas| stacked(&bars, (from, to), canvas, zone)).map(Some)
}

/// Bars of what was dropped, and on them what would be.
fn stacked(bars: &[Bar], (from, to): (f64, f64), canvas: Canvas, zone: &TimeZone) -> anyhow::Result<String> {
    /// A bar that stands for anything can be seen.
    const LEAST: f64 = 0.015;
    let most = bars.iter().map(|bar| bar.dropped + bar.would_drop).fold(1.0, f64::max) * 1.05;
    let height = |packets: f64| if packets > 0.0 { packets.max(most * LEAST) } else { 0.0 };
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (canvas.width, 180)).into_drawing_area();
        let mut builder = ChartBuilder::on(&root);
        builder.margin(8).margin_right(24).x_label_area_size(22).y_label_area_size(canvas.left);
        let mut chart = builder.build_cartesian_2d(TimeAxis::new(from, to, canvas, zone), 0.0..most).map_err(wrong)?;
        mesh(&mut chart, zone, to - from, canvas, 4, &|y| short(*y))?;
        for bar in bars {
            let (dropped, would_drop) = (height(bar.dropped), height(bar.would_drop));
            let end = bar.from + (bar.to - bar.from) * 0.9;
            let part = |low: f64, high: f64, color: RGBColor| {
                (high > low).then(|| Rectangle::new([(bar.from, low), (end, high)], color.filled()))
            };
            let parts = [part(0.0, dropped, DROP), part(dropped, dropped + would_drop, WOULD_DROP)];
            chart.draw_series(parts.into_iter().flatten()).map_err(wrong)?;
        }
        root.present().map_err(wrong)?;
    }
    Ok(svg)
}

type Drawing<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<TimeAxis, RangedCoordf64>>;

fn mesh(
    chart: &mut Drawing<'_>,
    zone: &TimeZone,
    width: f64,
    canvas: Canvas,
    lines: usize,
    y: &dyn Fn(&f64) -> String,
) -> anyhow::Result<()> {
    let step = step(width, canvas.labels);
    let x = |seconds: &f64| axis::label(*seconds, step, zone);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(LINE)
        .light_line_style(TRANSPARENT)
        .axis_style(LINE)
        .label_style(("sans-serif", 12).into_font().color(&TEXT))
        .x_labels(8)
        .y_labels(lines)
        .x_label_formatter(&x)
        .y_label_formatter(&|value| y(value))
        .draw()
        .map_err(wrong)
}

/// An axis of seconds whose labels stand where people expect them.
#[derive(Clone)]
struct TimeAxis {
    from: f64,
    to: f64,
    ticks: Vec<f64>,
}

impl TimeAxis {
    fn new(from: f64, to: f64, canvas: Canvas, zone: &TimeZone) -> Self {
        let ticks = grid(from, to, step(to - from, canvas.labels), zone);
        Self { from, to, ticks: ticks.into_iter().filter(|tick| (from..=to).contains(tick)).collect() }
    }
}

impl Ranged for TimeAxis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (low, high): (i32, i32)) -> i32 {
        let part = (value - self.from) / (self.to - self.from);
        #[expect(clippy::cast_possible_truncation, reason = "a place on the chart")]
        let place = (f64::from(high - low) * part).round() as i32;
        low + place
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.from..self.to
    }
}

/// From when to when, at least some minutes; the end is now, never later.
fn range(from: Timestamp, to: Timestamp) -> (f64, f64) {
    let (from, to) = (seconds(from), seconds(to));
    (from.min(to - LEAST_WIDTH), to)
}

fn seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

/// A number on an axis.
fn short(number: f64) -> String {
    match number {
        n if n >= 1e6 => format!("{:.1}M", n / 1e6),
        n if n >= 1e4 => format!("{:.0}k", n / 1e3),
        n if n >= 10.0 || n.fract() == 0.0 => format!("{n:.0}"),
        n => format!("{n:.1}"),
    }
}

fn wrong(error: impl Display) -> anyhow::Error {
    anyhow::anyhow!("a chart cannot be drawn: {error}")
}
