//! What a host's own traffic pays: a TCP stream, and questions with answers of one byte, between two namespaces.
//!
//! Every kind of host gets its turn in every round, and what is compared is the median of the ratios within a round: a slow
//! second slows both sides of a ratio.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use harness::bpf::{self, Kind};
use harness::enforcer::Protected;
use harness::netns::Cable;
use serde_json::json;

use crate::Effort;
use crate::peers::{self, Chain, Ports, output};
use crate::programs::{self, TC_NEXT, XDP_PASS};
use crate::report::{Row, Section, Target};
use crate::site::Site;

const STREAM_PORT: u16 = 5201;
const QUESTION_PORT: u16 = 5202;
/// How long a server may take to be ready, on a busy machine.
const SERVER_MAY_TAKE: Duration = Duration::from_secs(10);
const QUESTIONS_FOR: Duration = Duration::from_millis(400);

const NOTHING: &str = "no firewall";
const TC: &str = "enforcer, tc in and out";
const XDP: &str = "enforcer, XDP in, tc out";
const EMPTY_TC: &str = "empty tc programs in and out";
const EMPTY_XDP: &str = "empty XDP program in";
const NFT: &str = "nftables inet input, conntrack";

pub(crate) fn section(effort: Effort) -> Section {
    let mut rows = Vec::new();
    if let Err(why) = measure(effort, &mut rows) {
        rows.push(Row::not_measured("streams", "all", why));
    }
    Section::new("streams", "(c) TCP between two namespaces, as the host under protection sees it", rows)
}

/// A host, and what keeps its filter in force.
struct Host {
    name: &'static str,
    keep: Keep,
    iperf: Option<Child>,
    /// Gigabits a second, and thousand questions a second; of each round.
    streams: Vec<f64>,
    questions: Vec<f64>,
    failed: Option<String>,
}

enum Keep {
    Ours(Protected),
    Other { cable: Cable, _hold: Vec<OwnedFd> },
}

impl Host {
    fn new(name: &'static str, keep: Keep) -> Result<Self, String> {
        let mut host = Self { name, keep, iperf: None, streams: Vec::new(), questions: Vec::new(), failed: None };
        let port = STREAM_PORT.to_string();
        let mut server = host.cable().host.command("iperf3");
        server.args(["--server", "--port", &port]).stdout(Stdio::null()).stderr(Stdio::null());
        host.iperf = Some(server.spawn().map_err(|error| format!("iperf3: {error}"))?);
        let address = SocketAddr::from((host.cable().near.v4, QUESTION_PORT));
        let listener = host.cable().host.run(|| TcpListener::bind(address)).map_err(|error| error.to_string())?;
        // It ends with the process: the listener's namespace needs no name any more.
        thread::spawn(move || answer(&listener));
        Ok(host)
    }

    fn cable(&self) -> &Cable {
        match &self.keep {
            Keep::Ours(protected) => &protected.cable,
            Keep::Other { cable, .. } => cable,
        }
    }

    fn round(&mut self) {
        if self.failed.is_some() {
            return;
        }
        match self.stream().and_then(|stream| Ok((stream, self.ask()?))) {
            Ok((stream, questions)) => {
                self.streams.push(stream);
                self.questions.push(questions);
            }
            Err(why) => self.failed = Some(why),
        }
    }

    /// Gigabits a second that arrived.
    fn stream(&self) -> Result<f64, String> {
        let [port, address] = [STREAM_PORT.to_string(), self.cable().near.v4.to_string()];
        let arguments = ["--client", &address, "--port", &port, "--time", "1", "--json"];
        let run = || -> Result<f64, String> {
            let output = output(self.cable().remote.command("iperf3").args(arguments), "")?;
            let json: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
            // With --json a failure is told there, and not by the exit code.
            let rate = json["end"]["sum_received"]["bits_per_second"].as_f64();
            rate.map(|rate| rate / 1e9).ok_or_else(|| format!("iperf3: {}", json["error"]))
        };
        let end = Instant::now() + SERVER_MAY_TAKE;
        let mut answer = run();
        while answer.is_err() && Instant::now() < end {
            // The server is only just starting, or still busy with the round before.
            thread::sleep(Duration::from_millis(200));
            answer = run();
        }
        answer
    }

    /// Thousand questions a second that were answered.
    fn ask(&self) -> Result<f64, String> {
        let address = SocketAddr::from((self.cable().near.v4, QUESTION_PORT));
        let ask = || -> io::Result<f64> {
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            let (mut byte, mut count) = ([0], 0_u32);
            let start = Instant::now();
            while start.elapsed() < QUESTIONS_FOR {
                stream.write_all(&byte)?;
                stream.read_exact(&mut byte)?;
                count += 1;
            }
            Ok(f64::from(count) / start.elapsed().as_secs_f64() / 1000.0)
        };
        self.cable().remote.run(ask).map_err(|error| format!("asking: {error}"))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut server) = self.iperf.take() {
            // It may have ended by itself.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

fn answer(listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        let talk = |mut stream: TcpStream| -> io::Result<()> {
            stream.set_nodelay(true)?;
            let mut byte = [0];
            loop {
                stream.read_exact(&mut byte)?;
                stream.write_all(&byte)?;
            }
        };
        // It ends when the client closes.
        let _ = talk(stream);
    }
}

fn measure(effort: Effort, rows: &mut Vec<Row>) -> Result<(), String> {
    effort.say("TCP streams, and questions with answers");
    let site = Site::one_role().with_port(STREAM_PORT).with_port(QUESTION_PORT);
    let ours = |hook| Ok(Keep::Ours(site.apply(Cable::new(), hook, "enforce")?.protected));
    let nft = || {
        let cable = Cable::new();
        peers::nft(&cable.host, &cable.near.interface, Chain::Input, &Ports::of(&site, &cable)?)?;
        Ok(Keep::Other { cable, _hold: Vec::new() })
    };
    let empty = |attach: fn(&str) -> io::Result<Vec<OwnedFd>>| {
        let cable = Cable::new();
        let hold = cable.host.run(|| attach(&cable.near.interface)).map_err(|error| error.to_string())?;
        Ok(Keep::Other { cable, _hold: hold })
    };
    let empty_xdp = |interface: &str| {
        let program = programs::empty(Kind::Xdp, XDP_PASS)?;
        Ok(vec![bpf::attach_xdp(&program, interface)?, program])
    };
    let empty_tc = |interface: &str| {
        let program = programs::empty(Kind::Tc, TC_NEXT)?;
        let [incoming, outgoing] = [false, true].map(|is_egress| bpf::attach_tcx(&program, interface, is_egress));
        Ok(vec![incoming?, outgoing?, program])
    };
    let kept: [(&str, Result<Keep, String>); 6] = [
        (NOTHING, Ok(Keep::Other { cable: Cable::new(), _hold: Vec::new() })),
        (EMPTY_TC, empty(empty_tc)),
        (TC, ours("tc")),
        (NFT, nft()),
        (EMPTY_XDP, empty(empty_xdp)),
        (XDP, ours("native")),
    ];
    let mut hosts = Vec::new();
    for (name, keep) in kept {
        match keep.and_then(|keep| Host::new(name, keep)) {
            Ok(host) => hosts.push(host),
            Err(why) => rows.push(Row::not_measured("streams", name, why)),
        }
    }
    let rounds = effort.streams();
    for round in 0..rounds {
        effort.progress(round + 1, rounds);
        // There and back: nobody always follows the same other.
        if round % 2 == 0 {
            hosts.iter_mut().for_each(Host::round);
        } else {
            hosts.iter_mut().rev().for_each(Host::round);
        }
    }
    for (group, of, unit) in [("stream", Of::Stream, "Gb/s"), ("question and answer", Of::Questions, "thousand/s")] {
        for host in &hosts {
            let values = of.values(host);
            rows.push(match (&host.failed, median(values)) {
                (None, Some(value)) => {
                    Row::new(group, host.name, value, unit).how(spread(values, "rounds")).raw(json!({"rounds": values}))
                }
                (why, _) => Row::not_measured(group, host.name, why.clone().unwrap_or_default()),
            });
        }
        for (one, other, target) in [
            (TC, NOTHING, Some(0.9)),
            (TC, NFT, Some(1.0)),
            (TC, EMPTY_TC, None),
            (EMPTY_TC, NOTHING, None),
            (XDP, EMPTY_XDP, None),
            (XDP, NOTHING, None),
            (NFT, NOTHING, None),
        ] {
            // What was agreed is about a stream.
            let target = target.filter(|_| matches!(of, Of::Stream));
            rows.push(ratio(group, &hosts, of, (one, other), target));
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Of {
    Stream,
    Questions,
}

impl Of {
    fn values(self, host: &Host) -> &[f64] {
        match self {
            Self::Stream => &host.streams,
            Self::Questions => &host.questions,
        }
    }
}

/// The median of the ratios within a round.
fn ratio(group: &str, hosts: &[Host], of: Of, (one, other): (&str, &str), target: Option<f64>) -> Row {
    let name = format!("{one} / {other}");
    let values =
        |name: &str| hosts.iter().find(|host| host.name == name && host.failed.is_none()).map(|host| of.values(host));
    let (Some(a), Some(b)) = (values(one), values(other)) else {
        return Row::not_measured(group, name, "one of the two was not measured");
    };
    let ratios: Vec<_> = a.iter().zip(b).map(|(a, b)| a / b).collect();
    match median(&ratios) {
        Some(value) => {
            Row::new(group, name, value, "times").target(target.map(Target::AtLeast)).how(spread(&ratios, "pairs"))
        }
        None => Row::not_measured(group, name, "no round"),
    }
}

/// How far the values behind a median lie apart: a wide spread is a busy machine.
fn spread(values: &[f64], what: &str) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    format!("median of {} {what}, {least:.2} to {most:.2}", values.len())
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[]), None);
    }
}
