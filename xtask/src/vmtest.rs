//! `cargo xtask vmtest`: tests of the kernel suite under Debian's older kernels, each booted in QEMU without KVM.

mod apt;
mod cards;
mod image;
mod initramfs;
mod machine;
mod modules;
mod qemu;
mod results;

use std::env::consts::ARCH;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use self::apt::{Lists, Processor};
use self::cards::Card;
use self::image::NEWEST;
use self::initramfs::Programs;
use self::machine::Parts;
use self::qemu::Qemu;
use self::results::Results;
use crate::cross::ARM64;
use crate::kernel::{self, Profile};
use crate::test::Tally;
use crate::{assurance, setup, test, workspace};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask vmtest                            # 5.10, 6.1, 6.12 and the newest: two hours\n  \
                  cargo xtask vmtest --kernel 6.1 verdict::     # a first look\n\n\
                  The processor is emulated, so that this runs wherever QEMU does, and slowly. The console of each machine stays in \
                  target/vmtest/."
)]
pub(crate) struct Options {
    /// Series of kernels, as Debian has them; `newest`: the newest of all.
    #[arg(long = "kernel", value_name = "SERIES", default_values = [OLDEST, "6.1", "6.12", NEWEST])]
    kernels: Vec<String>,
    /// Network cards that the machines get, each with a cable to another card; without FILTER their tests are run.
    #[arg(long = "card", value_name = "CARD", value_delimiter = ',', value_parser = Card::named)]
    cards: Vec<Card>,
    /// The processor that is emulated; for another than this machine's, everything is built for it first.
    #[arg(long, value_enum, default_value_t)]
    processor: Processor,
    /// How long the tests of one kernel may take.
    #[arg(long, value_name = "N", default_value_t = 180)]
    minutes: u64,
    /// Only tests whose name contains one of these.
    /// Without any: `verdict::`, `traffic::`, `hooks::` and `lifecycle::`, or those of the cards.
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
    /// Debug builds, which are slower in the machine and sooner there.
    #[arg(long)]
    debug: bool,
    /// Not those whose name contains one of these: making every call of an `apply` fail in turn takes an emulated processor hours.
    #[arg(long, value_name = "NAME", default_values = ["fails_at_any_call"])]
    skip: Vec<String>,
}

impl Options {
    /// An emulated processor is slow enough with the compiler's help.
    fn profile(&self) -> Profile {
        if self.debug { Profile::Debug } else { Profile::Release }
    }

    /// Under what name the figures are kept.
    fn run_name(&self) -> &'static str {
        match (self.processor, self.cards.is_empty()) {
            (Processor::Amd64, true) => "vmtest",
            (Processor::Amd64, false) => "vmtest-cards",
            (Processor::Arm64, _) => "vmtest-arm64",
        }
    }

    /// Where the machines' files are.
    fn folder(&self, series: &str) -> PathBuf {
        let folder = workspace::target_dir().join("vmtest");
        match self.processor {
            Processor::Amd64 => folder.join(series),
            Processor::Arm64 => folder.join(format!("{series}-arm64")),
        }
    }

    /// What the tests are given.
    fn arguments(&self) -> Vec<String> {
        let skip = self.skip.iter().flat_map(|name| ["--skip".to_owned(), name.clone()]);
        let filters = match (self.filters.is_empty(), self.cards.is_empty()) {
            (false, _) => self.filters.clone(),
            (true, true) => ["verdict::", "traffic::", "hooks::", "lifecycle::"].map(str::to_owned).to_vec(),
            (true, false) => self.cards.iter().map(Card::tests).collect(),
        };
        filters.into_iter().chain(skip).collect()
    }
}

/// What became of one kernel.
enum KernelOutcome {
    Ran {
        package: String,
        results: Results,
    },
    /// It could not be tried here, for this reason.
    Skipped(String),
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    setup::run(&setup::Options::default())?;
    let mut outcomes = Vec::new();
    match prepare(options) {
        Ok(programs) => {
            for series in &options.kernels {
                outcomes.push((series, try_kernel(series, &programs, options)?));
            }
        }
        Err(Unprepared::Skip(reason)) => {
            outcomes.extend(options.kernels.iter().map(|series| (series, KernelOutcome::Skipped(reason.clone()))));
        }
        Err(Unprepared::Fail(error)) => return Err(error),
    }
    let figures: Map<String, Value> =
        outcomes.iter().map(|(series, outcome)| ((*series).clone(), outcome.figures(&options.arguments()))).collect();
    assurance::write(options.run_name(), &Value::Object(figures))?;
    println!();
    for (series, outcome) in &outcomes {
        match outcome {
            KernelOutcome::Ran { results, .. } => print!("{series}: {results}"),
            KernelOutcome::Skipped(reason) => println!("{series}: not tried: {reason}"),
        }
    }
    let failed: Vec<_> =
        outcomes.iter().filter(|(_, outcome)| !outcome.held()).map(|(series, _)| series.as_str()).collect();
    if !failed.is_empty() {
        bail!("not everything holds, or was tried, under {}", failed.join(" and "));
    }
    Ok(())
}

/// The oldest kernel that is supported.
const OLDEST: &str = "5.10";

/// What `cargo xtask test` runs: that the programs load under the oldest kernel and under a newer one, judge and go again, and that they
/// judge on the cards that most hosts have. The rest is for before a release.
pub(crate) fn in_short() -> anyhow::Result<Tally> {
    let cards = ["virtio", "vmxnet3", "igb"].into_iter().map(Card::named).collect::<Result<Vec<_>, _>>();
    let cards = cards.map_err(anyhow::Error::msg)?;
    let smoke = ["lifecycle::apply::protection_stays", "lifecycle::detach::detach_leaves_nothing"].map(str::to_owned);
    let of_cards = cards.iter().map(Card::tests);
    let of = |series: &str, cards: Vec<Card>, filters: Vec<String>| Options {
        kernels: vec![series.to_owned()],
        cards,
        minutes: 20,
        filters,
        debug: true,
        processor: Processor::Amd64,
        skip: vec!["beside_the_agent".to_owned()],
    };
    let with_cards = of("6.12", cards.clone(), smoke.iter().cloned().chain(of_cards).collect());
    let smoke = of(OLDEST, Vec::new(), smoke.to_vec());
    let programs = match prepare(&smoke) {
        Ok(programs) => Ok(programs),
        Err(Unprepared::Skip(reason)) => Err(reason),
        Err(Unprepared::Fail(error)) => return Err(error),
    };
    let mut tally = Tally::default();
    for options in [&smoke, &with_cards] {
        let series = &options.kernels[0];
        let outcome = match &programs {
            Ok(programs) => try_kernel(series, programs, options)?,
            Err(reason) => KernelOutcome::Skipped(reason.clone()),
        };
        tally.add(match outcome {
            KernelOutcome::Ran { results, .. } => {
                println!("\n{series}: {results}");
                results.tally()
            }
            KernelOutcome::Skipped(reason) => {
                println!("skipped: tests under Linux {series}: {reason}");
                Tally::of(0, 0, 1)
            }
        });
    }
    Ok(tally)
}

/// Why there is nothing to boot.
enum Unprepared {
    /// This machine cannot do it.
    Skip(String),
    /// What is to be tested is broken.
    Fail(anyhow::Error),
}

/// Gets the tools and builds what runs in the machines.
fn prepare(options: &Options) -> Result<Programs, Unprepared> {
    if ARCH != "x86_64" {
        return Err(Unprepared::Skip(format!("machines are emulated on x86-64 only, and this is {ARCH}")));
    }
    setup::programs(setup::Run::Vmtest).map_err(|error| Unprepared::Skip(format!("{error:#}")))?;
    match options.processor {
        Processor::Amd64 => build(options.profile()).map_err(Unprepared::Fail),
        Processor::Arm64 => {
            let tools = workspace::target_dir().join("vmtest/tools-arm64");
            ARM64.prepare().map_err(|error| Unprepared::Skip(format!("{error:#}")))?;
            Lists::open(Processor::Arm64)
                .and_then(|lists| lists.root(initramfs::PACKAGES, "trixie", &tools))
                .map_err(|error| Unprepared::Skip(format!("{error:#}")))?;
            let build = || {
                let enforcer = ARM64.build(options.profile())?;
                let tests = ARM64.build_tests(options.profile())?;
                Ok(Programs { tests, enforcer, strip: ARM64.tool("strip"), tools: Some(tools) })
            };
            build().map_err(Unprepared::Fail)
        }
    }
}

fn build(profile: Profile) -> anyhow::Result<Programs> {
    kernel::build_binary(profile)?;
    let mut words = vec!["--package", "enforcer-tests", "--test", "it"];
    if profile == Profile::Release {
        words.push("--release");
    }
    let tests = test::executables_of(&words)?.into_iter().next().context("cargo named no test executable")?;
    Ok(Programs { tests, enforcer: kernel::built(profile, "enforcer"), strip: "strip".to_owned(), tools: None })
}

fn try_kernel(series: &str, programs: &Programs, options: &Options) -> anyhow::Result<KernelOutcome> {
    let folder = options.folder(series);
    let get = || {
        let image = image::fetch(series, &Lists::open(options.processor)?, &folder)?;
        let takes_any = options.cards.is_empty() && options.processor == Processor::Amd64;
        Ok((image, Qemu::find(options.processor, !takes_any)?))
    };
    let (image, qemu) = match get() {
        Ok(found) => found,
        Err(error) => {
            let error: anyhow::Error = error;
            return Ok(KernelOutcome::Skipped(format!("{error:#}")));
        }
    };
    eprintln!("\n== {}: {}", image.package, options.arguments().join(" "));
    let initramfs = initramfs::build(&image, programs, &options.cards, &options.arguments(), &folder)?;
    let parts = Parts {
        qemu: &qemu,
        image: &image,
        initramfs: &initramfs,
        cards: &options.cards,
        processor: options.processor,
    };
    let results = machine::run(&parts, Duration::from_secs(options.minutes * 60), &folder)?;
    Ok(KernelOutcome::Ran { package: image.package, results })
}

impl KernelOutcome {
    fn held(&self) -> bool {
        match self {
            Self::Ran { results, .. } => results.held(),
            // It was asked for, and was not tried.
            Self::Skipped(_) => false,
        }
    }

    fn figures(&self, filters: &[String]) -> Value {
        match self {
            Self::Ran { package, results } => {
                let mut figures = results.figures();
                figures["package"] = json!(package);
                figures["tests"] = json!(filters);
                figures
            }
            Self::Skipped(reason) => json!({ "not_tried": reason }),
        }
    }
}
