//! Nothing that one guest sends changes what is remembered, or decided, for another guest or for the machine: table by table.

use enforcer_common::packet::UDP;
use enforcer_common::{Direction, Reason};
use harness::packet::{Extension, Packet};
use harness::program::Outcome;
use harness::remembered::Tables;

use super::{A, B, Files, MACHINE, OUTSIDE, World, answer, flow_of, question};

/// Both ways to write the site, and both families.
fn each(more: &str, test: impl Fn(&World, usize)) {
    for files in [Files::One, Files::Each] {
        let world = World::protected(files, more);
        for family in [0, 1] {
            test(&world, family);
        }
    }
}

#[test]
fn a_forged_frame_makes_no_flow_of_another_guest() {
    each("", |world, family| {
        let (a, b, outside) = (A[family], B[family], OUTSIDE[family]);
        // A speaks as B: to itself, and to somebody outside; with tags, and to a multicast address of the link.
        for to in [a, outside] {
            let forged = question(b, to);
            world.sends(0, &forged);
            world.sends(0, &forged.clone().vlan(7));
            world.sends(0, &forged.clone().mac([2, 0, 0, 0, 0, 0x20], [0xff; 6]));
            for reply in [answer(to, b), answer(to, b).vlan(7)] {
                assert_eq!(world.towards(1, &reply), Outcome::Dropped, "A opened B for {to}");
            }
        }
        assert_eq!(world.tables(1).flows_of(UDP, 5060), 0, "B has not said a word");
        // B's own question is answered, and A's port takes no answer to it.
        world.sends(1, &question(b, outside));
        assert_eq!(world.towards(1, &answer(outside, b)), Outcome::Passed);
        world.tables(0).forget();
        assert_eq!(world.towards(0, &answer(outside, b)), Outcome::Dropped);
        world.tables(1).forget();
    });
}

#[test]
fn a_forged_first_fragment_lets_no_fragment_reach_another_guest() {
    // What leaves is judged, too, so its first fragments are remembered.
    each("outbound: role\n", |world, family| {
        let (b, outside) = (B[family], OUTSIDE[family]);
        let part = |from: &str, to: &str, offset, more| match family {
            0 => Packet::new().ipv4(from, to).fragment(offset, more, 77),
            _ => Packet::new().ipv6(from, to).extension(Extension::Fragment { offset, more, id: 77 }),
        };
        let first = |from: &str, to: &str| part(from, to, 0, true).udp(40_000, 5060).payload(&[0; 16]);
        let later = part(outside, b, 3, false).raw(UDP, &[0; 16]);
        // From A's port it goes out: its fragments may follow there, and nowhere else.
        world.sends(0, &first(outside, b));
        assert_eq!(world.towards(1, &later), Outcome::Dropped);
        assert_eq!(world.towards(1, &first(outside, b)), Outcome::Dropped);
        // And what A has refused does not stop what B is sent.
        world.sends(1, &question(b, outside));
        assert_eq!(world.towards(0, &first(outside, b)), Outcome::Dropped);
        assert_eq!(world.towards(1, &first(outside, b)), Outcome::Passed);
        assert_eq!(world.towards(0, &first(outside, b)), Outcome::Dropped);
        assert_eq!(world.towards(1, &later), Outcome::Passed);
        world.tables(1).forget();
    });
}

#[test]
fn a_flood_of_one_guest_evicts_no_flow_of_another_and_none_of_the_machine() {
    let world = World::protected(Files::One, "");
    world.protect_machine("");
    assert_eq!(world.machine(Direction::Outbound, &question(MACHINE[0], OUTSIDE[0])), Outcome::Passed);
    world.sends(1, &question(B[0], OUTSIDE[0]));
    // More than fit into the slot of a guest, in the names of everybody.
    let forged = (0..12_000_u16).map(|number| {
        let from = [A[0], B[0], MACHINE[0]][usize::from(number % 3)];
        Packet::new().ip(from, OUTSIDE[0]).udp(1024 + number, 53).build()
    });
    world.send_all(0, &forged.collect::<Vec<_>>());
    let of_a = world.tables(0).flows4().len();
    assert!((2000..=4096).contains(&of_a), "{of_a} flows of A");
    assert_eq!(world.tables(1).flows4().len(), 1, "B's own");
    assert_eq!(Tables::of(&world.host).flows4().len(), 1, "the machine's own");
    world.tables(1).cool();
    Tables::of(&world.host).cool();
    assert_eq!(world.towards(1, &answer(OUTSIDE[0], B[0])), Outcome::Passed);
    assert_eq!(world.machine(Direction::Inbound, &answer(OUTSIDE[0], MACHINE[0])), Outcome::Passed);
    world.run(&["detach", "--interface", &world.bridge]).expect_code(0);
}

#[test]
fn a_guest_opens_nothing_of_the_machine_and_the_machine_nothing_of_a_guest() {
    let world = World::protected(Files::One, "");
    for scope in ["all", "host"] {
        world.protect_machine(&format!("scope: {scope}\n"));
        for family in [0, 1] {
            let (b, machine_address, outside) = (B[family], MACHINE[family], OUTSIDE[family]);
            world.sends(0, &question(machine_address, outside));
            let to_machine = answer(outside, machine_address);
            assert_eq!(world.machine(Direction::Inbound, &to_machine), Outcome::Dropped, "{scope}");
            let _ = world.machine(Direction::Outbound, &question(machine_address, outside));
            assert_eq!(world.machine(Direction::Inbound, &to_machine), Outcome::Passed, "{scope}");
            let _ = world.machine(Direction::Outbound, &question(b, outside));
            assert_eq!(world.towards(1, &answer(outside, b)), Outcome::Dropped, "{scope}");
            // `scope` is a word about the machine: a guest is judged whatever it says.
            assert_eq!(world.towards(1, &Packet::new().ip(outside, b).udp(9, 9)), Outcome::Dropped, "{scope}");
            Tables::of(&world.host).forget();
        }
    }
    world.run(&["detach", "--interface", &world.bridge]).expect_code(0);
}

#[test]
fn what_one_guest_was_refused_in_audit_makes_no_conversation_of_another_doubtful() {
    for files in [Files::One, Files::Each] {
        let world = World::protected(files, "mode: audit\n");
        for family in [0, 1] {
            let (a, b, outside) = (A[family], B[family], OUTSIDE[family]);
            // In audit it is let through, and remembered; the memory asks for no local address.
            assert_eq!(world.towards(0, &answer(outside, a)), Outcome::Passed);
            assert_eq!(world.towards(0, &answer(outside, b)), Outcome::Passed);
            world.sends(1, &question(b, outside));
            assert_eq!(flow_of(&world.tables(1)), Some(false), "B opened it, and nobody was refused there");
            // A's answer, though, is one.
            world.sends(0, &question(a, outside));
            assert_ne!(flow_of(&world.tables(0)), Some(false), "A answers what audit refused");
            for guest in [0, 1] {
                world.tables(guest).forget();
            }
        }
    }
}

#[test]
fn a_flood_that_one_guest_is_refused_hides_nothing_that_another_is_refused() {
    let world = World::protected(Files::Each, "");
    let refused = |guest: &str, port: u16| Packet::new().ip(OUTSIDE[0], guest).tcp(40_000, port);
    // More than may be told in a second, and more than the table of a guest holds.
    for port in 1..6000 {
        let _ = world.towards(0, &refused(A[0], port));
    }
    assert_eq!(world.towards(1, &refused(B[0], 4444)), Outcome::Dropped);
    let told = world.tables(1).denied();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(world.tables(1).suppressed_and_lost().0, 0);
    let of_a = world.tables(0).denied();
    assert!(of_a.len() <= 1024 && world.tables(0).suppressed_and_lost().0 > 0, "{}", of_a.len());
    let reasons = world.reasons(&world.ports[1]);
    assert!(reasons.contains(&(Direction::Inbound, Reason::NoRule, 1)), "{reasons:?}");
}
