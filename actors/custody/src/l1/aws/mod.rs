//! AWS KMS as an L1: DescribeKey, Encrypt and Decrypt, each with an encryption context, as the region's own principal.
//!
//! The SDK signs, retries and times out within the limits named here; [`classify`] says what an error means. A refusal by policy is
//! FORBIDDEN only after STS GetCallerIdentity, which no policy of a key can deny, has succeeded with the same credential (PROTOCOL §4).
//! The SDK's own request and response buffers hold the plaintext for the length of a call and are not wiped: what is wrapped here is a
//! tenant key of this region, and root of this host is trusted for it (PROTOCOL §1).

mod attempts;
mod classify;
mod credentials;
mod role;

use std::{sync::Arc, time::Duration};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::{
    config::{BehaviorVersion, retry::RetryConfig, timeout::TimeoutConfig},
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    primitives::Blob,
    types::{KeyMetadata, KeySpec, KeyUsageType},
};
use orbital::names::KeyRef;

use self::{
    attempts::Attempts,
    classify::{Verdict, classify, key_state},
};
use super::{Answer, Context, Described, Development, Fault, L1, L1Error, Plain, State, calls::Calls};

pub use credentials::AwsCredentials;
pub use role::AwsRole;

const PROVIDER: &str = "aws-kms";

/// To a TCP and TLS connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Of one attempt, from the first byte sent to the last received.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// Of an operation with all its attempts.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(8);
/// Attempts of one operation, the first included; the region tries again later by its own schedule.
const ATTEMPTS_MAX: u32 = 3;
/// First wait between two attempts; it doubles, with jitter.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);

/// Where the customer's KMS is and who asks it.
pub struct AwsOptions {
    /// The AWS region of the key, such as `eu-central-1`.
    pub region: String,
    /// KMS endpoint instead of the region's public one: a VPC endpoint, or a test server. `https://`, or with `development` `http://`.
    pub endpoint: Option<String>,
    /// STS endpoint, likewise; [`AwsOptions::endpoint`] does not stand in for it.
    pub identity_endpoint: Option<String>,
    /// The region's own identity.
    pub credentials: AwsCredentials,
    /// What it becomes before it asks; `None` asks as itself.
    pub role: Option<AwsRole>,
    /// Who writes down what was asked.
    pub calls: Arc<dyn Calls>,
    pub development: Option<Development>,
}

/// AWS KMS as one principal sees it. Cheap to share, holds no key.
pub struct Aws {
    kms: aws_sdk_kms::Client,
    sts: aws_sdk_sts::Client,
    calls: Arc<dyn Calls>,
}

impl Aws {
    /// Sets the clients up; no call is made yet.
    ///
    /// # Errors
    /// [`L1Error::Setup`] for a credential file that can't be read, or a role that is none; [`L1Error::NotDevelopment`] for an endpoint without TLS.
    pub async fn connect(options: AwsOptions) -> Result<Self, L1Error> {
        for endpoint in [&options.endpoint, &options.identity_endpoint].into_iter().flatten() {
            check_endpoint(endpoint, options.development)?;
        }
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(aws_config::Region::new(options.region))
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX).with_initial_backoff(BACKOFF_FIRST))
            .timeout_config(timeouts());
        if let Some(provider) = options.credentials.provider()? {
            loader = loader.credentials_provider(provider);
        }
        let own = loader.load().await;
        let shared = match options.role {
            Some(role) => role.assumed(&own, options.identity_endpoint.clone()).await?,
            None => own,
        };
        let mut kms = aws_sdk_kms::config::Builder::from(&shared);
        kms.set_endpoint_url(options.endpoint);
        let mut sts = aws_sdk_sts::config::Builder::from(&shared);
        sts.set_endpoint_url(options.identity_endpoint);
        Ok(Self {
            kms: aws_sdk_kms::Client::from_conf(kms.build()),
            sts: aws_sdk_sts::Client::from_conf(sts.build()),
            calls: options.calls,
        })
    }

    async fn metadata(&self, key: &KeyRef) -> Result<KeyMetadata, Refused> {
        let call = self.kms.describe_key().key_id(key.as_str()).customize();
        let told = call.interceptor(Attempts::new(&self.calls, "DescribeKey", key, None));
        let answer = told.send().await.map_err(refused)?;
        answer.key_metadata.ok_or_else(|| undocumented("DescribeKey without KeyMetadata"))
    }

    /// Turns what KMS said into what it means, asking it once more where one answer does not tell.
    async fn meaning(&self, key: &KeyRef, refused: Refused) -> L1Error {
        let Refused { verdict, why } = refused;
        let key = key.clone();
        match verdict {
            Verdict::Stop(stop) => L1Error::Stopped { provider: PROVIDER, key, stop, why },
            Verdict::Fault(fault) => L1Error::Unreachable { provider: PROVIDER, key, fault, why },
            Verdict::Mismatch => L1Error::Mismatch { provider: PROVIDER, key, why },
            Verdict::Unfit => L1Error::Unfit { provider: PROVIDER, key, why },
            Verdict::AskIdentity => self.denied(key, why).await,
            Verdict::AskState => self.invalid_state(key, why).await,
        }
    }

    async fn denied(&self, key: KeyRef, why: Box<str>) -> L1Error {
        match self.sts.get_caller_identity().send().await {
            Ok(_) => L1Error::Stopped { provider: PROVIDER, key, stop: super::Stop::Forbidden, why },
            Err(error) => {
                let why = format!("{why}; and the identity call failed: {}", DisplayErrorContext(&error)).into();
                L1Error::Unreachable { provider: PROVIDER, key, fault: Fault::Credential, why }
            }
        }
    }

    /// A key whose state forbids the operation. Where DescribeKey itself is denied, that denial is the answer.
    async fn invalid_state(&self, key: KeyRef, why: Box<str>) -> L1Error {
        let state = match self.metadata(&key).await {
            Ok(metadata) => state_of(&metadata),
            Err(Refused { verdict: Verdict::Stop(stop), .. }) => stop.state(),
            Err(Refused { verdict: Verdict::AskIdentity, why }) => return self.denied(key, why).await,
            Err(_) => State::Unreachable,
        };
        match state.stop() {
            Some(stop) => L1Error::Stopped { provider: PROVIDER, key, stop, why },
            None => L1Error::Unreachable { provider: PROVIDER, key, fault: Fault::Server, why },
        }
    }
}

impl L1 for Aws {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn describe<'a>(&'a self, key: &'a KeyRef) -> Answer<'a, Described> {
        Box::pin(async move {
            match self.metadata(key).await {
                Ok(metadata) => described(key, &metadata),
                Err(refused) => Err(self.meaning(key, refused).await),
            }
        })
    }

    fn wrap<'a>(&'a self, key: &'a KeyRef, context: &'a Context, plain: &'a [u8]) -> Answer<'a, Vec<u8>> {
        Box::pin(async move {
            super::check_plain(PROVIDER, key, plain)?;
            let mut call = self.kms.encrypt().key_id(key.as_str()).plaintext(Blob::new(plain));
            for (name, value) in context.pairs() {
                call = call.encryption_context(name, value);
            }
            let told = call.customize().interceptor(Attempts::new(&self.calls, "Encrypt", key, Some(context)));
            let answer = told.send().await.map_err(refused);
            match answer.and_then(|a| a.ciphertext_blob.ok_or_else(|| undocumented("Encrypt without CiphertextBlob"))) {
                Ok(wrapped) => Ok(wrapped.into_inner()),
                Err(refused) => Err(self.meaning(key, refused).await),
            }
        })
    }

    fn unwrap<'a>(&'a self, key: &'a KeyRef, context: &'a Context, wrapped: &'a [u8]) -> Answer<'a, Plain> {
        Box::pin(async move {
            super::check_wrapped(PROVIDER, key, wrapped)?;
            let mut call = self.kms.decrypt().key_id(key.as_str()).ciphertext_blob(Blob::new(wrapped));
            for (name, value) in context.pairs() {
                call = call.encryption_context(name, value);
            }
            let told = call.customize().interceptor(Attempts::new(&self.calls, "Decrypt", key, Some(context)));
            let answer = told.send().await.map_err(refused);
            match answer.and_then(|a| a.plaintext.ok_or_else(|| undocumented("Decrypt without Plaintext"))) {
                Ok(plain) => Ok(Plain::new(plain.into_inner())),
                Err(refused) => Err(self.meaning(key, refused).await),
            }
        })
    }
}

/// What one call came back with instead of an answer.
struct Refused {
    verdict: Verdict,
    why: Box<str>,
}

fn refused<E>(error: SdkError<E>) -> Refused
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let status = error.raw_response().map(|raw| raw.status().as_u16());
    if let (None, Some(why)) = (status, unidentified(&error)) {
        return Refused { verdict: Verdict::Fault(Fault::Credential), why };
    }
    let verdict = classify(error.code(), status);
    let why = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => DisplayErrorContext(&error).to_string(),
    };
    Refused { verdict, why: why.into() }
}

/// Why nothing was asked, where there is no credential to ask with: a role that was refused, a chain that found none. In the errors' own
/// words and without their contents, which are an answer of STS's.
fn unidentified(error: &(dyn std::error::Error + 'static)) -> Option<Box<str>> {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    let found = causes.find(|cause| cause.is::<CredentialsError>())?;
    if matches!(found.downcast_ref(), Some(CredentialsError::ProviderTimedOut(_))) {
        return None;
    }
    let words: Vec<String> =
        std::iter::successors(Some(found), |error| error.source()).map(ToString::to_string).collect();
    Some(words.join(": ").into())
}

fn undocumented(why: &str) -> Refused {
    Refused { verdict: Verdict::Fault(Fault::Unknown), why: why.into() }
}

fn state_of(metadata: &KeyMetadata) -> State {
    metadata.key_state.as_ref().map_or(State::Unreachable, |state| key_state(state.as_str()))
}

fn described(key: &KeyRef, metadata: &KeyMetadata) -> Result<Described, L1Error> {
    let unfit = |why: String| L1Error::unfit(PROVIDER, key, why);
    if metadata.key_usage.as_ref().is_some_and(|usage| *usage != KeyUsageType::EncryptDecrypt)
        || metadata.key_spec.as_ref().is_some_and(|spec| *spec != KeySpec::SymmetricDefault)
    {
        return Err(unfit(format!("its usage is {:?} and its spec {:?}", metadata.key_usage, metadata.key_spec)));
    }
    let arn = metadata.arn.as_deref().ok_or_else(|| unfit("DescribeKey names no ARN".to_owned()))?;
    let resolved = KeyRef::new(arn).map_err(|bad| unfit(bad.to_string()))?;
    Ok(Described { state: state_of(metadata), resolved })
}

fn check_endpoint(endpoint: &str, development: Option<Development>) -> Result<(), L1Error> {
    if endpoint.starts_with("https://") || (endpoint.starts_with("http://") && development.is_some()) {
        return Ok(());
    }
    if endpoint.starts_with("http://") {
        return Err(L1Error::NotDevelopment { what: "an AWS endpoint without TLS" });
    }
    Err(L1Error::setup(PROVIDER, format!("its endpoint `{endpoint}` is no address: write https://HOST[:PORT]")))
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> KeyRef {
        KeyRef::new("alias/acme").unwrap()
    }

    #[test]
    fn http_needs_development_and_anything_else_a_scheme() {
        let development = Development::proven(true, "a test").ok();
        assert!(check_endpoint("https://kms.example", None).is_ok());
        assert!(check_endpoint("http://localhost:1", development).is_ok());
        assert!(matches!(check_endpoint("http://localhost:1", None), Err(L1Error::NotDevelopment { .. })));
        assert!(matches!(check_endpoint("localhost:1", development), Err(L1Error::Setup { .. })));
    }

    #[test]
    fn a_signing_key_is_no_l1() {
        let metadata = |usage, spec| {
            let built = KeyMetadata::builder().key_id("1").arn("arn:aws:kms:eu-central-1:1:key/1");
            built.key_state("Enabled".into()).key_usage(usage).key_spec(spec).build().unwrap()
        };
        let good = described(&key(), &metadata(KeyUsageType::EncryptDecrypt, KeySpec::SymmetricDefault)).unwrap();
        assert_eq!(good.resolved.as_str(), "arn:aws:kms:eu-central-1:1:key/1");
        assert_eq!(good.state, State::Enabled);
        let signing = described(&key(), &metadata(KeyUsageType::SignVerify, KeySpec::EccNistP256));
        assert!(matches!(signing, Err(L1Error::Unfit { .. })));
        let rsa = described(&key(), &metadata(KeyUsageType::EncryptDecrypt, KeySpec::Rsa2048));
        assert!(matches!(rsa, Err(L1Error::Unfit { .. })));
    }
}
