//! A driver that does not run its program, made of what every machine has: frames that a veth receives behind the place of native XDP.
//!
//! The kernel hands them over from the tc ingress of another interface (`bpf_redirect_peer`), as container networks do, and counts
//! them as received from Linux 6.7 on. tc sees them; a native program does not, although it is on its hook.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use enforcer::host::links::links;

use crate::bpf::{self, Kind};
use crate::netns::{Cable, Namespace};
use crate::raw::RawSocket;
use crate::skip::skip;

/// Sends frames as fast as a quiet network does, while something is done.
pub fn while_sending<T>(send: impl Fn() + Sync, work: impl FnOnce() -> T) -> T {
    /// Ends the sender, a panic or not.
    struct Over<'a>(&'a AtomicBool);

    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                send();
                thread::sleep(Duration::from_millis(20));
            }
        });
        let _over = Over(&is_over);
        work()
    })
}

/// A way to the near end of a cable that native XDP does not see.
#[derive(Debug)]
pub struct Bypass {
    socket: RawSocket,
    _sender: Namespace,
    _link: OwnedFd,
}

impl Bypass {
    /// Makes it; `None`, said aloud, where the kernel cannot.
    ///
    /// # Panics
    /// When the interfaces cannot be made.
    #[must_use]
    #[track_caller]
    pub fn to(cable: &Cable) -> Option<Self> {
        const REDIRECT_PEER: i32 = 155;
        let sender = Namespace::new();
        let (from, through) = ("bypass0", "bypass1");
        cable.remote.batch(&format!(
            "link add {through} type veth peer name {from} netns {}\nlink set {through} addrgenmode none up\n",
            sender.name()
        ));
        sender.batch(&format!("link set {from} addrgenmode none up\n"));
        crate::netns::wait_for_carrier(&sender, from);
        let far = cable.remote.run(|| bpf::interface_index(&cable.far.interface)).expect("it is there");
        let far = i32::try_from(far).expect("an index");
        // r1 = far; r2 = 0; r0 = bpf_redirect_peer(r1, r2); exit
        let code = [
            bpf::instruction(0xb7, [1, 0], 0, far),
            bpf::instruction(0xb7, [2, 0], 0, 0),
            bpf::instruction(0x85, [0, 0], 0, REDIRECT_PEER),
            bpf::instruction(0x95, [0, 0], 0, 0),
        ];
        let program = bpf::load(Kind::Tc, "bypass", &code).expect("a program of four instructions loads");
        let Ok(link) = cable.remote.run(|| bpf::attach_tcx(&program, through, false)) else {
            skip("this kernel has no TCX");
            return None;
        };
        let bypass = Self { socket: RawSocket::open(&sender, from), _sender: sender, _link: link };
        let before = received(cable);
        bypass.send(&[0xff; 60]);
        let end = Instant::now() + Duration::from_secs(1);
        while received(cable) == before {
            if Instant::now() > end {
                skip("this kernel does not count what bpf_redirect_peer hands over");
                return None;
            }
        }
        Some(bypass)
    }

    /// Sends a frame.
    #[track_caller]
    pub fn send(&self, frame: &[u8]) {
        self.socket.send(frame);
    }
}

/// Packets that the near end has received.
///
/// # Panics
/// When the kernel does not tell.
#[must_use]
#[track_caller]
pub fn received(cable: &Cable) -> u64 {
    let links = cable.host.run(links).expect("netlink answers");
    links.iter().find(|link| link.name == cable.near.interface).expect("it is there").received
}
