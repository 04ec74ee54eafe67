//! Sets of prefixes, as the compiler has them: sorted, none inside another.

use std::cmp::Ordering;

use ipnet::IpNet;

/// The addresses that are in both of two sets.
pub(super) fn common(one: &[IpNet], other: &[IpNet]) -> Vec<IpNet> {
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while let (Some(a), Some(b)) = (one.get(i), other.get(j)) {
        if a.contains(b) {
            found.push(*b);
            j += 1;
        } else if b.contains(a) {
            found.push(*a);
            i += 1;
        } else if a.cmp(b) == Ordering::Less {
            i += 1;
        } else {
            j += 1;
        }
    }
    found
}

/// The addresses of a set that no prefix of the other one covers.
pub(super) fn without(nets: &[IpNet], holes: &[IpNet]) -> Vec<IpNet> {
    let mut left = Vec::new();
    let mut open: Vec<IpNet> = nets.iter().rev().copied().collect();
    while let Some(net) = open.pop() {
        if holes.iter().any(|hole| hole.contains(&net)) {
            continue;
        }
        let halves = net.prefix_len() + 1;
        match net.subnets(halves) {
            Ok(halves) if holes.iter().any(|hole| net.contains(hole)) => {
                let mut halves: Vec<IpNet> = halves.collect();
                halves.reverse();
                open.append(&mut halves);
            }
            Ok(_) | Err(_) => left.push(net),
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_sets_share_is_the_smaller_of_each_pair() {
        check(
            common,
            "10.0.0.0/8 192.0.2.1/32 2001:db8::/32",
            "10.1.0.0/16 192.0.2.0/24 2001:db8::1/128",
            "10.1.0.0/16 192.0.2.1/32 2001:db8::1/128",
        );
        check(common, "10.0.0.1/32 10.0.0.3/32", "10.0.0.2/31 10.0.0.4/32", "10.0.0.3/32");
        check(common, "10.0.0.0/8", "192.0.2.0/24", "");
        check(common, "10.0.0.0/8", "", "");
    }

    #[test]
    fn what_is_left_of_a_set_has_none_of_the_other() {
        check(without, "10.0.0.0/30", "10.0.0.1/32", "10.0.0.0/32 10.0.0.2/31");
        check(without, "10.0.0.1/32 10.0.0.2/32", "10.0.0.0/24", "");
        check(without, "10.0.0.1/32 10.0.0.2/32", "10.0.0.2/32", "10.0.0.1/32");
        check(without, "10.0.0.0/24", "10.0.1.0/24 2001:db8::/32", "10.0.0.0/24");
    }

    #[track_caller]
    fn check(of: fn(&[IpNet], &[IpNet]) -> Vec<IpNet>, one: &str, other: &str, expected: &str) {
        let nets = |text: &str| text.split_whitespace().map(|net| net.parse().unwrap()).collect::<Vec<IpNet>>();
        assert_eq!(of(&nets(one), &nets(other)), nets(expected), "{one} and {other}");
    }
}
