//! Which end opened a TCP conversation, told from what the kernel counts of it.
//!
//! The kernel keeps no such note. But a SYN takes a sequence number, and only its sender sees that number acknowledged: the
//! octets acknowledged to the end that opened the conversation are one more than the octets that it has sent.

use super::State;

/// The end of a conversation that opened it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Opener {
    /// This host.
    Host,
    /// The other one.
    Peer,
}

/// Where these numbers stand in `struct tcp_info` (`include/uapi/linux/tcp.h`): octets acknowledged, octets not sent yet, octets
/// sent, and how many of these were sent again. The last one is there since Linux 4.19.
const ACKNOWLEDGED: usize = 120;
const NOT_SENT: usize = 144;
const SENT: usize = 200;
const SENT_AGAIN: usize = 208;

impl Opener {
    /// From `struct tcp_info` as the kernel gives it, and the octets that wait to be acknowledged (`idiag_wqueue`). `None` where
    /// the numbers tell of neither end.
    pub(super) fn of(info: &[u8], queued: u32, kernel_state: u8) -> Option<Self> {
        let [acknowledged, sent, again] = [ACKNOWLEDGED, SENT, SENT_AGAIN].map(|at| word(info, at));
        let not_sent = u32::from_ne_bytes(info.get(NOT_SENT..NOT_SENT + 4)?.try_into().ok()?);
        let acknowledged = i128::from(acknowledged?);
        let on_the_way = i128::from(queued) - i128::from(not_sent);
        // The FIN of this host has a number, too. It is counted from when it is sent.
        let fin = match State::from_kernel(super::TCP, kernel_state)? {
            State::ClosedHere => i128::from(not_sent == 0),
            State::Open | State::ClosedThere => 0,
            State::Listening | State::Asking | State::Asked | State::Closing => return None,
        };
        match acknowledged + on_the_way - fin - (i128::from(sent?) - i128::from(again?)) {
            1 => Some(Self::Host),
            0 => Some(Self::Peer),
            _ => None,
        }
    }
}

fn word(info: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(info.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::host::sockets::Sockets;

    const ESTABLISHED: u8 = 1;
    const FIN_WAIT: u8 = 4;

    fn info(acknowledged: u64, not_sent: u32, sent: u64, again: u64) -> Vec<u8> {
        let mut info = vec![0; 248];
        info[ACKNOWLEDGED..][..8].copy_from_slice(&acknowledged.to_ne_bytes());
        info[NOT_SENT..][..4].copy_from_slice(&not_sent.to_ne_bytes());
        info[SENT..][..8].copy_from_slice(&sent.to_ne_bytes());
        info[SENT_AGAIN..][..8].copy_from_slice(&again.to_ne_bytes());
        info
    }

    #[test]
    fn a_syn_is_acknowledged_to_the_end_that_sent_it() {
        assert_eq!(Opener::of(&info(1, 0, 0, 0), 0, ESTABLISHED), Some(Opener::Host));
        assert_eq!(Opener::of(&info(0, 0, 0, 0), 0, ESTABLISHED), Some(Opener::Peer));
        // 900 octets are on their way, 100 of 1,000 acknowledged, 300 more wait; 200 were sent twice.
        assert_eq!(Opener::of(&info(101, 300, 1200, 200), 1200, ESTABLISHED), Some(Opener::Host));
        assert_eq!(Opener::of(&info(100, 300, 1200, 200), 1200, ESTABLISHED), Some(Opener::Peer));
    }

    #[test]
    fn a_fin_of_this_host_is_not_taken_for_its_syn() {
        assert_eq!(Opener::of(&info(0, 0, 0, 0), 1, FIN_WAIT), Some(Opener::Peer), "sent");
        assert_eq!(Opener::of(&info(1, 0, 0, 0), 0, FIN_WAIT + 1), Some(Opener::Peer), "acknowledged");
        assert_eq!(Opener::of(&info(0, 11, 0, 0), 11, FIN_WAIT), Some(Opener::Peer), "behind ten octets that wait");
        assert_eq!(Opener::of(&info(2, 0, 0, 0), 0, FIN_WAIT + 1), Some(Opener::Host));
    }

    #[test]
    fn numbers_that_fit_neither_end_tell_nothing() {
        assert_eq!(Opener::of(&info(7, 0, 0, 0), 0, ESTABLISHED), None);
        assert_eq!(Opener::of(&[0; 104], 0, ESTABLISHED), None, "an old kernel");
    }

    #[test]
    fn the_kernel_tells_who_opened_a_conversation_over_loopback() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut served, _) = listener.accept().unwrap();
        drop(listener);
        client.write_all(&[1; 1000]).unwrap();
        served.write_all(&[2; 5000]).unwrap();
        let sockets = Sockets::read().unwrap();
        let opener = |local| sockets.iter().find(|socket| socket.local == local).and_then(|socket| socket.opener);
        assert_eq!(opener(client.local_addr().unwrap()), Some(Opener::Host));
        assert_eq!(opener(served.local_addr().unwrap()), Some(Opener::Peer));
    }
}
