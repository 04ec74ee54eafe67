//! Whose sockets they are: processes by the inode of a socket.

use std::collections::HashMap;
use std::fmt;

use procfs::process::{FDTarget, Process as Proc};

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
        for process in processes {
            let inodes = socket_inodes(&process).unwrap_or_default();
            if inodes.is_empty() {
                continue;
            }
            let Ok(stat) = process.stat() else { continue };
            for inode in inodes {
                let owner = Process { id: stat.pid, name: stat.comm.clone() };
                // Processes come in the order of their numbers, so a parent is before the child that shares its socket.
                by_inode.entry(inode).or_insert(owner);
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
