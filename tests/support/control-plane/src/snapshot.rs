//! etcd's data at one moment: copied while etcd is stopped, and put back.

use std::fs;
use std::path::Path;

use crate::{ControlPlane, Error};

impl ControlPlane {
    /// Copies etcd's data to `to`, which must not exist yet. etcd is stopped meanwhile, so the copy
    /// is the state that a crash at this moment would leave.
    pub fn save_etcd(&self, to: &Path) -> Result<(), Error> {
        self.pause_etcd()?;
        let copied = copy(&self.dir.join("etcd"), to);
        self.resume_etcd()?;
        copied
    }

    /// Stops both parts as a crash would, puts the copied data in the place of etcd's, and starts
    /// both. Revisions go back, as after any restore of a snapshot.
    pub async fn restore_etcd(&self, from: &Path) -> Result<(), Error> {
        self.stop_apiserver();
        self.stop_etcd();
        let data = self.dir.join("etcd");
        fs::remove_dir_all(&data).map_err(Error::io("remove", &data))?;
        copy(from, &data)?;
        self.start_etcd().await?;
        self.start_apiserver().await
    }
}

/// Files that are only reserved space are left out.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    crate::pki::private_dir(to)?;
    for entry in fs::read_dir(from).map_err(Error::io("read", from))? {
        let entry = entry.map_err(Error::io("read", from))?;
        let (path, copied) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &copied)?;
        } else if path.extension().is_none_or(|kind| kind != "tmp") {
            fs::copy(&path, &copied).map_err(Error::io("copy", &path))?;
        }
    }
    Ok(())
}
