//! The corpora of the fuzz targets, replayed: what once broke us, and what hostile files look like.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use enforcer::fixtures::{fuzz, ugly};
use enforcer_common::Direction;

/// Each file by itself, within a time in which nobody notices it.
fn replay(target: &str, run: fn(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(target);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder can be read").path())
        .collect();
    paths.sort();
    for path in &paths {
        let bytes = fs::read(path).expect("a file can be read");
        let start = Instant::now();
        run(&bytes);
        // Not a measure of speed: a hostile file would take minutes.
        assert!(start.elapsed() < Duration::from_secs(20), "{} takes too long", path.display());
    }
    paths.len()
}

#[test]
fn every_site_file_of_the_corpus_is_read_or_refused_in_words() {
    assert!(replay("site", fuzz::site) >= 20);
}

#[test]
fn every_estate_of_the_corpus_is_rendered_or_refused_in_words() {
    assert!(replay("estate", fuzz::estate) >= 10);
}

#[test]
fn every_capture_of_the_corpus_is_read_to_its_end_or_to_where_it_breaks() {
    assert!(replay("capture", fuzz::capture) >= 8);
}

#[test]
fn every_state_file_of_the_corpus_is_read_or_refused() {
    assert!(replay("state", fuzz::state) >= 6);
}

#[test]
fn both_readings_agree_on_every_packet_of_the_corpus() {
    replay("packet", fuzz::packets);
}

#[test]
fn both_readings_agree_on_the_ugly_packets_whatever_came_before() {
    let mut input = Vec::new();
    for packet in ugly().into_iter().flat_map(|fixture| fixture.packets) {
        input.push(u8::from(packet.direction == Direction::Outbound));
        input.extend(u16::try_from(packet.frame.len()).expect("a frame is short").to_be_bytes());
        input.extend(packet.frame);
    }
    fuzz::packets(&input);
}
