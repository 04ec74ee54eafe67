//! What is known of the drivers of network cards: since when each has native XDP, and which of them take a program and do not run it.
//!
//! Versions are those of kernel.org. A distribution's kernel may have a driver that is newer than its number says: so the table
//! only explains, and where the driver can be asked (`sys/native.rs`), its own answer counts.

use crate::dataplane::sys::kernel::{Release, release};
use crate::dataplane::sys::native::Refusal;
use crate::host::device::Device;
use crate::host::links::Link;

/// What is known of a driver.
#[derive(Clone, Copy, Debug)]
pub(in crate::dataplane) struct Driver {
    /// Its name, as ethtool gives it.
    name: &'static str,
    /// The kernel that brought native XDP.
    native: (u32, u32),
    /// The kernel that brought native XDP for frames of several buffers; `None`: not yet.
    several: Option<(u32, u32)>,
}

const fn one(name: &'static str, native: (u32, u32)) -> Driver {
    Driver { name, native, several: None }
}

const fn several(name: &'static str, native: (u32, u32), several: (u32, u32)) -> Driver {
    Driver { name, native, several: Some(several) }
}

/// Drivers that have native XDP, as of Linux 6.18. A driver that is not here may have it as well.
const DRIVERS: &[Driver] = &[
    several("atlantic", (5, 19), (5, 19)),
    several("bnxt_en", (4, 11), (5, 19)),
    one("bonding", (5, 15)),
    one("dpaa2-eth", (5, 0)),
    one("ena", (5, 6)),
    several("enetc", (5, 13), (6, 3)),
    one("fec", (6, 2)),
    one("gve", (6, 4)),
    one("hv_netvsc", (5, 6)),
    several("i40e", (4, 13), (6, 4)),
    several("ice", (5, 5), (6, 3)),
    one("igb", (5, 10)),
    one("igc", (5, 13)),
    one("ixgbe", (4, 12)),
    one("ixgbevf", (4, 17)),
    one("lan966x-switch", (6, 2)),
    one("mana", (5, 17)),
    one("mlx4_en", (4, 8)),
    several("mlx5_core", (4, 9), (6, 0)),
    several("mvneta", (5, 5), (5, 18)),
    one("mvpp2", (5, 9)),
    one("nfp", (4, 10)),
    one("qede", (4, 10)),
    one("sfc", (5, 5)),
    one("st_gmac", (5, 13)),
    one("thunder-nicvf", (4, 12)),
    one("tun", (4, 14)),
    several("veth", (4, 14), (5, 18)),
    one("vif", (5, 9)),
    several("virtio_net", (4, 10), (6, 3)),
    one("vmxnet3", (6, 6)),
];

/// Largest MTU that a driver takes with XDP when it cannot split a frame over several buffers: a page less what the kernel puts
/// around a packet.
pub const SINGLE_BUFFER: u32 = 3506;

/// What the table says of a driver and this kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Known {
    /// It has native XDP.
    Native,
    /// It has native XDP from this kernel on, and this one is older.
    Since((u32, u32)),
    /// The table does not name it.
    Unknown,
}

/// What the table says of native XDP in a driver, on this kernel.
#[must_use]
pub fn known_native(driver: &str) -> Known {
    let Some(found) = find(driver) else { return Known::Unknown };
    match release() {
        Some(release) if release.number < found.native => Known::Since(found.native),
        Some(_) | None => Known::Native,
    }
}

/// Whether a driver is known to take frames of several buffers with XDP, on this kernel.
#[must_use]
pub fn takes_several_buffers(driver: &str) -> bool {
    let since = find(driver).and_then(|found| found.several);
    since.is_some_and(|since| release().is_some_and(|release| release.number >= since))
}

/// Why `auto` does not take native XDP although the driver would accept the program: it is known not to run it. A sentence
/// without its end, which names the driver and the kernel.
#[must_use]
pub(in crate::dataplane) fn does_not_judge(device: &Device) -> Option<String> {
    let of_this_kernel =
        release().map_or_else(String::new, |Release { text, .. }| format!(" (this kernel is Linux {text})"));
    match device.driver.as_deref() {
        Some("vmxnet3") => Some(format!(
            "the driver vmxnet3 accepts XDP from Linux 6.6 on, but stops running the program, without notice, when the link goes down and \
             up or its MTU or rings change{of_this_kernel}"
        )),
        Some("virtio_net") if device.merges_buffers == Some(false) => Some(format!(
            "the driver virtio_net accepts XDP, but never runs the program on a card that does not merge receive buffers \
             (mrg_rxbuf=off){of_this_kernel}"
        )),
        _ => None,
    }
}

/// That the driver of an interface refuses native XDP: a sentence without its end.
#[must_use]
pub fn refused(link: &Link, device: &Device, refusal: &Refusal) -> String {
    let driver =
        device.driver.as_deref().map_or_else(|| "its driver".to_owned(), |driver| format!("the driver {driver}"));
    format!("{driver} refuses native XDP on {} (MTU {}): {refusal}", link.name, link.mtu)
}

/// That the driver of an interface does not run the program: a sentence without its end, which names the driver and the kernel.
#[must_use]
pub fn does_not_run(interface: &str, received: u64) -> String {
    let driver =
        Device::read(interface).driver.map_or_else(|| "the driver".to_owned(), |driver| format!("the driver {driver}"));
    let kernel = release().map_or_else(String::new, |Release { text, .. }| format!(" (Linux {text})"));
    format!(
        "{driver} does not run the native XDP program{kernel}: {received} packets were received, and none of them was counted"
    )
}

/// Why an MTU is a problem for native XDP that is attached, where it is: it was raised afterwards, beyond what the driver is known to take
/// with a program. `taken` is the MTU at which the driver took the program.
#[must_use]
pub(in crate::dataplane) fn mtu_problem(driver: &str, mtu: u32, taken: Option<u32>) -> Option<String> {
    if mtu <= SINGLE_BUFFER || taken.is_some_and(|taken| mtu <= taken) || takes_several_buffers(driver) {
        return None;
    }
    Some(format!(
        "the MTU was raised to {mtu} under native XDP, and the driver {driver} is not known to take more than about {SINGLE_BUFFER} with it on \
         this kernel: longer frames may vanish; lower the MTU, or run `enforcer apply`, which asks the driver again"
    ))
}

fn find(driver: &str) -> Option<&'static Driver> {
    DRIVERS.iter().find(|one| one.name == driver)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(driver: &str, merges_buffers: Option<bool>) -> Device {
        Device { driver: Some(driver.to_owned()), strips_vlan: None, merges_buffers }
    }

    #[test]
    fn drivers_that_take_a_program_and_do_not_run_it_are_named_with_the_kernel() {
        let vmxnet3 = does_not_judge(&device("vmxnet3", None)).unwrap();
        let kernel = release().unwrap().text;
        assert!(vmxnet3.contains("vmxnet3") && vmxnet3.contains(&kernel), "{vmxnet3}");
        let virtio = does_not_judge(&device("virtio_net", Some(false))).unwrap();
        assert!(virtio.contains("mrg_rxbuf=off") && virtio.contains(&kernel), "{virtio}");
        for (driver, merges_buffers) in [("virtio_net", Some(true)), ("virtio_net", None), ("igb", None)] {
            assert_eq!(does_not_judge(&device(driver, merges_buffers)), None, "{driver}");
        }
    }

    #[test]
    fn an_mtu_is_a_problem_only_where_it_was_raised_past_what_the_driver_takes() {
        assert!(mtu_problem("igb", 9000, Some(1500)).is_some_and(|text| text.contains("igb") && text.contains("9000")));
        assert!(mtu_problem("igb", 9000, None).is_some(), "nobody has written down what it took");
        assert_eq!(mtu_problem("igb", 9000, Some(9000)), None, "it took the program at this MTU");
        assert_eq!(mtu_problem("igb", 3000, Some(1500)), None, "a frame fits into a buffer");
        assert_eq!(mtu_problem("mvneta", 9000, Some(1500)).is_none(), takes_several_buffers("mvneta"));
    }

    #[test]
    fn the_table_is_sorted_and_names_each_driver_once() {
        assert!(DRIVERS.is_sorted_by(|a, b| a.name < b.name));
        assert!(DRIVERS.iter().all(|one| one.several.is_none_or(|several| several >= one.native)));
    }
}
