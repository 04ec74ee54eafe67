//! Whose sockets they are: processes by the inode of a socket.

use std::collections::HashMap;
use std::fmt;

use procfs::process::{FDTarget, Process as Proc, Stat};

/// A process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Process {
    /// Its number.
    pub id: i32,
    /// Its name, as `ps -o comm` prints it.
    pub name: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.id)
    }
}

/// Processes by the sockets they hold.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    by_inode: HashMap<u64, Process>,
}

impl Owners {
    /// Looks at the descriptors of every process. Those that we may not look at are left out, and so are their sockets.
    #[must_use]
    pub fn read() -> Self {
        let mut by_inode: HashMap<u64, Process> = HashMap::new();
        let processes = procfs::process::all_processes().into_iter().flatten().flatten();
        let mut holders: Vec<(Stat, Vec<u64>)> = processes
            .filter_map(|process| Some((process.stat().ok()?, socket_inodes(&process)?)))
            .filter(|(_, inodes)| !inodes.is_empty())
            .collect();
        // A parent comes before the child that shares its socket; by their numbers it need not, which start again at some time.
        holders.sort_by_key(|(stat, _)| (stat.starttime, stat.pid));
        for (stat, inodes) in holders {
            for inode in inodes {
                by_inode.entry(inode).or_insert_with(|| Process { id: stat.pid, name: stat.comm.clone() });
            }
        }
        Self { by_inode }
    }

    /// The process that holds a socket, where it is known.
    #[must_use]
    pub fn of(&self, inode: u64) -> Option<&Process> {
        self.by_inode.get(&inode)
    }
}

/// Inodes of the sockets that a process holds; `None`: we may not look at them.
pub(crate) fn socket_inodes(process: &Proc) -> Option<Vec<u64>> {
    let descriptors = process.fd().ok()?.flatten();
    let inode = |target| if let FDTarget::Socket(inode) = target { Some(inode) } else { None };
    Some(descriptors.filter_map(|descriptor| inode(descriptor.target)).collect())
}
