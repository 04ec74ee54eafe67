//! The agent (`enforcer run`): applies a policy and reacts to changes of the site file, the interfaces and the addresses.
//!
//! One worker thread does all the work, one task after the other. The sources of events run in other threads and only report that
//! something has changed. The programs work without the agent: killing it changes no verdict. When it starts again, it reads its
//! state from the kernel and from the state folder.

mod due;
mod events;
mod heap;
mod instance;
mod keeper;
mod log;
mod numbers;
mod options;
mod policy;
mod seen;
mod serve;
mod site_file;
mod snapshots;
mod sources;
mod systemd;
mod targets;

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use due::{Due, Work};
use events::Events;
use instance::Instance;
use keeper::{Keeper, Occasion, PolicyOutcome};
use log::Log;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use numbers::Shared;
use policy::Followed;
use seen::Seen;
use sources::Event;
use systemd::Systemd;
use targets::Look;

use crate::dataplane::{self, refresh_addresses, refresh_listeners};
use crate::failure::Failure;
use crate::protect::journal;
use crate::state::history;

pub use instance::{Heartbeat, heartbeat};
pub use options::Options;

/// Runs the agent until a signal stops it.
///
/// # Errors
/// When it cannot start; the active policy is then unchanged.
pub fn run(options: &Options) -> Result<(), Failure> {
    heap::share();
    more_descriptors();
    let instance = Instance::take(options.check)?;
    let (log, numbers) = (Log::new(), Shared::default());
    let (sender, inbox) = mpsc::channel();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let _watcher = runtime.block_on(async {
        sources::signals(&sender)?;
        sources::netlink(sender.clone(), log);
        if let Some(address) = options.metrics {
            let address = serve::serve(address, numbers.clone(), log).await.map_err(|error| {
                Failure::Failed(anyhow::Error::from(error).context(format!("cannot serve metrics at {address}")))
            })?;
            log.info(format!("metrics at http://{address}/metrics"));
        }
        watch(options, sender.clone())
    })?;
    let mut agent = Agent {
        options,
        instance,
        log,
        numbers: numbers.clone(),
        keeper: Keeper::new(options, log, numbers),
        systemd: Systemd::new(),
        due: Due::new(Instant::now(), options.check),
        last_read: None,
        trouble: None,
        events: None,
        told_of_gone: Vec::new(),
    };
    agent.start()?;
    agent.work(&inbox)?;
    agent.stop()
}

/// Raises the soft limit of open descriptors to the hard limit: each loaded object needs dozens of descriptors, and a host may have
/// a hundred interfaces.
fn more_descriptors() {
    /// More descriptors than the agent ever needs.
    const ENOUGH: u64 = 65_536;
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < ENOUGH.min(hard)
    {
        // A failure is harmless until all descriptors are used; that error is then reported.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, ENOUGH.min(hard), hard);
    }
}

/// Watches the site file. A policy from standard input or from options cannot change.
fn watch(options: &Options, events: mpsc::Sender<Event>) -> Result<Option<notify::RecommendedWatcher>, Failure> {
    let Some(site) = options.policy.site.as_deref().filter(|site| *site != "-") else { return Ok(None) };
    let site = std::path::absolute(Path::new(site))?;
    let watcher = sources::files(&site, options.policy.flags.catalogue.as_deref(), events).map_err(|error| {
        Failure::Failed(anyhow::Error::from(error).context(format!("cannot watch the folder of {}", site.display())))
    })?;
    Ok(Some(watcher))
}

/// Where packets come in that nobody has judged, the next look comes so soon: a driver may only count late.
const SUSPICION: Duration = Duration::from_millis(2100);

struct Agent<'a> {
    options: &'a Options,
    instance: Instance,
    log: Log,
    numbers: Shared,
    keeper: Keeper<'a>,
    systemd: Systemd,
    due: Due,
    /// The site file at the last reading, valid or not.
    last_read: Option<Seen>,
    /// Why the current site file is not applied; `None`: it is applied.
    trouble: Option<String>,
    events: Option<Events>,
    /// The last logged messages about pins of removed network namespaces.
    told_of_gone: Vec<String>,
}

impl Agent<'_> {
    fn start(&mut self) -> Result<(), Failure> {
        let read = Followed::read(&self.options.policy, self.options.hook);
        self.last_read = Some(Seen::of(&read));
        match read {
            Ok(next) => {
                self.say_warnings(&next);
                match self.keeper.follow(next, Occasion::Start) {
                    Ok(PolicyOutcome::InForce) => {}
                    Ok(PolicyOutcome::Postponed(pending)) => {
                        self.postpone(&pending);
                        self.keeper.keep_last_good()?;
                    }
                    Err(failure) => self.start_with_last_good(failure)?,
                }
            }
            Err(findings) => {
                self.numbers.numbers().reload_failures += 1;
                if !self.keeper.keep_last_good()? {
                    return Err(Failure::Invalid(findings));
                }
                self.say_broken(&findings);
            }
        }
        self.keeper.protect(Look::Hooks)?;
        refresh_addresses()?;
        refresh_listeners()?;
        self.events = match &self.options.events {
            Some(destination) => Some(Events::start(destination, self.log)?),
            None => None,
        };
        self.say_status();
        self.systemd.ready();
        heap::give_back();
        self.log.info("ready");
        Ok(())
    }

    /// Handles a refused policy: applies the last confirmed policy, so that the host stays protected, and tries again later.
    fn start_with_last_good(&mut self, failure: Failure) -> Result<(), Failure> {
        match self.keeper.keep_last_good() {
            Ok(true) => {}
            Ok(false) => return Err(failure),
            Err(other) => {
                self.log.error(format!("the last confirmed policy cannot be used either: {other:#}"));
                return Err(failure);
            }
        }
        let trouble = format!("{failure:#}");
        self.numbers.numbers().reload_failures += 1;
        self.log.error(format!("cannot apply the site file; the last confirmed policy stays active: {trouble}"));
        self.not_in_force(trouble);
        Ok(())
    }

    fn work(&mut self, inbox: &mpsc::Receiver<Event>) -> Result<(), Failure> {
        loop {
            let now = Instant::now();
            let patience = self.systemd.patience(now);
            let wait = self.due.wait(now).map_or(patience, |wait| wait.min(patience));
            match inbox.recv_timeout(wait) {
                Ok(Event::Stop) => return Ok(()),
                Ok(Event::Reload) => {
                    self.log.info("SIGHUP: reading the site file and checking every interface");
                    if let Some(events) = &self.events {
                        events.reopen();
                    }
                    self.attempt(Work::Read, true);
                    self.attempt(Work::Check, true);
                }
                Ok(event @ (Event::File | Event::Links | Event::Addresses)) => self.due.note(event, Instant::now()),
                Err(RecvTimeoutError::Timeout) => {}
                // The sources live as long as the runtime, which lives longer than this loop.
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::Failed(anyhow::anyhow!("all sources of events have stopped")));
                }
            }
            for work in self.due.take(Instant::now()) {
                self.attempt(work, false);
            }
            self.systemd.alive();
        }
    }

    /// Does one task. A task that fails is tried again by the next check.
    fn attempt(&mut self, work: Work, is_reload: bool) {
        // A passed deadline is reverted before any other work.
        if let Err(error) = self.keeper.finish_way_back() {
            self.log.error(format!("{:#}", anyhow::Error::from(error)));
        }
        let result = match work {
            Work::Read => {
                self.read(is_reload);
                Ok(())
            }
            Work::Protect => self.keeper.protect(Look::Hooks),
            Work::Addresses => refresh_addresses().map_err(Into::into),
            Work::Totals => journal::record(history::Event::Sample, &[]).map_err(Into::into),
            Work::Listeners => refresh_listeners().map_err(Into::into),
            Work::Guard => self.keeper.guard().map(|is_suspicious| {
                if is_suspicious {
                    self.due.again(Work::Guard, Instant::now() + SUSPICION);
                }
            }),
            Work::Check => {
                match dataplane::secure_folders() {
                    Ok(said) => said.iter().for_each(|sentence| self.log.warning(sentence)),
                    Err(error) => self.log.error(error),
                }
                self.keeper.expire();
                // A change without an event, for example on a network file system.
                self.read(false);
                self.save_totals();
                let done = self.keeper.protect(Look::Tables).and_then(|()| self.keeper.forget_gone());
                done.and_then(|()| Ok(refresh_addresses()?)).and_then(|()| self.say_gone())
            }
        };
        if let Err(failure) = result {
            self.log.error(format!("{failure:#}"));
        }
        if matches!(work, Work::Read | Work::Check) {
            heap::give_back();
        }
        if work == Work::Check {
            self.instance.beat(self.why_not_applied().as_deref());
        }
        self.say_status();
    }

    fn say_status(&mut self) {
        let summary = self.keeper.summary().unwrap_or_else(|error| error.to_string());
        let text = match self.why_not_applied() {
            Some(trouble) => format!("{summary}; the site file is not applied: {trouble}"),
            None => summary,
        };
        let held: Vec<&str> = self.keeper.held().iter().map(String::as_str).collect();
        let text = if held.is_empty() { text } else { format!("{text}; mode held on {}", held.join(", ")) };
        self.systemd.status(&text);
    }

    /// Why the site file is not applied; `None`: it is.
    fn why_not_applied(&self) -> Option<String> {
        let refused = || self.keeper.has_refused().then(|| "its change was not confirmed".to_owned());
        self.trouble.clone().or_else(refused)
    }

    /// Removes the pins of network namespaces that no longer exist. Pins that cannot be removed are logged once.
    fn say_gone(&mut self) -> Result<(), Failure> {
        let said = dataplane::remove_gone()?;
        said.iter()
            .filter(|sentence| !self.told_of_gone.contains(sentence))
            .for_each(|sentence| self.log.info(sentence));
        self.told_of_gone = said;
        Ok(())
    }

    /// Saves the totals. A crash loses only what is counted after this.
    fn save_totals(&self) {
        match dataplane::protected(&[]).and_then(|protected| dataplane::save_totals(&protected)) {
            Ok(said) => said.iter().for_each(|sentence| self.log.warning(sentence)),
            Err(error) => self.log.error(format!("{:#}", anyhow::Error::from(error))),
        }
    }

    fn stop(mut self) -> Result<(), Failure> {
        self.systemd.stopping();
        self.save_totals();
        self.attempt(Work::Totals, false);
        if let Some(events) = self.events.take() {
            events.stop();
        }
        if !self.options.detach_on_exit {
            self.log.info("stopping; the active policy stays active");
            return Ok(());
        }
        let there: Vec<String> = dataplane::protected(&[])?.into_iter().map(|one| one.interface).collect();
        let ours: Vec<String> = there.into_iter().filter(|name| self.keeper.has_seen(name)).collect();
        if !ours.is_empty() {
            let entries = journal::before_detach(&ours).unwrap_or_default();
            for one in dataplane::detach(&ours)? {
                self.log.info(format!("{}: no longer protected", one.interface));
            }
            if let Err(error) = history::Log::default().append(&entries) {
                self.log.warning(format!("cannot write this change to the history: {:#}", anyhow::Error::from(error)));
            }
        }
        Ok(())
    }
}
