//! Interfaces that stand on one of this namespace and belong to somebody else: macvlan, ipvlan and VLAN devices in the network
//! namespaces of containers, and macvtap devices of virtual machines. Their packets come by our interface and are not this host's.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::thread;

use futures_util::{StreamExt as _, TryStreamExt as _};
use nix::sched::{CloneFlags, setns};
use rtnetlink::packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage};
use rtnetlink::packet_route::nsid::{NsidAttribute, NsidMessage};

use super::{Link, LinksError, ask};

/// An interface of somebody else that stands on one of ours.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Child {
    /// Index of the interface that it stands on, in this namespace.
    pub lower: u32,
    /// Its name, where it is.
    pub name: String,
    /// `macvlan`, `ipvlan` and so on.
    pub kind: String,
    /// Where it is: a name below `/run/netns`, or a process; `None`: in this namespace, for a virtual machine.
    pub place: Option<String>,
}

/// Every such interface, as far as it can be seen: namespaces that cannot be entered are left out.
#[must_use]
pub fn children(own: &[Link]) -> Vec<Child> {
    let mut found: Vec<Child> = own.iter().filter_map(of_this_namespace).collect();
    let Ok(here) = File::open("/proc/thread-self/ns/net") else { return found };
    let Ok(inode) = here.metadata().map(|meta| meta.ino()) else { return found };
    for (_, (path, place)) in namespaces().into_iter().filter(|(other, _)| *other != inode) {
        let Ok(there) = File::open(path) else { continue };
        // A thread of its own: the namespace of this one stays what it is.
        let look = || {
            setns(there.as_fd(), CloneFlags::CLONE_NEWNET).ok()?;
            in_namespace(&here).ok()
        };
        let all = thread::scope(|scope| scope.spawn(look).join().ok().flatten());
        for (lower, name, kind) in all.into_iter().flatten() {
            // The names are somebody else's, and may hold anything.
            let name = name.escape_debug().to_string();
            found.push(Child { lower, name, kind, place: Some(place.escape_debug().to_string()) });
        }
    }
    found.sort();
    found
}

/// A virtual machine has the other end of a macvtap device.
fn of_this_namespace(link: &Link) -> Option<Child> {
    let kind = link.kind.as_ref().filter(|kind| matches!(kind, InfoKind::MacVtap | InfoKind::IpVtap))?;
    Some(Child { lower: link.lower?, name: link.name.clone(), kind: kind.to_string(), place: None })
}

/// Network namespaces by inode number, each with a path by which it can be entered and a word for it.
fn namespaces() -> BTreeMap<u64, (PathBuf, String)> {
    let mut found = BTreeMap::new();
    let mut add = |path: PathBuf, place: String| {
        if let Ok(meta) = fs::metadata(&path) {
            found.entry(meta.ino()).or_insert((path, place));
        }
    };
    // Named ones first: `ip netns add`, and what container engines mount.
    for folder in ["/run/netns", "/run/docker/netns"] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            add(entry.path(), format!("the network namespace {name}"));
        }
    }
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        add(entry.path().join("ns/net"), format!("the network namespace of process {id} ({})", name.trim()));
    }
    found
}

/// Interfaces of the namespace of this thread that stand on one of another: index below, name and kind.
fn in_namespace(other: &File) -> Result<Vec<(u32, String, String)>, LinksError> {
    let messages =
        ask("its interfaces", |handle| async move { handle.link().get().execute().try_collect::<Vec<_>>().await })?;
    let above: Vec<_> = messages.into_iter().filter_map(of_another).collect();
    if above.is_empty() {
        return Ok(Vec::new());
    }
    let id = id_of(other)?;
    Ok(above
        .into_iter()
        .filter(|(netns, ..)| Some(*netns) == id)
        .map(|(_, lower, name, kind)| (lower, name, kind))
        .collect())
}

/// Number of the namespace below, index there, name and kind of an interface that stands on one of another namespace.
#[expect(clippy::wildcard_enum_match_arm, reason = "the kernel tells much more than is asked for here")]
fn of_another(message: LinkMessage) -> Option<(i32, u32, String, String)> {
    let (mut netns, mut lower, mut name, mut kind) = (None, None, String::new(), None);
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::LinkNetNsId(id) => netns = Some(id),
            LinkAttribute::Link(index) => lower = Some(index),
            LinkAttribute::IfName(text) => name = text,
            LinkAttribute::LinkInfo(infos) => {
                kind = infos.into_iter().find_map(|one| if let LinkInfo::Kind(kind) = one { Some(kind) } else { None });
            }
            _ => {}
        }
    }
    let kind = kind.filter(|kind| {
        matches!(
            kind,
            InfoKind::MacVlan
                | InfoKind::MacVtap
                | InfoKind::IpVlan
                | InfoKind::IpVtap
                | InfoKind::Vlan
                | InfoKind::MacSec
        )
    })?;
    Some((netns?, lower?, name, kind.to_string()))
}

/// The number by which the namespace of this thread knows another one.
fn id_of(other: &File) -> Result<Option<i32>, LinksError> {
    let mut message = NsidMessage::default();
    message.attributes.push(NsidAttribute::Fd(u32::try_from(other.as_raw_fd()).unwrap_or(u32::MAX)));
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetNsId(message));
    request.header.flags = NLM_F_REQUEST;
    ask("the number of a network namespace", |mut handle| async move {
        let mut answers = handle.request(request)?;
        while let Some(answer) = answers.next().await {
            if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNsId(found)) = answer.payload {
                let id = |one: &NsidAttribute| if let NsidAttribute::Id(id) = one { Some(*id) } else { None };
                return Ok(found.attributes.iter().find_map(id));
            }
        }
        Ok(None)
    })
}

/// A sentence about it: "the macvlan device c0 in the network namespace web".
impl std::fmt::Display for Child {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, kind, place, .. } = self;
        match place {
            Some(place) => write!(formatter, "the {kind} device {name} in {place}"),
            None => write!(formatter, "the {kind} device {name} of a virtual machine"),
        }
    }
}
