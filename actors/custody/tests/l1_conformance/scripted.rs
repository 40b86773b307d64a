//! An AWS endpoint that answers from a script: the faults that PROTOCOL §4 keeps apart from a refusal, one by one.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use custody::l1::{
    Aws, AwsCredentials, AwsOptions, AwsRole, Development, Fault, L1, L1Error, State, Stop,
    calls::{Call, Calls},
};
use orbital::names::KeyRef;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use zeroize::Zeroizing;

use crate::suite::{context, unreachable};

/// What the endpoint answers to any KMS call, and to the identity call.
#[derive(Clone, Copy)]
struct Script {
    kms: (u16, &'static str),
    /// What DescribeKey gets, where it is to be told apart.
    describe: Option<(u16, &'static str)>,
    sts: (u16, &'static str),
}

const KNOWN: (u16, &str) = (
    200,
    "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::1:user/fra</Arn></GetCallerIdentityResult>\
     </GetCallerIdentityResponse>",
);
const UNKNOWN: (u16, &str) =
    (403, "<ErrorResponse><Error><Code>InvalidClientTokenId</Code><Message>no</Message></Error></ErrorResponse>");
const DENIED: (u16, &str) = (400, r#"{"__type":"AccessDeniedException","message":"no"}"#);
const INVALID_STATE: (u16, &str) = (400, r#"{"__type":"KMSInvalidStateException","message":"not now"}"#);

/// Numbers requests, as a KMS does.
static ASKED: AtomicUsize = AtomicUsize::new(0);

struct Endpoint {
    url: String,
    kms_calls: Arc<AtomicUsize>,
}

async fn play(script: Script) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let kms_calls = Arc::new(AtomicUsize::new(0));
    let counted = kms_calls.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, script, counted.clone()));
        }
    });
    Endpoint { url, kms_calls }
}

async fn answer(stream: TcpStream, script: Script, kms_calls: Arc<AtomicUsize>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut target, mut length) = (String::new(), 0_usize);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let Some((name, value)) = line.trim().split_once(": ") else {
                if line.trim().is_empty() { break } else { continue }
            };
            match name.to_ascii_lowercase().as_str() {
                "x-amz-target" => target = value.to_owned(),
                "content-length" => length = value.parse().ok()?,
                _ => {}
            }
        }
        stream.read_exact(&mut vec![0; length]).await.ok()?;
        let number = ASKED.fetch_add(1, Ordering::SeqCst);
        let (status, body) = match (target.as_str(), script.describe) {
            ("", _) => script.sts,
            ("TrentService.DescribeKey", Some(describe)) => describe,
            _ => {
                kms_calls.fetch_add(1, Ordering::SeqCst);
                script.kms
            }
        };
        let head = format!(
            "HTTP/1.1 {status} Scripted\r\nx-amzn-RequestId: r-{number}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.ok()?;
    }
}

async fn aws(endpoint: &str) -> Aws {
    aws_as(endpoint, None).await
}

async fn aws_as(endpoint: &str, role: Option<AwsRole>) -> Aws {
    aws_told(endpoint, role, Arc::new(())).await
}

async fn aws_told(endpoint: &str, role: Option<AwsRole>, calls: Arc<dyn Calls>) -> Aws {
    let secret = Zeroizing::new("secret".to_owned());
    let options = AwsOptions {
        region: "eu-central-1".to_owned(),
        endpoint: Some(endpoint.to_owned()),
        identity_endpoint: Some(endpoint.to_owned()),
        credentials: AwsCredentials::Opened { access_key: "AKIA".to_owned(), secret, session: None },
        role,
        calls,
        development: Development::proven(true, "a test").ok(),
    };
    Aws::connect(options).await.unwrap()
}

fn key() -> KeyRef {
    KeyRef::new("arn:aws:kms:eu-central-1:1:key/1").unwrap()
}

async fn fault_of(kms: (u16, &'static str)) -> Fault {
    let endpoint = play(Script { kms, describe: None, sts: KNOWN }).await;
    unreachable(&aws(&endpoint.url).await, &key()).await
}

#[tokio::test]
async fn a_fault_of_the_world_is_never_a_stop() {
    assert_eq!(fault_of((400, r#"{"__type":"ThrottlingException","message":"slow"}"#)).await, Fault::Throttled);
    assert_eq!(fault_of((500, r#"{"__type":"KMSInternalException","message":"oh"}"#)).await, Fault::Server);
    assert_eq!(fault_of((503, "<html>busy</html>")).await, Fault::Server);
    assert_eq!(fault_of((403, "<html>a proxy's page</html>")).await, Fault::Unknown);
    assert_eq!(fault_of((400, r#"{"__type":"UnrecognizedClientException","message":"who"}"#)).await, Fault::Credential);
    assert_eq!(fault_of((400, r#"{"__type":"InvalidSignatureException","message":"no"}"#)).await, Fault::Signature);
    assert_eq!(fault_of((400, r#"{"__type":"SomethingNewException","message":"?"}"#)).await, Fault::Unknown);
}

/// Success in a form that is none.
#[tokio::test]
async fn a_malformed_answer_is_a_fault() {
    for body in ["", "{}", "<html>", r#"{"KeyMetadata":{"KeyId":7}}"#] {
        let endpoint = play(Script { kms: (200, body), describe: None, sts: KNOWN }).await;
        let l1 = aws(&endpoint.url).await;
        let errors = [
            l1.wrap(&key(), &context(), &[1; 32]).await.err().unwrap(),
            l1.unwrap(&key(), &context(), &[1; 64]).await.err().unwrap(),
            l1.describe(&key()).await.err().unwrap(),
        ];
        assert!(errors.iter().all(|error| error.state() == Some(State::Unreachable)), "{body}: {errors:?}");
    }
}

#[tokio::test]
async fn retries_end() {
    let script = Script { kms: (500, "{}"), describe: None, sts: KNOWN };
    let endpoint = play(script).await;
    assert!(aws(&endpoint.url).await.wrap(&key(), &context(), &[1; 32]).await.is_err());
    assert_eq!(endpoint.kms_calls.load(Ordering::SeqCst), 3);
}

/// The principal is known: the KMS refuses the key, and that is the customer's word.
#[tokio::test]
async fn denied_with_a_known_identity_is_forbidden() {
    let endpoint = play(Script { kms: DENIED, describe: None, sts: KNOWN }).await;
    let refused = aws(&endpoint.url).await.wrap(&key(), &context(), &[1; 32]).await.unwrap_err();
    assert!(matches!(refused, L1Error::Stopped { stop: Stop::Forbidden, .. }), "{refused}");
}

/// A role that the customer lets nobody assume, or not with this external id: nobody said no to the key, and nobody is stopped.
#[tokio::test]
async fn a_role_that_is_refused_is_a_fault_of_the_credential() {
    let denied = (403, "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>");
    let endpoint = play(Script { kms: DENIED, describe: None, sts: denied }).await;
    let role = AwsRole {
        arn: "arn:aws:iam::111122223333:role/kcm".to_owned(),
        tenant: context().tenant,
        region: context().region,
    };
    let assumed = aws_as(&endpoint.url, Some(role)).await;
    assert_eq!(unreachable(&assumed, &key()).await, Fault::Credential);
    let why = assumed.describe(&key()).await.unwrap_err().to_string();
    assert!(why.contains("AccessDenied") && !why.contains("<Error>"), "{why}");
    assert_eq!(endpoint.kms_calls.load(Ordering::SeqCst), 0, "nothing is asked as somebody else");
}

/// The same answer, but the identity call fails too: our credential's fault, and nobody is stopped.
#[tokio::test]
async fn denied_with_an_unknown_identity_is_a_fault() {
    let endpoint = play(Script { kms: DENIED, describe: None, sts: UNKNOWN }).await;
    assert_eq!(unreachable(&aws(&endpoint.url).await, &key()).await, Fault::Credential);
}

#[tokio::test]
async fn an_invalid_state_is_what_describe_key_says() {
    let described = |state: &'static str| (200_u16, state);
    let cases = [
        (described(r#"{"KeyMetadata":{"KeyId":"1","KeyState":"PendingDeletion"}}"#), State::PendingDeletion),
        (described(r#"{"KeyMetadata":{"KeyId":"1","KeyState":"PendingImport"}}"#), State::Disabled),
        (described(r#"{"KeyMetadata":{"KeyId":"1","KeyState":"Unavailable"}}"#), State::Unreachable),
        (described(r#"{"KeyMetadata":{"KeyId":"1","KeyState":"Enabled"}}"#), State::Unreachable),
        (described("{}"), State::Unreachable),
        ((500, "{}"), State::Unreachable),
        (DENIED, State::Forbidden),
    ];
    for (describe, state) in cases {
        let endpoint = play(Script { kms: INVALID_STATE, describe: Some(describe), sts: KNOWN }).await;
        let refused = aws(&endpoint.url).await.wrap(&key(), &context(), &[1; 32]).await.unwrap_err();
        assert_eq!(refused.state(), Some(state), "{describe:?}: {refused}");
    }
}

#[tokio::test]
async fn no_name_and_no_tls_are_the_network() {
    let endpoint = play(Script { kms: (200, "{}"), describe: None, sts: KNOWN }).await;
    let plain = endpoint.url.replace("http://", "https://");
    for url in [plain.as_str(), "https://kms.invalid"] {
        let refused = aws(url).await.describe(&key()).await.unwrap_err();
        assert!(matches!(refused, L1Error::Unreachable { fault: Fault::Network, .. }), "{url}: {refused}");
    }
}

/// A server that accepts and says nothing: the operation's own limit ends the wait.
#[tokio::test]
async fn silence_is_the_network() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let refused = aws(&url).await.describe(&key()).await.unwrap_err();
    assert!(matches!(refused, L1Error::Unreachable { fault: Fault::Network, .. }), "{refused}");
}

/// What was told of each attempt: operation, the purpose that it was bound to, whether it has a number, outcome.
#[derive(Default)]
struct Told(Mutex<Vec<Row>>);

type Row = (String, Option<String>, Option<String>, String);

impl Calls for Told {
    fn called(&self, call: &Call<'_>) {
        let purpose = call.context.map(|context| context.purpose.as_str().to_owned());
        let row = (call.operation.to_owned(), purpose, call.request.map(str::to_owned), call.outcome.to_owned());
        self.0.lock().unwrap().push(row);
    }
}

/// What `ask` leaves in the book; of numbers only that they are there, and that none comes twice.
async fn told(url: &str, ask: impl AsyncFnOnce(&Aws)) -> Vec<String> {
    let book = Arc::new(Told::default());
    let aws = aws_told(url, None, book.clone()).await;
    ask(&aws).await;
    let rows = std::mem::take(&mut *book.0.lock().unwrap());
    let numbers: Vec<&String> = rows.iter().filter_map(|row| row.2.as_ref()).collect();
    assert_eq!(numbers.iter().collect::<std::collections::BTreeSet<_>>().len(), numbers.len(), "{numbers:?}");
    let line = |(operation, purpose, request, outcome): &Row| {
        let number = if request.is_some() { "numbered" } else { "-" };
        format!("{operation} {} {number} {outcome}", purpose.as_deref().unwrap_or("-"))
    };
    rows.iter().map(line).collect()
}

/// Each attempt is one line in the customer's book, so it is one in ours, also those that the SDK repeats by itself.
#[tokio::test]
async fn every_attempt_is_told_with_its_number_and_outcome() {
    let wrap = async |aws: &Aws| drop(aws.wrap(&key(), &context(), &[1; 32]).await);
    let answers = |kms| Script { kms, describe: None, sts: KNOWN };
    let good = play(answers((200, r#"{"CiphertextBlob":"AAAA"}"#))).await;
    assert_eq!(told(&good.url, wrap).await, ["Encrypt l2 numbered Success"]);
    let failing = play(answers((500, r#"{"__type":"KMSInternalException","message":"oh"}"#))).await;
    assert_eq!(told(&failing.url, wrap).await, ["Encrypt l2 numbered KMSInternalException"; 3]);
    let denied = play(answers((400, r#"{"__type":"DisabledException","message":"no"}"#))).await;
    let unwrap = async |aws: &Aws| drop(aws.unwrap(&key(), &context(), &[1; 32]).await);
    assert_eq!(told(&denied.url, unwrap).await, ["Decrypt l2 numbered DisabledException"]);
    let page = play(answers((403, "<html>a proxy's page</html>"))).await;
    let describe = async |aws: &Aws| drop(aws.describe(&key()).await);
    assert_eq!(told(&page.url, describe).await, ["DescribeKey - numbered HTTP 403"]);
}

/// Whoever gives up waiting has asked all the same.
#[tokio::test]
async fn an_attempt_that_is_given_up_is_told_as_one_without_an_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let given_up = async |aws: &Aws| {
        let name = key();
        let asked = aws.describe(&name);
        tokio::select! { _ = asked => panic!("nobody answers"), _ = listener.accept() => {} }
    };
    assert_eq!(told(&url, given_up).await, ["DescribeKey - - NoAnswer"]);
}
