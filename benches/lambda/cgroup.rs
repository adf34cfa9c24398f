//! The CPU share that Lambda gives a function, by a control group of Linux: version 1 or 2, whichever the machine has.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io, process, thread};

use crate::support::engine::Result;

/// The memory, in MB, for which Lambda gives one whole core:
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
const ONE_CORE: u32 = 1_769;

/// A process that has used up its share waits for the next period, in microseconds.
const PERIOD: u32 = 20_000;

/// A control group with the CPU share of some memory. It is removed when this is dropped.
pub struct Share(PathBuf);

impl Share {
    /// A new group with the CPU share of so many MB.
    pub fn of(memory: u32) -> Result<Self> {
        let mounts = fs::read_to_string("/proc/mounts")?;
        let quota = (u64::from(PERIOD) * u64::from(memory) / u64::from(ONE_CORE)).to_string();
        let (root, limits) = match mount_point(&mounts, "cgroup", "cpu") {
            Some(root) => {
                (root, vec![("cpu.cfs_period_us", PERIOD.to_string()), ("cpu.cfs_quota_us", quota)])
            }
            None => {
                let root = mount_point(&mounts, "cgroup2", "rw").ok_or("control groups are not mounted")?;
                fs::write(root.join("cgroup.subtree_control"), "+cpu")?;
                (root, vec![("cpu.max", format!("{quota} {PERIOD}"))])
            }
        };
        let share = Self(root.join(format!("sessions-bench-{}-{memory}", process::id())));
        fs::create_dir(&share.0)?;
        for (file, limit) in limits {
            fs::write(share.0.join(file), limit)?;
        }
        Ok(share)
    }

    /// Puts a process with all its threads into the group.
    pub fn add(&self, process: u32) -> io::Result<()> {
        fs::write(self.members(), process.to_string())
    }

    /// The file to which a process writes its id to join the group.
    pub fn members(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }
}

impl Drop for Share {
    /// The kernel refuses until the last process of the group is gone.
    fn drop(&mut self) {
        for _ in 0..500 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        eprintln!("{} could not be removed", self.0.display());
    }
}

/// Where a file system of this kind is mounted with this option.
fn mount_point<'m>(mounts: &'m str, kind: &str, option: &str) -> Option<&'m Path> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, its_kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        (its_kind == kind && options.split(',').any(|each| each == option)).then(|| Path::new(point))
    })
}
