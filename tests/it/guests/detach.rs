//! Slots come with a port and go with it.

use std::fs;
use std::path::Path;

use enforcer_common::layout::{LAYOUT_VERSION, map};
use harness::netns::{another_interface, host_pins, pins_of};

use super::{Files, World};

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join(format!("v{LAYOUT_VERSION}"))).expect("it is there");
    entries.map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_slot_is_free_again_when_its_port_is_detached() {
    let mut world = World::protected(Files::One, "");
    let (a, b) = (world.ports[0].clone(), world.ports[1].clone());
    let slot =
        |world: &World, port: &str| world.slots().into_iter().find(|(name, _)| name == port).map(|(_, slot)| slot);
    assert_eq!((slot(&world, &a), slot(&world, &b)), (Some(1), Some(2)));
    world.run(&["detach", "--interface", &a]).expect_code(0);
    assert!(!pins_of(&a).exists());
    assert_eq!(slot(&world, &b), Some(2), "B keeps its slot");
    let another = another_interface();
    world.host.batch(&format!("link add {another} type veth peer name other\n"));
    world.apply(&[&another], "").expect_code(0);
    assert_eq!(slot(&world, &another), Some(1));
    world.ports[0] = another;
}

#[test]
fn tables_of_the_machine_are_there_only_while_it_is_protected_and_those_of_guests_stay() {
    let world = World::protected(Files::One, "");
    let host = host_pins(world.host.inode());
    let found = names(&host);
    assert!(!found.iter().any(|name| name == map::FLOWS4) && found.iter().any(|name| name == map::EVENTS), "{found:?}");
    assert!(names(&pins_of(&world.ports[0])).iter().any(|name| name == map::FLOWS4));
    for command in [&["flows"][..], &["denied"], &["status"], &["counters"], &["refresh"], &["readiness"], &["suggest"]]
    {
        let ran = world.run(command);
        assert!(matches!(ran.code, Some(0 | 1)) && !ran.stderr.contains("cannot"), "{command:?}: {}", ran.stderr);
    }

    world.protect_machine("");
    assert!(names(&host).iter().any(|name| name == map::FLOWS4));
    world.run(&["detach", "--interface", &world.bridge]).expect_code(0);
    assert!(!names(&host).iter().any(|name| [map::FLOWS4, map::OWN, map::DENIED].contains(&name.as_str())));
    assert!(names(&pins_of(&world.ports[0])).iter().any(|name| name == map::FLOWS4));
    world.run(&["status"]).expect_code(0);

    world.run(&["detach"]).expect_code(0);
    assert!(!host.exists());
}
