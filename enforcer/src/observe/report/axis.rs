//! Time on the charts: where the labels stand and where bars begin, at whole minutes, hours and days of the reader's time zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Seconds of a day.
pub(super) const DAY: i64 = 86_400;
/// Steps between labels, and widths of bars, with their names.
const STEPS: [(i64, &str); 15] = [
    (60, "one minute"),
    (300, "5 minutes"),
    (900, "15 minutes"),
    (1800, "30 minutes"),
    (3600, "one hour"),
    (3 * 3600, "3 hours"),
    (6 * 3600, "6 hours"),
    (12 * 3600, "12 hours"),
    (DAY, "one day"),
    (2 * DAY, "2 days"),
    (WEEK, "one week"),
    (30 * DAY, "30 days"),
    (90 * DAY, "90 days"),
    (180 * DAY, "180 days"),
    (365 * DAY, "365 days"),
];
const WEEK: i64 = 7 * DAY;
/// Points of a grid; no chart has room for more.
const MOST: i64 = 500;

/// The smallest step, in seconds, of which at most this many cover a width.
pub(super) fn step(width: f64, most: f64) -> i64 {
    #[expect(clippy::cast_precision_loss, reason = "no step is that long")]
    let found = STEPS.into_iter().find(|(step, _)| width / *step as f64 <= most);
    found.map_or(3650 * DAY, |(step, _)| step)
}

/// A step in words.
pub(super) fn name(step: i64) -> &'static str {
    STEPS.into_iter().find(|(one, _)| *one == step).map_or("10 years", |(_, name)| name)
}

/// The points at which a step of this zone begins: the last one before `from`, and all up to `to`.
pub(super) fn grid(from: f64, to: f64, step: i64, zone: &TimeZone) -> Vec<f64> {
    #[expect(clippy::cast_possible_truncation, reason = "times of day, far from the ends of what fits")]
    let (from, to) = (from.floor() as i64, to.ceil() as i64);
    let offset =
        |second: i64| Timestamp::from_second(second).map_or(0, |time| i64::from(zone.to_offset(time).seconds()));
    // 1970 began on a Thursday; a week begins on a Monday.
    let shift = if step == WEEK { 3 * DAY } else { 0 };
    let local = from + offset(from) + shift;
    // On the clock of the wall, steps are of equal width; a change to summer time moves them by an hour.
    let points = (0..MOST).map(|index| {
        let point = local - local.rem_euclid(step) + index * step - shift;
        let guess = point - offset(point - offset(from));
        point - offset(guess)
    });
    #[expect(clippy::cast_precision_loss, reason = "seconds of our time fit")]
    points.take_while(|point| *point <= to).map(|point| point as f64).collect()
}

/// A label: the time of day or, at midnight and where steps are days, the date.
pub(super) fn label(seconds: f64, step: i64, zone: &TimeZone) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "times of day, far from the ends of what fits")]
    let time =
        Timestamp::from_second(seconds.round() as i64).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned_datetime(zone.clone());
    let is_midnight = (time.hour(), time.minute()) == (0, 0);
    let format = match step / DAY {
        30.. => "%Y-%m-%d",
        1.. => "%b %d",
        _ if is_midnight => "%b %d",
        _ => "%H:%M",
    };
    time.strftime(format).to_string()
}

/// A time as people on this host read it.
pub(super) fn time(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> f64 {
        text.parse::<Timestamp>().unwrap().as_duration().as_secs_f64()
    }

    fn labels(from: &str, to: &str, zone: &TimeZone) -> Vec<String> {
        let step = step(at(to) - at(from), 10.0);
        grid(at(from), at(to), step, zone).into_iter().map(|point| label(point, step, zone)).collect()
    }

    #[test]
    fn labels_stand_at_whole_hours_and_days() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let days = labels("2026-11-20T05:10:00Z", "2026-11-22T18:00:00Z", &zone);
        assert_eq!(days, ["Nov 20", "12:00", "Nov 21", "12:00", "Nov 22", "12:00"]);
        assert_eq!(labels("2026-11-22T10:00:30Z", "2026-11-22T10:02:30Z", &zone), ["12:00", "12:01", "12:02"]);
    }

    #[test]
    fn after_a_change_to_winter_time_labels_still_stand_at_midnight() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let found = labels("2026-10-20T12:00:00Z", "2026-10-29T12:00:00Z", &zone);
        let wanted: Vec<String> = (20..=29).map(|day| format!("Oct {day}")).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_chart_of_years_has_labels_up_to_its_end() {
        let found = labels("2020-01-01T00:00:00Z", "2026-11-20T00:00:00Z", &TimeZone::UTC);
        assert!((5..=12).contains(&found.len()), "{found:?}");
        assert!(found.last().is_some_and(|label| label.as_str() > "2025-11-20"), "{found:?}");
    }

    #[test]
    fn weeks_begin_on_mondays() {
        let points = grid(at("2026-11-18T00:00:00Z"), at("2026-12-18T00:00:00Z"), WEEK, &TimeZone::UTC);
        let days: Vec<String> = points.iter().map(|point| label(*point, WEEK, &TimeZone::UTC)).collect();
        assert_eq!(days, ["Nov 16", "Nov 23", "Nov 30", "Dec 07", "Dec 14"]);
    }
}
