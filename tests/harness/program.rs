//! Asks a pinned program for its verdict on a frame (`BPF_PROG_TEST_RUN`): no traffic and no timing.

use std::path::Path;

use aya::programs::{ProgramError, ProgramInfo, SchedClassifier, Xdp};
use aya::{TestRun, TestRunOptions};
use aya_obj::generated::bpf_prog_type;
use aya_obj::programs::XdpAttachType;

/// A pinned program, at whichever hook.
#[derive(Debug)]
pub enum Program {
    /// Judges frames before there is a socket buffer.
    Xdp(Xdp),
    /// Judges socket buffers.
    Tc(SchedClassifier),
}

/// What a program does with a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It goes on: to the stack, or to the next program.
    Passed,
    /// It ends here.
    Dropped,
}

impl Program {
    /// Opens the program that is pinned at a path.
    ///
    /// # Panics
    /// When there is none, or one for another hook.
    #[must_use]
    #[track_caller]
    pub fn pinned(path: &Path) -> Self {
        let info = ProgramInfo::from_pin(path).unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
        #[expect(clippy::wildcard_enum_match_arm, reason = "every other type is wrong here")]
        match info.program_type() {
            bpf_prog_type::BPF_PROG_TYPE_XDP => {
                Self::Xdp(Xdp::from_pin(path, XdpAttachType::Interface).expect("it was there just now"))
            }
            bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS => {
                Self::Tc(SchedClassifier::from_pin(path).expect("it was there just now"))
            }
            other => panic!("{} is a program of type {other:?}", path.display()),
        }
    }

    /// Runs the program once on a frame, as it would find it at tc: `None` where the kernel refuses the run. At XDP nothing is
    /// known beside the bytes.
    ///
    /// # Panics
    /// When the program answers with something that is neither.
    #[must_use]
    #[track_caller]
    pub fn ask(&self, frame: &[u8], about: About) -> Option<Outcome> {
        let context = about.context();
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::default() };
        let result = match self {
            Self::Xdp(program) => program.test_run(options),
            Self::Tc(program) => program.test_run(TestRunOptions { ctx_in: Some(&context), ..options }),
        };
        match result {
            Ok(result) => Some(self.outcome(result.return_value)),
            // EINVAL: too short, too long, or an IP header that is not there.
            Err(ProgramError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::EINVAL) => None,
            Err(error) => panic!("test run of {} bytes: {error:?}", frame.len()),
        }
    }

    /// Runs the program once on a frame.
    ///
    /// # Panics
    /// When the kernel refuses the run (a frame shorter than an Ethernet header), or the program answers with something
    /// that is neither.
    #[must_use]
    #[track_caller]
    pub fn judge(&self, frame: &[u8]) -> Outcome {
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::default() };
        let result = match self {
            Self::Xdp(program) => program.test_run(options),
            Self::Tc(program) => program.test_run(options),
        };
        let answer = result.unwrap_or_else(|error| panic!("test run of {} bytes: {error:?}", frame.len())).return_value;
        self.outcome(answer)
    }

    #[track_caller]
    fn outcome(&self, answer: u32) -> Outcome {
        match (self, answer) {
            (Self::Xdp(_), 2) | (Self::Tc(_), u32::MAX) => Outcome::Passed,
            (Self::Xdp(_), 1) | (Self::Tc(_), 2) => Outcome::Dropped,
            (_, other) => panic!("the program answered {other}"),
        }
    }
}

/// What the kernel knows of a packet at tc, beside its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct About {
    /// It came in through another interface.
    pub is_forwarded: bool,
    /// It is a super-packet of several segments.
    pub is_super_packet: bool,
}

impl About {
    /// As `struct __sk_buff`: `ingress_ifindex` and `gso_size` at their offsets, everything else 0.
    fn context(self) -> [u8; 192] {
        let mut context = [0; 192];
        context[36..40].copy_from_slice(&u32::from(self.is_forwarded).to_ne_bytes());
        context[176..180].copy_from_slice(&(1400 * u32::from(self.is_super_packet)).to_ne_bytes());
        context
    }
}
