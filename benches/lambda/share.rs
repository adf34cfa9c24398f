//! The CPU share that Lambda gives a function, by a control group of Linux: version 1 or 2, whichever the machine has.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use crate::Result;

/// The memory, in MB, for which Lambda gives one whole core:
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
pub const ONE_CORE: u32 = 1_769;

/// A process that has used up its share waits for the next period, in microseconds.
const PERIOD: u32 = 20_000;

/// A control group with the CPU share of some memory. It is removed when this is dropped.
pub struct Share {
    folder: PathBuf,
}

impl Share {
    /// A new group with the CPU share of so many MB.
    ///
    /// # Errors
    /// The machine does not let us make one.
    pub fn of(memory: u32) -> Result<Self> {
        let mounts = fs::read_to_string("/proc/mounts")?;
        let name = format!("sessions-bench-{}-{memory}", std::process::id());
        let quota = u64::from(PERIOD) * u64::from(memory) / u64::from(ONE_CORE);
        if let Some(root) = version_1(&mounts) {
            let quota = [("cpu.cfs_period_us", PERIOD.to_string()), ("cpu.cfs_quota_us", quota.to_string())];
            return Self::new(root.join(name), &quota);
        }
        let root = version_2(&mounts).ok_or("the CPU controller is not mounted")?;
        fs::write(root.join("cgroup.subtree_control"), "+cpu")?;
        Self::new(root.join(name), &[("cpu.max", format!("{quota} {PERIOD}"))])
    }

    fn new(folder: PathBuf, settings: &[(&str, String)]) -> Result<Self> {
        fs::create_dir(&folder)?;
        let share = Self { folder };
        for (file, value) in settings {
            fs::write(share.folder.join(file), value)?;
        }
        Ok(share)
    }

    /// Puts a process with all its threads into the group.
    pub fn add(&self, process: u32) -> io::Result<()> {
        fs::write(self.members(), process.to_string())
    }

    /// The file to which a process writes its id to join the group.
    pub fn members(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }
}

impl Drop for Share {
    /// The kernel refuses until the last process of the group is gone.
    fn drop(&mut self) {
        for _ in 0..500 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            sleep(Duration::from_millis(10));
        }
        eprintln!("{} could not be removed", self.folder.display());
    }
}

/// The mount point of version 1's CPU controller.
fn version_1(mounts: &str) -> Option<PathBuf> {
    mount_point(mounts, |kind, options| kind == "cgroup" && options.split(',').any(|option| option == "cpu"))
}

/// The mount point of version 2, where the CPU controller can be used.
fn version_2(mounts: &str) -> Option<PathBuf> {
    let root = mount_point(mounts, |kind, _| kind == "cgroup2")?;
    let controllers = fs::read_to_string(root.join("cgroup.controllers")).ok()?;
    controllers.split_whitespace().any(|controller| controller == "cpu").then_some(root)
}

fn mount_point(mounts: &str, is_wanted: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (point, kind, options) = (fields.nth(1)?, fields.next()?, fields.next()?);
        is_wanted(kind, options).then(|| Path::new(point).into())
    })
}
