//! What the driver of an interface says of it (`ethtool`). `/sys/class/net` would tell of another network namespace than ours.

use std::ffi::c_char;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// A device as its driver describes it; `None`: it does not tell.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Device {
    /// Name of the driver.
    pub driver: Option<String>,
    /// The hardware takes the outer VLAN tag off before anybody sees the packet.
    pub strips_vlan: Option<bool>,
    /// A virtio card merges receive buffers; `None`: it is no virtio card, or does not tell.
    pub merges_buffers: Option<bool>,
}

const SIOCETHTOOL: u32 = 0x8946;
const GET_DRIVER: u32 = 0x0000_0003;
const GET_FLAGS: u32 = 0x0000_0025;
const FLAG_RX_VLAN: u32 = 1 << 8;

/// Where the kernel shows virtio devices.
const VIRTIO: &str = "/sys/bus/virtio/devices";
/// `VIRTIO_NET_F_MRG_RXBUF` (`include/uapi/linux/virtio_net.h`).
const MERGED_BUFFERS: usize = 15;

/// `struct ethtool_drvinfo` (`include/uapi/linux/ethtool.h`).
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    version: [u8; 32],
    firmware: [u8; 32],
    bus: [u8; 32],
    rest: [u8; 64],
}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

impl Device {
    /// Asks the driver.
    #[must_use]
    pub fn read(interface: &str) -> Self {
        let Ok(socket) = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None) else {
            return Self::default();
        };
        let mut info = DriverInfo {
            command: GET_DRIVER,
            driver: [0; 32],
            version: [0; 32],
            firmware: [0; 32],
            bus: [0; 32],
            rest: [0; 64],
        };
        let answer = ask(&socket, interface, &mut info);
        let driver = answer.is_ok().then(|| text(&info.driver)).filter(|name| !name.is_empty());
        let is_virtio = driver.as_deref() == Some("virtio_net");
        let merges_buffers = is_virtio.then(|| merges_buffers(Path::new(VIRTIO), &text(&info.bus))).flatten();
        let mut flags = Value { command: GET_FLAGS, data: 0 };
        let strips_vlan = ask(&socket, interface, &mut flags).ok().map(|()| flags.data & FLAG_RX_VLAN != 0);
        Self { driver, strips_vlan, merges_buffers }
    }
}

/// A field of ethtool's: bytes up to the first zero.
fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

/// Whether the virtio device below this one of the bus merges receive buffers. The folder of the bus is the same in every network
/// namespace.
fn merges_buffers(virtio: &Path, bus: &str) -> Option<bool> {
    let devices = fs::read_dir(virtio).ok()?.filter_map(Result::ok);
    let features = devices.filter_map(|device| {
        let place = device.path().canonicalize().ok()?;
        let is_it = place.parent()?.file_name()?.to_str()? == bus;
        is_it.then(|| fs::read_to_string(place.join("features")).ok()).flatten()
    });
    // One digit a feature, the first one first. One bus device may carry several virtio devices only where they are no cards.
    let mut found: Vec<bool> =
        features.filter_map(|text| Some(*text.as_bytes().get(MERGED_BUFFERS)? == b'1')).collect();
    found.pop().filter(|_| found.is_empty())
}

/// `T` begins with a command, and is as large as the kernel's structure for it.
fn ask<T>(socket: &OwnedFd, interface: &str, question: &mut T) -> io::Result<()> {
    // SAFETY: a structure of integers and a union of such and pointers, for which zero is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays 0.
    for (to, from) in request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(interface.bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    request.ifr_ifru.ifru_data = std::ptr::from_mut(question).cast();
    // SAFETY: the request is an `ifreq` whose data points to a structure of the command's own size that we hold mutably.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::Ioctl::from(SIOCETHTOOL), &raw mut request) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_are_those_of_the_kernel() {
        assert_eq!(size_of::<DriverInfo>(), 196);
        assert_eq!(size_of::<Value>(), 8);
        assert_eq!(Device::read("no-such-if"), Device::default());
    }

    #[test]
    fn a_virtio_card_says_whether_it_merges_buffers() {
        let root = std::env::temp_dir().join(format!("enforcer-virtio-{}", std::process::id()));
        let bus = root.join("bus");
        fs::create_dir_all(&bus).unwrap();
        for (number, digit) in [(1, '1'), (2, '0')] {
            let place = root.join(format!("0000:00:0{number}.0/virtio{number}"));
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join("features"), format!("{}{digit}{}\n", "1".repeat(MERGED_BUFFERS), "0".repeat(48)))
                .unwrap();
            std::os::unix::fs::symlink(&place, bus.join(format!("virtio{number}"))).unwrap();
        }
        let found = ["0000:00:01.0", "0000:00:02.0", "0000:00:03.0"].map(|name| merges_buffers(&bus, name));
        assert_eq!(found, [Some(true), Some(false), None]);
        assert_eq!(merges_buffers(&root.join("no-bus"), "0000:00:01.0"), None);
        fs::remove_dir_all(root).unwrap();
    }
}
