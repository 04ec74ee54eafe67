//! IPv4 prefixes as the programs look them up: ranges in ascending order, and an index over them by /16.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use enforcer_common::SourceClass;
use enforcer_common::layout::Range4;
use enforcer_common::ranges::{INDEX, find};
use ipnet::{IpNet, Ipv4Subnets};

/// Ranges of all IPv4 addresses, and where those of each /16 begin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ranges4 {
    /// In ascending order, the first of them from `0.0.0.0` on. Neighbours differ in their class.
    pub ranges: Vec<Range4>,
    /// [`INDEX`] entries: for each /16 the number of the range that covers its first address, and behind the last one that of the last
    /// range.
    pub index: Vec<u32>,
}

impl Ranges4 {
    /// Those of prefixes: an address has the class of the longest one that covers it, and without one the class 0.
    #[must_use]
    pub fn of(prefixes: &BTreeMap<IpNet, SourceClass>) -> Self {
        let mut ranges = Beginnings(vec![Range4::default()]);
        // Prefixes that are open, each inside the one before it: where it ends, and its class.
        let mut open: Vec<(u64, u32)> = Vec::new();
        // In the order of their first addresses, and where these are equal the shorter first.
        for (net, class) in prefixes {
            let IpNet::V4(net) = net else { continue };
            ranges.close(&mut open, u64::from(net.network().to_bits()));
            ranges.begin(u64::from(net.network().to_bits()), class.0);
            open.push((u64::from(net.broadcast().to_bits()) + 1, class.0));
        }
        ranges.close(&mut open, u64::MAX);
        Self::indexed(ranges.0)
    }

    /// The same ranges with their index.
    fn indexed(ranges: Vec<Range4>) -> Self {
        let mut index = Vec::with_capacity(INDEX as usize);
        let mut number = 0;
        for block in 0..INDEX - 1 {
            while ranges.get(number as usize + 1).is_some_and(|next| next.first <= block << 16) {
                number += 1;
            }
            index.push(number);
        }
        index.push(u32::try_from(ranges.len()).unwrap_or(u32::MAX).saturating_sub(1));
        Self { ranges, index }
    }

    /// The class of an address, found as the programs find it.
    #[must_use]
    pub fn class(&self, address: Ipv4Addr) -> SourceClass {
        let entry = |block: u32| self.index.get(block as usize).copied().unwrap_or_default();
        let range = |number: u32| self.ranges.get(number as usize).copied().unwrap_or_default();
        let number = find(address.to_bits(), |block| [entry(block), entry(block + 1)], |number| range(number).first);
        SourceClass(range(number).class)
    }

    /// The ranges with a class, as prefixes that do not overlap.
    pub fn prefixes(&self) -> impl Iterator<Item = (IpNet, SourceClass)> {
        let lasts = self.ranges.iter().skip(1).map(|next| next.first.wrapping_sub(1)).chain([u32::MAX]);
        self.ranges.iter().zip(lasts).filter(|(range, _)| range.class != 0).flat_map(|(range, last)| {
            let class = SourceClass(range.class);
            let subnets = Ipv4Subnets::new(Ipv4Addr::from_bits(range.first), Ipv4Addr::from_bits(last), 0);
            subnets.map(move |net| (net.into(), class))
        })
    }
}

/// Ranges in the making: where each begins, and its class.
struct Beginnings(Vec<Range4>);

impl Beginnings {
    /// From this address on it is this class: the last word counts. There is nothing behind the last address.
    fn begin(&mut self, at: u64, class: u32) {
        let Ok(first) = u32::try_from(at) else { return };
        self.0.pop_if(|last| last.first == first);
        if self.0.last().is_none_or(|last| last.class != class) {
            self.0.push(Range4 { first, class });
        }
    }

    /// Ends the open prefixes that end up to here; behind each goes on what it stands in.
    fn close(&mut self, open: &mut Vec<(u64, u32)>, up_to: u64) {
        while let Some((end, _)) = open.pop_if(|(end, _)| *end <= up_to) {
            self.begin(end, open.last().map_or(0, |(_, class)| *class));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The class by the longest prefix, looked for one by one.
    fn longest(prefixes: &BTreeMap<IpNet, SourceClass>, address: Ipv4Addr) -> SourceClass {
        let covering = prefixes.iter().filter(|(net, _)| net.contains(&std::net::IpAddr::from(address)));
        covering.max_by_key(|(net, _)| net.prefix_len()).map_or(SourceClass::default(), |(_, class)| *class)
    }

    fn of(nets: &[(&str, u32)]) -> BTreeMap<IpNet, SourceClass> {
        nets.iter().map(|(net, class)| (net.parse().unwrap(), SourceClass(*class))).collect()
    }

    #[test]
    fn no_prefix_is_one_range() {
        let ranges = Ranges4::of(&of(&[("2001:db8::/32", 3)]));
        assert_eq!(ranges.ranges, [Range4::default()]);
        assert!(ranges.index.len() == INDEX as usize && ranges.index.iter().all(|number| *number == 0));
    }

    #[test]
    fn neighbours_of_one_class_are_one_range() {
        let ranges = Ranges4::of(&of(&[("10.0.0.0/25", 1), ("10.0.0.128/25", 1), ("10.0.0.7/32", 1)]));
        assert_eq!(ranges.ranges.len(), 3, "{ranges:?}");
        let all = Ranges4::of(&of(&[("0.0.0.0/0", 1), ("128.0.0.0/1", 2), ("255.255.255.255/32", 3)]));
        assert_eq!(all.ranges.iter().map(|range| range.class).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(all.class(Ipv4Addr::BROADCAST), SourceClass(3));
    }

    fn prefix() -> impl Strategy<Value = (IpNet, SourceClass)> {
        // Few networks and every length: prefixes that touch, and that lie within each other, in the last /16 as well.
        let block = prop_oneof![0_u32..4, Just(0xffff)];
        let address = prop_oneof![any::<u32>(), (block, any::<u16>()).prop_map(|(a, b)| a << 16 | u32::from(b))];
        (address, 0_u8..=32, 1_u32..4).prop_map(|(address, length, class)| {
            let net = ipnet::Ipv4Net::new(Ipv4Addr::from_bits(address), length).unwrap().trunc();
            (net.into(), SourceClass(class))
        })
    }

    proptest! {
        #[test]
        fn an_address_has_the_class_of_its_longest_prefix(nets in prop::collection::vec(prefix(), 0..40), some in any::<u32>()) {
            let prefixes: BTreeMap<_, _> = nets.into_iter().collect();
            let ranges = Ranges4::of(&prefixes);
            let borders = prefixes.keys().flat_map(|net| {
                let IpNet::V4(net) = net else { unreachable!() };
                let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
                [first.wrapping_sub(1), first, last, last.wrapping_add(1)]
            });
            for address in borders.chain([0, some, u32::MAX]).map(Ipv4Addr::from_bits) {
                prop_assert_eq!(ranges.class(address), longest(&prefixes, address), "{}", address);
            }
            prop_assert!(ranges.ranges.is_sorted_by(|a, b| a.first < b.first && a.class != b.class));
            // And back: other prefixes, the same ranges.
            prop_assert_eq!(Ranges4::of(&ranges.prefixes().collect()), ranges);
        }
    }
}
