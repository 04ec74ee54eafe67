//! What comes out of an IPsec tunnel comes in a second time at tc: it is not judged there where the policy lets ESP in from the peer.

use std::net::IpAddr;
use std::process::Stdio;

use enforcer_common::{Direction, Reason};
use harness::enforcer::Protected;
use harness::netns::{Cable, Namespace};
use harness::skip::skip;
use harness::sockets::{Reply, Servers, tcp, udp};

use crate::stage::Stage;

/// Addresses at both ends, inside the tunnel.
const INSIDE: [[&str; 2]; 2] = [["10.99.0.1", "10.99.0.2"], ["2001:db8:99::1", "2001:db8:99::2"]];

fn site(peer: &str) -> String {
    format!(
        "interfaces: [IF]\nmode: enforce\nroles: []\nallow:\n  - {{name: ipsec, protocol: esp, from: ['{peer}']}}\n"
    )
}

/// Whether a command of `ip xfrm` is taken.
fn xfrm(namespace: &Namespace, line: &str) -> bool {
    let mut command = namespace.command("ip");
    command.arg("xfrm").args(line.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A tunnel between both ends of the cable, for what is between these addresses. False where the kernel has no ESP.
fn tunnel(cable: &Cable, outer: [IpAddr; 2], inside: [&str; 2]) -> bool {
    const KEY: &str = "0x000102030405060708090a0b0c0d0e0f10111213";
    let length = if outer[0].is_ipv4() { 32 } else { 128 };
    for (namespace, own) in [(&cable.host, 0), (&cable.remote, 1)] {
        for (from, spi) in [(0, "0x100"), (1, "0x200")] {
            let (source, destination) = (outer[from], outer[1 - from]);
            let state = format!(
                "state add src {source} dst {destination} proto esp spi {spi} reqid 1 mode tunnel aead rfc4106(gcm(aes)) {KEY} 128"
            );
            if !xfrm(namespace, &state) {
                return false;
            }
            let direction = if from == own { "out" } else { "in" };
            let policy = format!(
                "policy add src {}/{length} dst {}/{length} dir {direction} tmpl src {source} dst {destination} proto esp reqid 1 \
                 mode tunnel",
                inside[from],
                inside[1 - from]
            );
            assert!(xfrm(namespace, &policy), "{policy}");
        }
    }
    true
}

#[test]
fn what_comes_out_of_a_tunnel_is_judged_once() {
    for hook in ["tc", "clsact", "native"] {
        for (family, inside) in INSIDE.into_iter().enumerate() {
            for is_permitted in [true, false] {
                let cable = Cable::new();
                let outer = [cable.near.addresses()[family], cable.far.addresses()[family]];
                for (namespace, interface, own) in
                    [(&cable.host, &cable.near.interface, 0), (&cable.remote, &cable.far.interface, 1)]
                {
                    let [length, option] = if family == 0 { ["32", ""] } else { ["128", "nodad"] };
                    namespace.batch(&format!(
                        "addr add {}/{length} dev {interface} {option}\nroute add {}/{length} dev {interface} src {}\n",
                        inside[own],
                        inside[1 - own],
                        inside[own]
                    ));
                }
                if !tunnel(&cable, outer, inside) {
                    skip("this kernel has no ESP");
                    return;
                }
                let peer = if is_permitted { outer[1].to_string() } else { "203.0.113.1".to_owned() };
                let stage = Stage::of(Protected::apply_site(cable, &site(&peer), &["--hook", hook]));
                let Cable { host, remote, .. } = &stage.protected.cable;
                let _servers = [Servers::start(remote, &[4444], &[4445]), Servers::start(host, &[4446], &[])];
                let [own, other] = inside.map(|text| text.parse::<IpAddr>().expect("an address"));
                let expected = if is_permitted { Reply::Answered } else { Reply::Silence };
                let counted = || format!("{hook}, {own}, permitted {is_permitted}: {:?}", stage.counted());
                assert_eq!(tcp(host, own, (other, 4444).into()), expected, "{}", counted());
                assert_eq!(udp(host, own, (other, 4445).into()), expected, "{}", counted());
                // What is inside is not judged: not even what nobody permits.
                assert_eq!(tcp(remote, other, (own, 4446).into()), expected, "{}", counted());
                let decrypted = stage.counted().contains_key(&(Direction::Inbound, false, Reason::Decrypted));
                assert_eq!(decrypted, is_permitted && hook != "native", "{}", counted());
            }
        }
    }
}
