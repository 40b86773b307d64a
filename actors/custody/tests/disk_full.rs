//! A full disk: nothing is acknowledged that is not durable, a stop still is, and the store works on when there is room again.
//!
//! Needs a small tmpfs of its own, so it runs where mounting one is allowed and says so where it isn't.

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, process::Command, sync::Arc};

    use custody::{
        Error,
        key_table::{Stop, Stops},
        mac::NodeKey,
        names::{Generation, Version},
        shelf::{Owner, Shelf, StoredKey, TenantRow},
    };
    use orbital::names::{Deployment, Digest, Region, TenantId};

    const TENANT: TenantId = TenantId(Digest([1; 32]));

    /// A mounted tmpfs; unmounted at the end, failed test or not.
    struct Small(tempfile::TempDir);

    impl Small {
        fn mount() -> Option<Self> {
            let dir = tempfile::tempdir().unwrap();
            let mounted =
                Command::new("mount").args(["-t", "tmpfs", "-o", "size=12m", "tmpfs"]).arg(dir.path()).output();
            mounted.ok()?.status.success().then_some(Self(dir))
        }
        fn path(&self) -> &Path {
            self.0.path()
        }
    }

    impl Drop for Small {
        fn drop(&mut self) {
            // A test that is over has nobody to tell.
            drop(Command::new("umount").arg("-l").arg(self.0.path()).output());
        }
    }

    fn fill(path: &Path) {
        let mut bytes = 4 << 20;
        let mut filler = fs::File::create(path).unwrap();
        while bytes > 0 {
            if std::io::Write::write_all(&mut filler, &vec![1; bytes]).is_err() {
                bytes /= 2;
            }
        }
    }

    fn key(version: u64) -> StoredKey {
        StoredKey { version: Version(version), blob: vec![7; 512 * 1024] }
    }

    #[tokio::test]
    async fn a_full_disk_refuses_writes_keeps_stops_and_recovers() {
        let Some(small) = Small::mount() else {
            eprintln!("skipped: a tmpfs cannot be mounted here");
            return;
        };
        let node_key = Arc::new(NodeKey::load_or_create(&small.path().join("node.key")).unwrap());
        let owner = || Owner { deployment: Deployment::new("test").unwrap(), region: Region::new("eu").unwrap() };
        let open = || Shelf::open(&small.path().join("store"), owner(), node_key.clone()).unwrap();
        let shelf = open();
        shelf.provision(TENANT, TenantRow::default()).await.unwrap();
        shelf.put_key(&TENANT, None, key(1)).await.unwrap();

        fill(&small.path().join("filler"));
        let mut last = 1;
        let refused = loop {
            match shelf.put_key(&TENANT, None, key(last + 1)).await {
                Ok(_) if last < 100 => last += 1,
                answer => break answer.err(),
            }
        };
        assert!(
            matches!(&refused, Some(why @ Error::Store { .. }) if why.to_string().contains("free space")),
            "{refused:?}"
        );
        let killed = TenantRow {
            generation: Generation(1),
            stops: Stops::default().with(Stop::Killed).0,
            ..TenantRow::default()
        };
        shelf.entomb(&TENANT, &killed).expect("a stop needs no room");

        fs::remove_file(small.path().join("filler")).unwrap();
        assert_eq!(
            shelf.newest_key(&TENANT, None).unwrap().map(|key| key.version),
            Some(Version(last)),
            "what was acknowledged is there"
        );
        shelf.put_key(&TENANT, None, key(last + 1)).await.expect("there is room again");
        shelf.close().await;
        drop(shelf);
        let again = open();
        assert_eq!(again.newest_key(&TENANT, None).unwrap().map(|key| key.version), Some(Version(last + 1)));
        let row = again.tenants().unwrap().remove(&TENANT).unwrap();
        assert!(Stops(row.stops).holds(Stop::Killed), "the stop survived");
    }
}
