//! Tells each attempt of one operation at AWS KMS, also those that the SDK repeats by itself.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use aws_sdk_kms::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef},
    },
    error::{BoxError, ProvideErrorMetadata},
    operation::{RequestId, decrypt::DecryptError, describe_key::DescribeKeyError, encrypt::EncryptError},
};
use orbital::names::KeyRef;

use super::PROVIDER;
use crate::l1::{
    Context,
    calls::{Call, Calls, GRANTED, UNANSWERED},
};

/// One operation under way.
pub(super) struct Attempts {
    calls: Arc<dyn Calls>,
    operation: &'static str,
    key: KeyRef,
    context: Option<Context>,
    /// An attempt went out and was not told yet.
    open: AtomicBool,
}

impl Attempts {
    pub(super) fn new(
        calls: &Arc<dyn Calls>,
        operation: &'static str,
        key: &KeyRef,
        context: Option<&Context>,
    ) -> Self {
        let (calls, open) = (calls.clone(), AtomicBool::new(false));
        Self { calls, operation, key: key.clone(), context: context.cloned(), open }
    }

    /// Tells the attempt that is open, if one is.
    fn close(&self, request: Option<&str>, outcome: &str) {
        if self.open.swap(false, Ordering::SeqCst) {
            let (key, context) = (&self.key, self.context.as_ref());
            self.calls.called(&Call { provider: PROVIDER, operation: self.operation, key, context, request, outcome });
        }
    }
}

impl fmt::Debug for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempts").field("operation", &self.operation).field("key", &self.key).finish_non_exhaustive()
    }
}

/// An operation that was given up while an attempt was out (its time was over) has had no answer.
impl Drop for Attempts {
    fn drop(&mut self) {
        self.close(None, UNANSWERED);
    }
}

impl Intercept for Attempts {
    fn name(&self) -> &'static str {
        "attempts"
    }

    /// Only what is signed and about to be sent is an attempt: without a credential nothing is asked.
    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.open.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(response) = context.response() else {
            self.close(None, UNANSWERED);
            return Ok(());
        };
        let request = response.request_id();
        match context.output_or_error() {
            Some(Ok(_)) => self.close(request, GRANTED),
            Some(Err(error)) => {
                let code = error.as_operation_error().and_then(|error| {
                    let described = error.downcast_ref::<DescribeKeyError>().and_then(|e| e.code());
                    let encrypted = || error.downcast_ref::<EncryptError>().and_then(|e| e.code());
                    described.or_else(encrypted).or_else(|| error.downcast_ref::<DecryptError>().and_then(|e| e.code()))
                });
                let status = format!("HTTP {}", response.status().as_u16());
                self.close(request, code.unwrap_or(&status));
            }
            None => self.close(request, UNANSWERED),
        }
        Ok(())
    }
}
