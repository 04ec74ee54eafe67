//! Who may speak to what, in enforce.

use harness::sockets::Reply;

use super::{Site, members};

#[test]
fn a_stranger_reaches_open_ports_only() {
    let site = Site::new("enforce");
    for stranger in site.strangers() {
        assert_eq!(site.ask("tcp", stranger, 143), Reply::Answered, "{stranger}");
        assert_eq!(site.ask("udp", stranger, 161), Reply::Answered, "{stranger}");
        for (protocol, port) in [("tcp", 1502), ("udp", 22001), ("tcp", 8005), ("tcp", 4444), ("udp", 4444)] {
            assert_eq!(site.ask(protocol, stranger, port), Reply::Silence, "{protocol} {port} from {stranger}");
        }
    }
}

#[test]
fn a_member_reaches_the_ports_of_its_cluster_too() {
    let site = Site::new("enforce");
    for member in members() {
        for (protocol, port) in [("tcp", 143), ("udp", 161), ("tcp", 1502), ("udp", 22001)] {
            assert_eq!(site.ask(protocol, member, port), Reply::Answered, "{protocol} {port} from {member}");
        }
        for (protocol, port) in [("tcp", 8005), ("tcp", 4444), ("udp", 4444)] {
            assert_eq!(site.ask(protocol, member, port), Reply::Silence, "{protocol} {port} from {member}");
        }
    }
}

#[test]
fn a_closed_port_that_is_permitted_is_refused_by_the_host_itself() {
    let site = Site::new("enforce");
    for stranger in site.strangers() {
        assert_eq!(site.ask("tcp", stranger, 7443), Reply::Refused, "{stranger}");
    }
}
