//! The region's book of what customers' KMS were asked: its audit log, beside what clients asked.

use std::{fs, path::Path, sync::Arc};

use custody::{
    clock::Clock,
    l1::calls::{Call, Calls},
};
use kmip_server::audit;

use crate::fault::RunError;

pub(crate) struct Book {
    pub(crate) audit: Arc<audit::Log>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Book {
    /// Opens the log of a region's store.
    pub(crate) fn open(store: &Path, clock: Arc<dyn Clock>) -> Result<Arc<Self>, RunError> {
        fs::create_dir_all(store).map_err(|why| RunError::Unreadable { path: store.to_owned(), why })?;
        let log = audit::Log::open(&store.join("audit.jsonl")).map_err(|e| RunError::Audit(e.to_string()))?;
        Ok(Arc::new(Self { audit: Arc::new(log), clock }))
    }
}

impl Calls for Book {
    fn called(&self, call: &Call<'_>) {
        self.audit.asked(self.clock.wall_ms(), call);
    }
}
