//! Kernels that are locked down, lack something or do something in another way, and processes that may do less: everything works, or a
//! sentence says what does not and why. What changes the whole machine is only tried in a virtual one (`cargo xtask vmtest conditions`).

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use harness::enforcer::{Protected, Ran, binary, enforcer_with_input};
use harness::netns::Cable;
use harness::skip::{say, skip};
use harness::sockets::{Reply, Servers, tcp};
use nix::sys::resource::{Resource, setrlimit};

const SITE: &str =
    "interfaces: [IF]\nmode: enforce\nroles: []\nallow:\n  - {name: tcp, protocol: tcp, ports: [8080]}\n";

/// By native XDP and at tc, what is permitted passes and what is not does not.
#[track_caller]
fn works(when: &str) {
    for hook in ["native", "tc"] {
        let protected = Protected::apply_site(Cable::new(), SITE, &["--hook", hook]);
        judges(&protected, &format!("{when}, {hook}"));
        protected.run(&["status"]).expect_code(0);
        protected.run(&["counters"]).expect_code(0);
    }
}

#[track_caller]
fn judges(protected: &Protected, when: &str) {
    let Cable { host, remote, near, far } = &protected.cable;
    let _servers = Servers::start(host, &[8080, 8082], &[]);
    for (from, to) in far.addresses().into_iter().zip(near.addresses()) {
        assert_eq!(tcp(remote, from, (to, 8080).into()), Reply::Answered, "{when}: permitted");
        assert_eq!(tcp(remote, from, (to, 8082).into()), Reply::Silence, "{when}: refused");
    }
}

/// Whether this is a machine of which everything may be changed; says so where it is not.
fn is_virtual() -> bool {
    let is_virtual = std::env::var_os("ENFORCER_TESTS_MACHINE").is_some();
    if !is_virtual {
        skip("this changes the whole machine: `cargo xtask vmtest conditions` tries it in a virtual one");
    }
    is_virtual
}

/// With another value of a file of the kernel's, put back afterwards.
#[track_caller]
fn with_setting(path: &str, value: &str) {
    if !is_virtual() {
        return;
    }
    let Ok(before) = fs::read_to_string(path) else {
        skip(&format!("this kernel has no {path}"));
        return;
    };
    if let Err(error) = fs::write(path, value) {
        skip(&format!("this kernel does not take {value} in {path}: {error}"));
        return;
    }
    works(&format!("{path} is {value}"));
    // Some values cannot be taken back, and harm nobody.
    let _ = fs::write(path, before);
}

#[test]
fn without_a_compiler_in_the_kernel_everything_is_interpreted() {
    with_setting("/proc/sys/net/core/bpf_jit_enable", "0");
}

#[test]
fn a_hardened_compiler_changes_nothing() {
    with_setting("/proc/sys/net/core/bpf_jit_harden", "2");
}

#[test]
fn where_users_without_privileges_have_no_bpf_root_has() {
    with_setting("/proc/sys/kernel/unprivileged_bpf_disabled", "2");
}

#[test]
fn a_kernel_that_is_locked_down_judges() {
    if !is_virtual() {
        return;
    }
    let path = Path::new("/sys/kernel/security/lockdown");
    if !path.exists() {
        let _ = Command::new("mount").args(["-t", "securityfs", "none", "/sys/kernel/security"]).status();
    }
    // From less to more: there is no way back.
    for level in ["integrity", "confidentiality"] {
        if let Err(error) = fs::write(path, level) {
            skip(&format!("this kernel cannot be locked down: {error}"));
            return;
        }
        works(level);
    }
}

/// Runs the binary where it sees other file systems than everybody else: after these commands of a shell.
#[track_caller]
fn with_mounts(protected: &Protected, mounts: &str, words: &str) -> Ran {
    let site = SITE.replace("IF", &protected.cable.near.interface);
    let line =
        format!("mount --make-rprivate / && {mounts} && exec {} {words} - <<'END'\n{site}END\n", binary().display());
    let mut command = protected.cable.host.command("unshare");
    let output = command.args(["-m", "sh", "-c", &line]).output().expect("there is unshare");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { line, code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

#[test]
fn without_btf_everything_works_and_preflight_has_a_note() {
    let protected = Protected { cable: Cable::new() };
    let hide = "mount -t tmpfs none /sys/kernel/btf";
    if !Path::new("/sys/kernel/btf").is_dir() {
        works("no BTF");
        return;
    }
    let found = with_mounts(&protected, hide, "preflight --format json").json();
    let is_note = |one: &serde_json::Value| {
        one["level"] == "note" && one["message"].as_str().is_some_and(|message| message.contains("no BTF"))
    };
    assert!(found["findings"].as_array().is_some_and(|all| all.iter().any(is_note)), "{found}");
    with_mounts(&protected, hide, "apply").expect_code(0);
    judges(&protected, "no BTF");
}

#[test]
fn where_nothing_can_be_pinned_apply_and_preflight_name_the_command_that_mends_it() {
    let protected = Protected { cable: Cable::new() };
    let read_only = "mount -o remount,bind,ro /sys/fs/bpf";
    for (words, code) in [("apply", 3), ("preflight", 1)] {
        let ran = with_mounts(&protected, read_only, words).expect_code(code);
        let said = format!("{}{}", ran.stdout, ran.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("mounted read-only"), "{words}: {said}");
        assert!(said.contains("mount -o remount,rw /sys/fs/bpf"), "{words}: {said}");
    }
}

const CAP_NET_ADMIN: u8 = 12;
const CAP_SYS_PTRACE: u8 = 19;
const CAP_PERFMON: u8 = 38;
const CAP_BPF: u8 = 39;
/// What the units have.
const OF_UNITS: [(u8, &str); 3] =
    [(CAP_BPF, "CAP_BPF"), (CAP_NET_ADMIN, "CAP_NET_ADMIN"), (CAP_PERFMON, "CAP_PERFMON")];

/// Applies a site as root with only these capabilities, and at most so much memory to be locked.
#[track_caller]
fn apply_with(protected: &Protected, capabilities: &[u8], memory: Option<u64>) -> Ran {
    let site = SITE.replace("IF", &protected.cable.near.interface);
    let file = std::env::temp_dir().join(format!("conditions-{}.yaml", protected.cable.near.interface));
    fs::write(&file, site).expect("there is room");
    let mut command = protected.cable.host.command(binary());
    command.arg("apply").arg(&file);
    let kept = capabilities.to_vec();
    let limit = move || {
        if let Some(memory) = memory {
            setrlimit(Resource::RLIMIT_MEMLOCK, memory, memory).map_err(io::Error::from)?;
        }
        for capability in (0..64_u8).filter(|one| !kept.contains(one)) {
            // SAFETY: prctl(2) with numbers. It fails for capabilities that this kernel does not know.
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability), 0, 0, 0) };
        }
        Ok(())
    };
    // SAFETY: between fork and exec only system calls are made, which allocate nothing.
    unsafe { command.pre_exec(limit) };
    let output = command.output().expect("the binary starts");
    fs::remove_file(&file).expect("it is there");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran {
        line: format!("apply with the capabilities {capabilities:?}"),
        code: output.status.code(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

#[test]
fn the_capabilities_of_the_units_are_enough_and_each_that_is_missing_is_named() {
    let protected = Protected { cable: Cable::new() };
    for (missing, name) in OF_UNITS {
        let others: Vec<u8> = OF_UNITS.map(|(one, _)| one).into_iter().filter(|one| *one != missing).collect();
        let ran = apply_with(&protected, &others, None).expect_code(3);
        assert!(ran.stderr.contains(&format!("{name} is missing")), "{}", ran.stderr);
    }
    let units = [CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_PTRACE];
    apply_with(&protected, &units, None).expect_code(0);
    judges(&protected, "four capabilities");
}

#[test]
fn too_little_memory_that_may_be_locked_is_named_where_the_kernel_counts_it() {
    let protected = Protected { cable: Cable::new() };
    let ran = apply_with(&protected, &[CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_PTRACE], Some(64 * 1024));
    if ran.code == Some(0) {
        say("this kernel does not count maps against RLIMIT_MEMLOCK");
        return;
    }
    let ran = ran.expect_code(3);
    for text in ["RLIMIT_MEMLOCK", "64 KiB", "ulimit -l unlimited", "LimitMEMLOCK=infinity"] {
        assert!(ran.stderr.contains(text), "{}", ran.stderr);
    }
    // With all capabilities the limit is lifted.
    let site = SITE.replace("IF", &protected.cable.near.interface);
    enforcer_with_input(&protected.cable.host, &["apply", "-"], &site).expect_code(0);
}
