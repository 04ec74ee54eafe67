//! Captures, byte by byte.

/// A pcap file: order of bytes, fractions of seconds, link type, packets (nanoseconds, original length, captured bytes).
pub(crate) fn pcap(big_endian: bool, nanoseconds: bool, link: u32, packets: &[(u64, usize, Vec<u8>)]) -> Vec<u8> {
    let word = |word: u32| if big_endian { word.to_be_bytes() } else { word.to_le_bytes() };
    let half = |half: u16| if big_endian { half.to_be_bytes() } else { half.to_le_bytes() };
    let mut file = word(if nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 }).to_vec();
    file.extend(half(2));
    file.extend(half(4));
    file.extend([0; 8]);
    file.extend(word(262_144));
    file.extend(word(link));
    for (at, length, data) in packets {
        let fraction = at % 1_000_000_000 / if nanoseconds { 1 } else { 1000 };
        file.extend(word(u32::try_from(at / 1_000_000_000).unwrap()));
        file.extend(word(u32::try_from(fraction).unwrap()));
        file.extend(word(u32::try_from(data.len()).unwrap()));
        file.extend(word(u32::try_from(*length).unwrap()));
        file.extend(data);
    }
    file
}

/// A little-endian pcapng file: link type and options of the one interface, packets (microseconds, original length, captured
/// bytes, flags).
pub(crate) fn pcapng(link: u16, options: &[(u16, Vec<u8>)], packets: &[(u64, usize, Vec<u8>, Option<u32>)]) -> Vec<u8> {
    let mut header = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
    header.extend([1, 0, 0, 0]);
    header.extend([0xff; 8]);
    let mut file = block(0x0a0d_0d0a, &header);
    let mut interface = link.to_le_bytes().to_vec();
    interface.extend([0; 2]);
    interface.extend(262_144_u32.to_le_bytes());
    interface.extend(self::options(options));
    file.extend(block(1, &interface));
    for (at, length, data, flags) in packets {
        let mut packet = 0_u32.to_le_bytes().to_vec();
        packet.extend(u32::try_from(at >> 32).unwrap().to_le_bytes());
        packet.extend(u32::try_from(at & 0xffff_ffff).unwrap().to_le_bytes());
        packet.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        packet.extend(u32::try_from(*length).unwrap().to_le_bytes());
        packet.extend(padded(data));
        if let Some(flags) = flags {
            packet.extend(self::options(&[(2, flags.to_le_bytes().to_vec())]));
        }
        file.extend(block(6, &packet));
    }
    file
}

fn options(options: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (code, value) in options {
        bytes.extend(code.to_le_bytes());
        bytes.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
        bytes.extend(padded(value));
    }
    if !options.is_empty() {
        bytes.extend([0; 4]);
    }
    bytes
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 12).unwrap().to_le_bytes();
    [kind.to_le_bytes().as_slice(), &length, body, &length].concat()
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
