//! Charts as SVG. Their colours are replaced by the page's, for light and dark; they hold numbers and times, never names.

use std::fmt::Display;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::{Interval, LastSeen, SpanPart};

/// Colours by which the page's style sheet finds what to colour anew.
const PASS: RGBColor = RGBColor(0x2f, 0x7d, 0x4f);
const DROP: RGBColor = RGBColor(0xc0, 0x39, 0x2b);
const WOULD_DROP: RGBColor = RGBColor(0xd6, 0x89, 0x10);
const TEXT: RGBColor = RGBColor(0x33, 0x33, 0x33);
const LINE: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);

const WIDTH: u32 = 960;
/// Bars that a chart of this width can show.
const BARS: usize = 120;

/// The modes of an interface over time: a band for each direction. `None` where nothing is known.
pub(super) fn modes(spans: &[&SpanPart], now: Timestamp, zone: &TimeZone) -> anyhow::Result<Option<String>> {
    let Some(first) = spans.iter().map(|span| span.from).min() else { return Ok(None) };
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, 96)).into_drawing_area();
        let (from, to) = range(first, now);
        let mut builder = ChartBuilder::on(&root);
        builder.margin(4).x_label_area_size(24).y_label_area_size(64);
        let mut chart =
            builder.build_cartesian_2d(TimeAxis { from, to, ticks: ticks(from, to, zone) }, 0.0..2.0).map_err(wrong)?;
        mesh(&mut chart, zone, to - from, 0, &|_| String::new())?;
        for span in spans {
            for (floor, mode) in [(1.1, &span.modes.inbound), (0.1, &span.modes.outbound)] {
                let color = if mode == "enforce" { PASS } else { WOULD_DROP };
                let ends = [(seconds(span.from), floor), (seconds(span.to), floor + 0.8)];
                chart.draw_series([Rectangle::new(ends, color.filled())]).map_err(wrong)?;
            }
        }
        for (y, name) in [(36, "inbound"), (68, "outbound")] {
            let style = ("sans-serif", 12).into_font().color(&TEXT);
            root.draw(&Text::new(name, (4, y - 14), style)).map_err(wrong)?;
        }
        root.present().map_err(wrong)?;
    }
    Ok(Some(svg))
}

/// Packets an hour that were refused, between entries of the history. `None` where there are none to compare.
pub(super) fn over_time(intervals: &[Interval], zone: &TimeZone) -> anyhow::Result<Option<String>> {
    let (Some(first), Some(last)) =
        (intervals.iter().map(|one| one.from).min(), intervals.iter().map(|one| one.to).max())
    else {
        return Ok(None);
    };
    let buckets = buckets(intervals, first, last);
    let most = buckets.iter().map(|(_, _, drop, would_drop)| drop + would_drop).fold(0.0, f64::max);
    if most <= 0.0 {
        return Ok(None);
    }
    let (from, to) = range(first, last);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, 220)).into_drawing_area();
        let mut builder = ChartBuilder::on(&root);
        builder.margin(8).x_label_area_size(24).y_label_area_size(64);
        let mut chart = builder
            .build_cartesian_2d(TimeAxis { from, to, ticks: ticks(from, to, zone) }, 0.0..most * 1.05)
            .map_err(wrong)?;
        mesh(&mut chart, zone, to - from, 4, &|y| short(*y))?;
        for (from, to, drop, would_drop) in buckets {
            let bar = |low: f64, high: f64, color: RGBColor| Rectangle::new([(from, low), (to, high)], color.filled());
            let bars = [bar(0.0, drop, DROP), bar(drop, drop + would_drop, WOULD_DROP)];
            chart.draw_series(bars).map_err(wrong)?;
        }
        root.present().map_err(wrong)?;
    }
    Ok(Some(svg))
}

/// Refused flows by the hour in which they were last seen. `None` where there are none.
pub(super) fn last_seen(hours: &[LastSeen], now: Timestamp, zone: &TimeZone) -> anyhow::Result<Option<String>> {
    let Some(first) = hours.first() else { return Ok(None) };
    #[expect(clippy::cast_precision_loss, reason = "a bar is not that exact")]
    let height = |flows: usize| flows as f64;
    let most = hours.iter().map(|one| height(one.flows)).fold(1.0, f64::max);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, 200)).into_drawing_area();
        // One bar is no chart: at least a day is shown.
        let from = first.hour.min(now - SignedDuration::from_hours(24));
        let (from, to) = range(from, now.max(first.hour + SignedDuration::from_hours(1)));
        let mut builder = ChartBuilder::on(&root);
        builder.margin(8).x_label_area_size(24).y_label_area_size(64);
        let mut chart = builder
            .build_cartesian_2d(TimeAxis { from, to, ticks: ticks(from, to, zone) }, 0.0..most * 1.05)
            .map_err(wrong)?;
        mesh(&mut chart, zone, to - from, 4, &|y| short(*y))?;
        let bar = |one: &LastSeen| {
            let start = seconds(one.hour);
            Rectangle::new([(start + 180.0, 0.0), (start + 3420.0, height(one.flows))], WOULD_DROP.filled())
        };
        chart.draw_series(hours.iter().map(bar)).map_err(wrong)?;
        root.present().map_err(wrong)?;
    }
    Ok(Some(svg))
}

type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<TimeAxis, RangedCoordf64>>;

fn mesh(
    chart: &mut Chart<'_>,
    zone: &TimeZone,
    width: f64,
    lines: usize,
    y: &dyn Fn(&f64) -> String,
) -> anyhow::Result<()> {
    let format = if step(width) < DAY { "%H:%M" } else { "%b %d" };
    let x = |seconds: &f64| {
        #[expect(clippy::cast_possible_truncation, reason = "times of day, far from the ends of what fits")]
        let time = Timestamp::from_second(*seconds as i64).unwrap_or(Timestamp::UNIX_EPOCH);
        time.to_zoned(zone.clone()).strftime(format).to_string()
    };
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

const DAY: i64 = 86_400;

/// Seconds between the labels of a time axis of this width: at most ten of them.
fn step(width: f64) -> i64 {
    const STEPS: [i64; 11] = [60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, DAY, 2 * DAY, 7 * DAY];
    #[expect(clippy::cast_precision_loss, reason = "no step is that long")]
    STEPS.into_iter().find(|step| width / *step as f64 <= 10.0).unwrap_or(30 * DAY)
}

/// Where the labels of a time axis stand: at whole hours and days of this time zone.
fn ticks(from: f64, to: f64, zone: &TimeZone) -> Vec<f64> {
    let step = step(to - from);
    #[expect(clippy::cast_possible_truncation, reason = "times of day, far from the ends of what fits")]
    let (from, to) = (from.ceil() as i64, to as i64);
    let offset =
        |second: i64| Timestamp::from_second(second).map_or(0, |time| i64::from(zone.to_offset(time).seconds()));
    let first = from + (step - (from + offset(from)).rem_euclid(step)) % step;
    let count = usize::try_from((to - first) / step + 1).unwrap_or(0).min(32);
    #[expect(clippy::cast_precision_loss, reason = "seconds of our time fit")]
    (0..).map(|index| first + index * step).take(count).filter(|tick| *tick <= to).map(|tick| tick as f64).collect()
}

/// Packets an hour, in bars of equal width: start, end, dropped, would be dropped.
fn buckets(intervals: &[Interval], first: Timestamp, last: Timestamp) -> Vec<(f64, f64, f64, f64)> {
    let (from, to) = (seconds(first), seconds(last));
    #[expect(clippy::cast_precision_loss, reason = "there are few")]
    let width = ((to - from) / BARS as f64).max(1.0);
    let mut bars = vec![(0.0, 0.0); BARS];
    for one in intervals {
        let (start, end) = (seconds(one.from), seconds(one.to));
        let length = (end - start).max(1e-9);
        for (index, bar) in bars.iter_mut().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "there are few")]
            let low = from + index as f64 * width;
            let shared = (end.min(low + width) - start.max(low)).max(0.0);
            #[expect(clippy::cast_precision_loss, reason = "a bar is not that exact")]
            let packets = |count: u64| count as f64 * (shared / length) * 3600.0 / width;
            bar.0 += packets(one.packets.drop);
            bar.1 += packets(one.packets.would_drop);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "there are few")]
    let place = |index: usize| from + index as f64 * width;
    let bars = bars.into_iter().enumerate();
    bars.map(|(index, (drop, would_drop))| (place(index), place(index) + width * 0.9, drop, would_drop)).collect()
}

/// From when to when, at least some minutes.
fn range(from: Timestamp, to: Timestamp) -> (f64, f64) {
    let (from, to) = (seconds(from), seconds(to));
    (from, to.max(from + 600.0))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_at_whole_hours_and_days() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let at = |text: &str| seconds(text.parse::<Timestamp>().unwrap());
        let found = |from: &str, to: &str| -> Vec<String> {
            let ticks = ticks(at(from), at(to), &zone).into_iter();
            #[expect(clippy::cast_possible_truncation, reason = "whole seconds")]
            ticks.map(|tick| Timestamp::from_second(tick as i64).unwrap().to_string()).collect()
        };
        assert_eq!(
            found("2026-11-20T05:10:00Z", "2026-11-22T18:00:00Z"),
            ["20T10", "20T22", "21T10", "21T22", "22T10"].map(|hour| format!("2026-11-{hour}:00:00Z")),
            "noon and midnight there"
        );
        assert_eq!(found("2026-11-01T00:00:00Z", "2026-11-06T00:00:00Z").len(), 10);
        assert_eq!(found("2026-11-22T10:00:30Z", "2026-11-22T10:02:30Z").len(), 2);
    }
}
