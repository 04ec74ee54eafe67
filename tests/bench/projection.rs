//! What a core could judge beside a network card, from the nanoseconds that were measured here. A projection, and marked as one: no
//! network card was measured.

use serde_json::json;

use crate::report::{Row, Section};

/// Gigabits a second of links, and bytes of frames.
const LINKS: [f64; 3] = [10.0, 25.0, 100.0];
const FRAMES: [f64; 2] = [64.0, 512.0];
/// What a frame takes on the wire beside itself: preamble, start of frame, gap (IEEE 802.3, clause 4).
const BETWEEN_FRAMES: f64 = 20.0;
/// What a driver takes for a frame that XDP drops at once: 24 million a second and core in Hoiland-Jorgensen et al., "The eXpress
/// Data Path", CoNEXT 2018 (Mellanox ConnectX-5, figure 3). Not ours, and of another machine.
const DRIVER: f64 = 1000.0 / 24.0;

/// Classes that a line may be full of.
const CLASSES: [&str; 5] = [
    "permitted, IPv4 TCP",
    "permitted, IPv6 TCP",
    "reply to a flow, IPv4 TCP",
    "denied, UDP, a random source each",
    "permitted by one of 10000 prefixes, slowest of 3",
];

/// `None` where the nanoseconds were not measured.
pub(crate) fn section(sections: &[Section]) -> Option<Section> {
    let packets = sections.iter().find(|section| section.name == "packets")?;
    let mut rows = Vec::new();
    for class in CLASSES {
        let row = packets.rows.iter().find(|row| row.group == "inbound, XDP" && row.name == class);
        let Some(nanoseconds) = row.and_then(|row| row.value.as_ref().ok()) else { continue };
        let rate = |nanoseconds: f64| 1000.0 / nanoseconds.max(1.0);
        let (alone, behind) = (rate(*nanoseconds), rate(nanoseconds + DRIVER));
        let raw = |mpps: f64| json!({"nanoseconds": nanoseconds, "driver": DRIVER, "mpps": mpps});
        rows.push(
            Row::new(class, "one core, the program alone", alone, "Mpps")
                .how(format!("{nanoseconds:.1} ns"))
                .raw(raw(alone)),
        );
        rows.push(
            Row::new(class, "one core, behind a driver that takes 41.7 ns", behind, "Mpps")
                .how(format!("{nanoseconds:.1} + {DRIVER:.1} ns"))
                .raw(raw(behind)),
        );
        for link in LINKS {
            for bytes in FRAMES {
                let line = line_rate(link, bytes);
                rows.push(
                    Row::new(class, format!("{link} GbE, {bytes} bytes: {line:.2} Mpps"), line / behind, "cores")
                        .how(format!("{:.2} by the program alone", line / alone))
                        .raw(json!({"gigabits": link, "bytes": bytes, "line_mpps": line})),
                );
            }
        }
    }
    let title = "(f) PROJECTION, not measured: cores that a full line would keep busy, behind a network card";
    (!rows.is_empty()).then(|| Section::new("projection", title, rows))
}

/// Million frames a second.
fn line_rate(gigabits: f64, bytes: f64) -> f64 {
    gigabits * 1000.0 / ((bytes + BETWEEN_FRAMES) * 8.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_gigabits_are_fifteen_million_small_frames() {
        assert!((line_rate(10.0, 64.0) - 14.88).abs() < 0.01);
        assert!((line_rate(100.0, 512.0) - 23.50).abs() < 0.01);
    }

    #[test]
    fn without_nanoseconds_there_is_no_projection() {
        assert!(section(&[]).is_none());
        assert!(section(&[Section::new("packets", "", Vec::new())]).is_none());
    }
}
