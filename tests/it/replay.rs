//! A small folder of captures through the programs and the plain reading; `cargo xtask replay` takes any other.
//!
//! The captures are the ugly packets, as pcap and as plain IP, cut off, and beside files that are none.

use std::fs;
use std::path::Path;

use enforcer::dataplane::HookChoice;
use enforcer::fixtures::ugly;
use harness::replay::replay;
use harness::skip::say;

#[test]
fn captures_are_judged_alike_at_both_hooks() {
    let folder = std::env::temp_dir().join(format!("enforcer-test-{}-captures", std::process::id()));
    fs::create_dir_all(folder.join("deeper")).expect("a folder can be made");
    let packets = write_captures(&folder);
    for hook in [HookChoice::Native, HookChoice::Tc] {
        let report = replay(&folder, hook);
        say(&format!("{} packets of {} captures, {} refused", report.compared, report.files, report.refused));
        assert_eq!(report.differences, 0, "{:#?}", report.told);
        assert_eq!((report.files, report.no_captures, report.broken_off), (3, 2, 1));
        assert_eq!(report.compared + report.refused, packets);
        assert_eq!(report.link_types.values().sum::<usize>(), 1);
        assert!(report.compared > packets / 2 && report.classes.len() > 15, "{:#?}", report.classes);
    }
    fs::remove_dir_all(&folder).expect("it is there");
}

/// Writes the captures and says how many packets of them can be judged.
fn write_captures(folder: &Path) -> usize {
    let frames: Vec<Vec<u8>> =
        ugly().into_iter().flat_map(|fixture| fixture.packets).map(|packet| packet.frame).collect();
    let plain: Vec<Vec<u8>> = frames
        .iter()
        .filter(|frame| matches!(frame.get(12..14), Some([8, 0])))
        .map(|frame| frame[14..].to_vec())
        .collect();
    let ethernet = pcap(1, &frames);
    fs::write(folder.join("ethernet.pcap"), &ethernet).expect("a file can be written");
    fs::write(folder.join("deeper/plain.pcap"), pcap(101, &plain)).expect("a file can be written");
    // Its last packet is not whole, and that of another link type comes first.
    let mut cut = pcap(147, &frames[..1]);
    cut.extend(&ethernet[24..60]);
    fs::write(folder.join("cut.pcap"), cut).expect("a file can be written");
    fs::write(folder.join("README"), "no capture").expect("a file can be written");
    fs::write(folder.join("empty.pcap"), "").expect("a file can be written");
    frames.len() + plain.len()
}

/// The file format of libpcap (microseconds, little endian).
fn pcap(link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65535, link].map(u32::to_le_bytes).concat();
    for packet in packets {
        let length = u32::try_from(packet.len()).expect("a short packet");
        file.extend([0, 0, length, length].map(u32::to_le_bytes).concat());
        file.extend(packet);
    }
    file
}
