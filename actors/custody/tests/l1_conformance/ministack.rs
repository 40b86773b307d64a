//! AWS KMS, played by a ministack server with IAM and key policies, asked by the real SDK.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
use custody::l1::{Aws, AwsCredentials, AwsOptions, AwsRole, Development, Fault, L1, L1Error, State, Stop};
use orbital::names::{Digest, KeyRef, Region as OurRegion, TenantId};
use zeroize::Zeroizing;

use crate::suite::{Act, Customer, Later, conforms, context, unreachable, venv};

const AWS_REGION: &str = "eu-central-1";
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// A ministack process of its own; ended with this value.
struct Server {
    process: Child,
    endpoint: String,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn serve(venv: &Path) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let process = Command::new(venv.join("bin/ministack"))
        .current_dir(folder.path())
        .env("AUTH", "true")
        .env("BIND_HOST", "127.0.0.1")
        .env("GATEWAY_PORT", port.to_string())
        .env("SERVICES", "kms,iam,sts")
        .env("MINISTACK_REGION", AWS_REGION)
        .env("IOT_MTLS_ENABLED", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut server = Server { process, endpoint: format!("http://127.0.0.1:{port}"), _folder: folder };
    let since = Instant::now();
    while !healthy(port) {
        assert!(server.process.try_wait().unwrap().is_none(), "ministack ended before it was ready");
        assert!(since.elapsed() < READY_TIMEOUT, "ministack was not ready in time");
        std::thread::yield_now();
    }
    server
}

/// Its health page answers: the condition that the start waits for.
fn healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /_ministack/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}

struct Customers {
    server: Server,
    region: Aws,
    stranger: Aws,
    nowhere: Aws,
    /// The account's root, whom the key policies allow everything.
    root: aws_sdk_kms::Client,
    user: User,
}

/// Runs one of the customer's scripts.
fn script(venv: &Path, name: &str, arguments: &[&str]) -> serde_json::Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/foreign").join(name);
    let output = Command::new(venv.join("bin/python")).arg(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(answer: &serde_json::Value, name: &str) -> String {
    answer[name].as_str().unwrap().to_owned()
}

/// The region as an IAM user, and as what it becomes.
struct User {
    arn: String,
    access_key: String,
    secret: String,
}

impl User {
    /// With a policy for Encrypt, Decrypt and DescribeKey.
    fn make(venv: &Path, endpoint: &str) -> Self {
        let made = script(venv, "ministack_user.py", &[endpoint, AWS_REGION, "fra"]);
        Self { arn: text(&made, "arn"), access_key: text(&made, "access_key"), secret: text(&made, "secret") }
    }

    async fn at(&self, endpoint: &str, role: Option<AwsRole>) -> Aws {
        let options = AwsOptions {
            region: AWS_REGION.to_owned(),
            endpoint: Some(endpoint.to_owned()),
            identity_endpoint: Some(endpoint.to_owned()),
            credentials: AwsCredentials::Opened {
                access_key: self.access_key.clone(),
                secret: Zeroizing::new(self.secret.clone()),
                session: None,
            },
            role,
            calls: Arc::new(()),
            development: Development::proven(true, "a test").ok(),
        };
        Aws::connect(options).await.unwrap()
    }
}

impl Customers {
    async fn start(venv: &Path) -> Self {
        let server = serve(venv);
        let user = User::make(venv, &server.endpoint);
        let stranger =
            User { arn: String::new(), access_key: user.access_key.clone(), secret: "another secret".to_owned() };
        let root = aws_sdk_kms::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(AWS_REGION))
            .endpoint_url(&server.endpoint)
            .credentials_provider(Credentials::new("test", "test", None, None, "root"));
        Self {
            region: user.at(&server.endpoint, None).await,
            stranger: stranger.at(&server.endpoint, None).await,
            nowhere: user.at(&format!("http://127.0.0.1:{}", free_port()), None).await,
            root: aws_sdk_kms::Client::from_conf(root.build()),
            user,
            server,
        }
    }

    fn policy(&self, denied: bool) -> String {
        let any = serde_json::json!({"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"});
        let mut statements = vec![any];
        if denied {
            let principal = serde_json::json!({"AWS": self.user.arn});
            statements.push(serde_json::json!({
                "Effect": "Deny", "Principal": principal, "Resource": "*",
                "Action": ["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey"],
            }));
        }
        serde_json::json!({"Version": "2012-10-17", "Statement": statements}).to_string()
    }

    async fn put_policy(&self, key: &KeyRef, denied: bool) {
        let call = self.root.put_key_policy().key_id(key.as_str()).policy_name("default");
        call.policy(self.policy(denied)).send().await.unwrap();
    }
}

impl Customer for Customers {
    fn region(&self) -> &dyn L1 {
        &self.region
    }
    fn stranger(&self) -> &dyn L1 {
        &self.stranger
    }
    fn nowhere(&self) -> &dyn L1 {
        &self.nowhere
    }
    fn fresh_key(&mut self) -> Later<'_, KeyRef> {
        Box::pin(async {
            let made = self.root.create_key().send().await.unwrap();
            KeyRef::new(made.key_metadata().unwrap().arn().unwrap()).unwrap()
        })
    }
    fn absent_key(&self) -> KeyRef {
        KeyRef::new(format!("arn:aws:kms:{AWS_REGION}:000000000000:key/00000000-0000-0000-0000-000000000000")).unwrap()
    }
    fn act<'a>(&'a self, key: &'a KeyRef, act: Act) -> Later<'a, ()> {
        let id = key.as_str();
        Box::pin(async move {
            match act {
                Act::Disable => drop(self.root.disable_key().key_id(id).send().await.unwrap()),
                Act::Enable => drop(self.root.enable_key().key_id(id).send().await.unwrap()),
                Act::ScheduleDeletion => {
                    let call = self.root.schedule_key_deletion().key_id(id).pending_window_in_days(7);
                    drop(call.send().await.unwrap());
                }
                Act::Deny => self.put_policy(key, true).await,
                Act::Allow => self.put_policy(key, false).await,
            }
        })
    }
    fn skipped(&self, check: &str) -> Option<&'static str> {
        match check {
            "a_changed_blob_is_refused" => {
                Some("ministack has no ciphertext integrity; AWS KMS answers InvalidCiphertextException")
            }
            "an_unknown_key_opens_nothing" => {
                Some("ministack ignores KeyId in Decrypt; AWS KMS answers NotFoundException")
            }
            "another_key_is_refused" => {
                Some("ministack ignores KeyId in Decrypt; AWS KMS answers IncorrectKeyException")
            }
            _ => None,
        }
    }
}

#[tokio::test]
async fn aws_kms_conforms_on_ministack() {
    let Some(venv) = venv("aws-kms on ministack") else { return };
    let mut customer = Customers::start(&venv).await;
    println!("ministack at {}", customer.server.endpoint);
    conforms(&mut customer).await;
}

#[tokio::test]
async fn an_alias_is_resolved_to_its_arn() {
    let Some(venv) = venv("aws-kms alias on ministack") else { return };
    let mut customer = Customers::start(&venv).await;
    let key = customer.fresh_key().await;
    customer.root.create_alias().alias_name("alias/acme").target_key_id(key.as_str()).send().await.unwrap();
    let described = customer.region.describe(&KeyRef::new("alias/acme").unwrap()).await.unwrap();
    assert_eq!(described.resolved, key);
}

/// PROTOCOL §7: the tenant's id is the external id, so that a role opens for its own tenant alone.
#[tokio::test]
async fn a_role_is_assumed_for_its_own_tenant_alone() {
    let Some(venv) = venv("aws-kms role on ministack") else { return };
    let mut customer = Customers::start(&venv).await;
    let (endpoint, user) = (customer.server.endpoint.clone(), customer.user.arn.clone());
    let (ours, theirs) = (TenantId(Digest([1; 32])), TenantId(Digest([2; 32])));
    let made = script(&venv, "ministack_role.py", &[&endpoint, AWS_REGION, "kcm-fra", &user, &ours.to_string()]);
    let role =
        |tenant| Some(AwsRole { arn: text(&made, "arn"), tenant, region: OurRegion::new("eu-frankfurt").unwrap() });
    let key = customer.fresh_key().await;
    // What is denied to the user itself shows that the calls are the role's.
    customer.put_policy(&key, true).await;
    let refused = customer.region.describe(&key).await.unwrap_err();
    assert!(matches!(refused, L1Error::Stopped { stop: Stop::Forbidden, .. }), "{refused}");
    let assumed = customer.user.at(&endpoint, role(ours)).await;
    assert_eq!(assumed.describe(&key).await.unwrap().state, State::Enabled);
    let blob = assumed.wrap(&key, &context(), &[7; 32]).await.unwrap();
    assert!(assumed.unwrap(&key, &context(), &blob).await.is_ok());
    let another = customer.user.at(&endpoint, role(theirs)).await;
    assert_eq!(unreachable(&another, &key).await, Fault::Credential);
}
