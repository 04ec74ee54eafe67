//! A hook that somebody else's program holds is left to it.

use harness::enforcer::enforcer;
use harness::foreign::{self, ForeignXdp};
use harness::netns::Cable;

use super::{ENFORCE, has_xdp, pins_of};

#[test]
fn apply_refuses_a_busy_hook_and_names_who_holds_it() {
    let cable = Cable::new();
    let near = &cable.near.interface;
    let foreign = ForeignXdp::attach(&cable.host, near);
    let mut line = vec!["apply", "--interface", near];
    line.extend(ENFORCE);
    let ran = enforcer(&cable.host, &line).expect_code(4);
    assert!(ran.stderr.contains(foreign::NAME), "{}", ran.stderr);
    assert!(ran.stderr.contains(near.as_str()), "{}", ran.stderr);
    assert!(has_xdp(&cable), "the other program is still attached");
    drop(foreign);
    assert!(!has_xdp(&cable), "nothing of ours was attached");
    assert_eq!(pins_of(near), Vec::<std::path::PathBuf>::new());
}
