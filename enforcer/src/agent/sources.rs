//! Sources of events: signals, netlink, the file system. An event only says that something has changed. The worker reads the
//! current state itself, so many events cause one piece of work, and a lost event does no harm once the next one comes.

use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::time::Duration;

use futures_util::StreamExt as _;
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::{MulticastGroup, new_multicast_connection};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::log::Log;

/// A change that the worker should look at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Event {
    /// The site file or the catalogue may have changed.
    File,
    /// An interface was added, removed or changed.
    Links,
    /// An address was added, removed or changed.
    Addresses,
    /// SIGHUP: read and check everything again.
    Reload,
    /// SIGTERM or SIGINT: stop.
    Stop,
}

/// Turns signals into events.
pub(super) fn signals(events: &Sender<Event>) -> std::io::Result<()> {
    for (kind, event) in [
        (SignalKind::hangup(), Event::Reload),
        (SignalKind::terminate(), Event::Stop),
        (SignalKind::interrupt(), Event::Stop),
    ] {
        let mut stream: Signal = signal(kind)?;
        let events = events.clone();
        tokio::spawn(async move { while stream.recv().await.is_some() && events.send(event).is_ok() {} });
    }
    Ok(())
}

/// Turns the kernel's messages about interfaces and addresses into events. Opens a new netlink socket when the old one fails, for
/// example because it overflowed.
pub(super) fn netlink(events: Sender<Event>, log: Log) {
    tokio::spawn(async move {
        loop {
            match follow(&events).await {
                Ok(()) => {}
                Err(error) => log.warning(format!("cannot follow the interfaces of this host: {error}; trying again")),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            // Changes may have been missed while there was no socket.
            if events.send(Event::Links).and_then(|()| events.send(Event::Addresses)).is_err() {
                return;
            }
        }
    });
}

async fn follow(events: &Sender<Event>) -> std::io::Result<()> {
    let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
    let (connection, _handle, mut messages) = new_multicast_connection(&groups)?;
    tokio::spawn(connection);
    // Changes from before the socket was opened.
    let mut is_open = events.send(Event::Links).is_ok();
    while let (true, Some((message, _))) = (is_open, messages.next().await) {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the groups carry nothing else")]
        let event = match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(_) | RouteNetlinkMessage::DelLink(_)) => {
                Event::Links
            }
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(_) | RouteNetlinkMessage::DelAddress(_)) => {
                Event::Addresses
            }
            _ => continue,
        };
        is_open = events.send(event).is_ok();
    }
    Ok(())
}

/// Turns changes of the site file, and of the operator's own catalogue, into events. Watches the folders instead of the files,
/// because editors and tools write a new file and rename it.
pub(super) fn files(
    site: &Path,
    catalogue: Option<&Path>,
    events: Sender<Event>,
) -> notify::Result<RecommendedWatcher> {
    // A symbolic link changes in its own folder or at its target, for example when the target folder is replaced as a whole.
    let places: Vec<PathBuf> = [Some(site.to_owned()), site.canonicalize().ok()].into_iter().flatten().collect();
    let names: Vec<_> = places.iter().filter_map(|place| place.file_name().map(ToOwned::to_owned)).collect();
    let below = catalogue.map(|path| path.canonicalize().unwrap_or_else(|_| path.to_owned()));
    let is_meant = {
        let below = below.clone();
        move |path: &PathBuf| {
            path.file_name().is_some_and(|name| names.iter().any(|one| one == name))
                || below.as_ref().is_some_and(|below| path.starts_with(below))
        }
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let is_change = match event {
            Ok(event) => is_change(event.kind) && event.paths.iter().any(&is_meant),
            // The watcher lost events.
            Err(_) => true,
        };
        if is_change {
            // The receiver is gone when the agent stops.
            let _ = events.send(Event::File);
        }
    })?;
    let mut folders: Vec<&Path> = places.iter().filter_map(|place| place.parent()).collect();
    folders.dedup();
    for folder in folders {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    if let Some(below) = &below {
        watcher.watch(below, RecursiveMode::Recursive)?;
    }
    Ok(watcher)
}

/// Whether an event of the watcher means a change. Reading is not a change: otherwise reading the file would trigger another read.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}
