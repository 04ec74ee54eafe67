//! Detaching removes what was made, and nothing else.

use harness::enforcer::Protected;
use harness::sockets::{Reply, Servers, tcp};

use super::{ENFORCE, has_xdp, pins_of, program_id};

#[test]
fn detach_leaves_nothing_behind() {
    let protected = Protected::apply(ENFORCE);
    let near = &protected.cable.near;
    let _servers = Servers::start(&protected.cable.host, &[4444], &[]);
    let ask = || tcp(&protected.cable.remote, protected.cable.far.v4.into(), (near.v4, 4444).into());
    assert_eq!(ask(), Reply::Silence);
    protected.run(&["detach", "--interface", &near.interface]).expect_code(0);
    assert_eq!(pins_of(&near.interface), Vec::<std::path::PathBuf>::new());
    assert!(!has_xdp(&protected.cable));
    assert_eq!(ask(), Reply::Answered);
}

#[test]
fn detach_leaves_other_interfaces_alone() {
    let [a, b] = [Protected::apply(ENFORCE), Protected::apply(ENFORCE)];
    let before = program_id(&b);
    a.run(&["detach", "--interface", &a.cable.near.interface]).expect_code(0);
    assert_eq!(program_id(&b), before);
    assert!(has_xdp(&b.cable));
}
