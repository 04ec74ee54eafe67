//! One machine: started, read until it is off or its time is over, and ended in every case.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::apt::Processor;
use super::cards::{self, Card};
use super::image::Image;
use super::qemu::Qemu;
use super::results::Results;

/// What a machine is made of.
pub(super) struct Parts<'a> {
    pub(super) qemu: &'a Qemu,
    pub(super) image: &'a Image,
    pub(super) initramfs: &'a Path,
    pub(super) cards: &'a [Card],
    pub(super) processor: Processor,
}

pub(super) fn run(parts: &Parts<'_>, limit: Duration, folder: &Path) -> anyhow::Result<Results> {
    let errors = folder.join("stderr.log");
    let mut log = File::create(folder.join("console.log")).context("cannot write the console's log")?;
    let start = Instant::now();
    let mut machine = Machine(
        // Never KVM: that a machine is not emulated must not decide what passes.
        parts
            .qemu
            .command()
            .args(board(parts.processor))
            .args(["-accel", "tcg", "-smp", "2", "-m", "2048", "-no-reboot", "-nic", "none"])
            .args(["-display", "none", "-monitor", "none", "-serial", "stdio"])
            .args(second_port(parts.processor, &errors))
            .arg("-kernel")
            .arg(&parts.image.kernel)
            .arg("-initrd")
            .arg(parts.initramfs)
            .args(cards::arguments(parts.cards))
            // A kernel that stumbles has failed; it must not go on and look well.
            .arg("-append")
            .arg(format!("console={} quiet loglevel=1 panic=-1 oops=panic", console(parts.processor)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start QEMU")?,
    );
    let console = machine.0.stdout.take().context("QEMU has no console")?;
    let (send, lines) = mpsc::channel();
    let reader = thread::spawn(move || {
        for line in BufReader::new(console).split(b'\n').map_while(Result::ok) {
            if send.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                break;
            }
        }
    });
    let mut results = Results::default();
    loop {
        match lines.recv_timeout(limit.saturating_sub(start.elapsed())) {
            Ok(line) => {
                writeln!(log, "{line}")?;
                println!("{line}");
                results.read(&line);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                results.out_of_time = true;
                break;
            }
        }
    }
    drop(machine);
    drop(lines);
    // It ends with the console. A panic there has nothing to say about the machine.
    let _ = reader.join();
    let said = fs::read(&errors).unwrap_or_default();
    for line in String::from_utf8_lossy(&said).lines() {
        results.read_error(line.trim_end());
    }
    results.seconds = start.elapsed().as_secs();
    Ok(results)
}

/// What the processor is on, where QEMU wants to be told.
const fn board(processor: Processor) -> &'static [&'static str] {
    match processor {
        Processor::Amd64 => &[],
        Processor::Arm64 => &["-M", "virt", "-cpu", "cortex-a72"],
    }
}

/// The serial port for standard error of the tests.
fn second_port(processor: Processor, file: &Path) -> Vec<String> {
    let file = file.display();
    match processor {
        Processor::Amd64 => vec!["-serial".to_owned(), format!("file:{file}")],
        // The board has one.
        Processor::Arm64 => {
            ["-chardev", &format!("file,id=errors,path={file}"), "-device", "pci-serial,chardev=errors"]
                .map(str::to_owned)
                .to_vec()
        }
    }
}

const fn console(processor: Processor) -> &'static str {
    match processor {
        Processor::Amd64 => "ttyS0",
        Processor::Arm64 => "ttyAMA0",
    }
}

struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        // If it is off already, there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
