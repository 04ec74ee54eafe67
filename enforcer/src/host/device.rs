//! What the driver of an interface says of it (`ethtool`). `/sys/class/net` would tell of another network namespace than ours.

use std::ffi::c_char;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// A device as its driver describes it; `None`: it does not tell.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Device {
    /// Name of the driver.
    pub driver: Option<String>,
    /// The hardware takes the outer VLAN tag off before anybody sees the packet.
    pub strips_vlan: Option<bool>,
}

const SIOCETHTOOL: u32 = 0x8946;
const GET_DRIVER: u32 = 0x0000_0003;
const GET_FLAGS: u32 = 0x0000_0025;
const FLAG_RX_VLAN: u32 = 1 << 8;

/// `struct ethtool_drvinfo` (`include/uapi/linux/ethtool.h`).
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    rest: [u8; 160],
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
        let mut info = DriverInfo { command: GET_DRIVER, driver: [0; 32], rest: [0; 160] };
        let driver = ask(&socket, interface, &mut info).ok().map(|()| {
            let name = info.driver.split(|byte| *byte == 0).next().unwrap_or_default();
            String::from_utf8_lossy(name).into_owned()
        });
        let mut flags = Value { command: GET_FLAGS, data: 0 };
        let strips_vlan = ask(&socket, interface, &mut flags).ok().map(|()| flags.data & FLAG_RX_VLAN != 0);
        Self { driver: driver.filter(|name| !name.is_empty()), strips_vlan }
    }
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
}
