//! Where events come from: signals, netlink, the file system. Each only says that something has changed; what it is now is looked
//! up when the work is done, so that a storm of events is one piece of work, and one that was lost is made good by the next.

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

/// Something has changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Event {
    /// The site file or the catalogue may be another.
    File,
    /// An interface has come, gone or changed.
    Links,
    /// Likewise an address.
    Addresses,
    /// SIGHUP: everything is to be looked at anew.
    Reload,
    /// SIGTERM or SIGINT.
    Stop,
}

/// Signals become events.
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

/// What the kernel tells about interfaces and addresses becomes events. A connection that broke, as one does on which too much
/// was to be told at once, is made anew.
pub(super) fn netlink(events: Sender<Event>, log: Log) {
    tokio::spawn(async move {
        loop {
            match follow(&events).await {
                Ok(()) => {}
                Err(error) => log.warning(format!("cannot follow the interfaces of this host: {error}; trying again")),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            // Whatever happened meanwhile.
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
    // What came before anybody listened.
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

/// Changes of the site file, and of a catalogue of the operator's own, become events. The folders are watched and not the
/// file: editors and tools write another file and rename it.
pub(super) fn files(
    site: &Path,
    catalogue: Option<&Path>,
    events: Sender<Event>,
) -> notify::Result<RecommendedWatcher> {
    // A link, such as into a folder that is swapped as a whole, changes in its own folder or where it leads.
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
            // Something was lost.
            Err(_) => true,
        };
        if is_change {
            // Nobody listens when the agent is about to end.
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

/// Reading is none, or reading the file would make us read it again.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}
