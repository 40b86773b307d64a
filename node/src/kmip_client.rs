//! A small KMIP client over mutual TLS, on the wire crate's own codec: the demo's story, `kcm kmip ping` and the benches use it.

use std::{path::Path, sync::Arc, time::Duration};

use kmip::{
    Attribute, AttributeValue, CryptographicParameters, ProtocolVersion, ResultReason, TemplateAttribute, client,
    message::Failure,
    ops::{self, Answer, Request},
    tables::{
        BlockCipherMode, CryptographicAlgorithm, ObjectType, PaddingMethod, QueryFunction, StandardAttribute, State,
    },
    ttlv::{HEADER_BYTES, Item, Structure, Value},
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::cluster::tls;

/// Longest wait for a connection, and for an answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Encrypt | Decrypt (KMIP 1.4 §9.1.3.3.1).
const MASK_ENCRYPT_DECRYPT: i32 = 0x0C;

/// Why there is no answer, or which one.
#[derive(Debug, thiserror::Error)]
pub enum KmipError {
    #[error("cannot reach {address}: {why}")]
    Unreachable { address: String, why: String },
    #[error("the connection ended: {0}")]
    Ended(std::io::Error),
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    TimedOut,
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    #[error("the answer does not read: {0}")]
    Wire(#[from] kmip::WireError),
    #[error("{reason:?}: {message}")]
    Failed { reason: ResultReason, message: String },
    #[error("the server answered {0} with something else")]
    Unexpected(&'static str),
}

impl KmipError {
    /// The server's result reason, where it gave one.
    pub fn reason(&self) -> Option<ResultReason> {
        match self {
            Self::Failed { reason, .. } => Some(*reason),
            _ => None,
        }
    }
}

impl From<Failure> for KmipError {
    fn from(failure: Failure) -> Self {
        Self::Failed { reason: failure.reason, message: failure.message }
    }
}

/// Ciphertext with what opens it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    pub data: Vec<u8>,
    pub iv: Vec<u8>,
}

/// One connection.
pub struct KmipClient {
    stream: TlsStream<TcpStream>,
    version: ProtocolVersion,
}

/// TLS of a KMIP client from its PEM files.
pub fn tls_config(ca: &Path, cert: &Path, key: &Path) -> Result<Arc<rustls::ClientConfig>, KmipError> {
    let (chain, key) = tls::identity(cert, key)?;
    let config =
        rustls::ClientConfig::builder().with_root_certificates(tls::roots(ca)?).with_client_auth_cert(chain, key);
    let unusable = |e: rustls::Error| tls::TlsError::Unusable { path: cert.to_owned(), why: e.to_string() };
    Ok(Arc::new(config.map_err(unusable)?))
}

impl KmipClient {
    /// Connects to `host:port`.
    pub async fn connect(address: &str, tls: Arc<rustls::ClientConfig>) -> Result<Self, KmipError> {
        let unreachable = |why: String| KmipError::Unreachable { address: address.to_owned(), why };
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(|e| unreachable(e.to_string()))?;
        let connected = timeout(TIMEOUT, async {
            let tcp = TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            TlsConnector::from(tls).connect(name, tcp).await
        });
        let stream = connected.await.map_err(|_| KmipError::TimedOut)?.map_err(|e| unreachable(e.to_string()))?;
        Ok(Self { stream, version: ProtocolVersion::V1_4 })
    }

    /// Sends a frame and reads the answer's bytes.
    pub async fn exchange(&mut self, frame: &[u8]) -> Result<Vec<u8>, KmipError> {
        timeout(TIMEOUT, async {
            self.stream.write_all(frame).await.map_err(KmipError::Ended)?;
            self.stream.flush().await.map_err(KmipError::Ended)?;
            let mut header = [0; HEADER_BYTES];
            self.stream.read_exact(&mut header).await.map_err(KmipError::Ended)?;
            let mut answer = vec![0; client::answer_len(&header)?];
            let (start, rest) = answer.split_at_mut(HEADER_BYTES);
            start.copy_from_slice(&header);
            self.stream.read_exact(rest).await.map_err(KmipError::Ended)?;
            Ok(answer)
        })
        .await
        .map_err(|_| KmipError::TimedOut)?
    }

    async fn perform<T>(
        &mut self,
        request: &Request<'_>,
        read: impl FnOnce(Answer<'_>) -> Option<T>,
    ) -> Result<T, KmipError> {
        let frame = client::request(self.version, request);
        let answer = self.exchange(&frame).await?;
        let answer = client::read_one(&answer, self.version, request.operation())??;
        read(answer).ok_or(KmipError::Unexpected("an operation"))
    }

    /// The TLS version and cipher suite of the connection.
    pub fn tls(&self) -> String {
        let (_, session) = self.stream.get_ref();
        let version = session.protocol_version().and_then(|version| version.as_str()).unwrap_or("TLS");
        let suite = session.negotiated_cipher_suite().map(|suite| suite.suite());
        let suite = suite.and_then(|suite| suite.as_str()).unwrap_or("a cipher suite without a name");
        format!("{}, {suite}", version.replace('_', "."))
    }

    /// Whom the server takes this client for: tenant and system. A server that is none of this project's does not say.
    pub async fn known_as(&mut self) -> Result<Option<(String, String)>, KmipError> {
        let functions = vec![QueryFunction::QueryServerInformation];
        self.perform(&Request::Query(ops::query::Request { functions }), |answer| match answer {
            Answer::Query(answer) => Some(answer.server_information.and_then(|information| whom(&information))),
            _ => None,
        })
        .await
    }

    /// The protocol versions that the server speaks, best first.
    pub async fn versions(&mut self) -> Result<Vec<ProtocolVersion>, KmipError> {
        let request = Request::DiscoverVersions(ops::discover_versions::Request { protocol_versions: vec![] });
        self.perform(&request, |answer| match answer {
            Answer::DiscoverVersions(answer) => Some(answer.protocol_versions),
            _ => None,
        })
        .await
    }

    /// How many objects this client's system has.
    pub async fn located(&mut self) -> Result<i32, KmipError> {
        let request = ops::locate::Request { maximum_items: Some(1), ..ops::locate::Request::of(vec![]) };
        self.perform(&Request::Locate(request), |answer| match answer {
            Answer::Locate(answer) => answer.located_items,
            _ => None,
        })
        .await
    }

    /// The state of an object.
    pub async fn state(&mut self, id: &str) -> Result<State, KmipError> {
        let request = ops::get_attributes::Request { unique_identifier: Some(id), attribute_names: vec!["State"] };
        self.perform(&Request::GetAttributes(request), |answer| match answer {
            Answer::GetAttributes(answer) => {
                answer.attributes.into_iter().find_map(|attribute| match attribute.value {
                    AttributeValue::Enumeration(code) => State::from_code(code),
                    _ => None,
                })
            }
            _ => None,
        })
        .await
    }

    /// What kind of object may be fetched under this id, and how many bits it has. The bytes are wiped.
    pub async fn fetched(&mut self, id: &str) -> Result<(ObjectType, usize), KmipError> {
        self.perform(&Request::Get(ops::get::Request::of(id)), |answer| match answer {
            Answer::Get(answer) => {
                let key = answer.symmetric_key.as_ref().map(|key| &key.key_block);
                let block = key.or_else(|| answer.secret_data.as_ref().map(|secret| &secret.key_block))?;
                Some((answer.object_type, block.material.len().saturating_mul(8)))
            }
            _ => None,
        })
        .await
    }

    /// Creates an active AES-256 key and answers its id.
    pub async fn create_active(&mut self) -> Result<String, KmipError> {
        let attributes = vec![
            Attribute::new(
                StandardAttribute::CryptographicAlgorithm,
                AttributeValue::Enumeration(CryptographicAlgorithm::Aes.code()),
            ),
            Attribute::new(StandardAttribute::CryptographicLength, AttributeValue::Integer(256)),
            Attribute::new(StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(MASK_ENCRYPT_DECRYPT)),
        ];
        let template_attribute = TemplateAttribute { attributes, ..TemplateAttribute::default() };
        let create =
            Request::Create(ops::create::Request { object_type: ObjectType::SymmetricKey, template_attribute });
        let id = self
            .perform(&create, |answer| match answer {
                Answer::Create(answer) => Some(answer.unique_identifier.to_owned()),
                _ => None,
            })
            .await?;
        let activate = Request::Activate(ops::activate::Request { unique_identifier: Some(&id) });
        self.perform(&activate, |_| Some(())).await?;
        Ok(id)
    }

    /// Encrypts with AES-CBC, PKCS5 and an IV that the server draws, as libmongocrypt does.
    pub async fn encrypt(&mut self, id: &str, plaintext: &[u8]) -> Result<Sealed, KmipError> {
        let request = encrypt_request(id, cbc(Some(true)), plaintext);
        self.perform(&request, |answer| match answer {
            Answer::Encrypt(answer) => {
                Some(Sealed { data: answer.data?.to_vec(), iv: answer.iv_counter_nonce.unwrap_or_default().to_vec() })
            }
            _ => None,
        })
        .await
    }

    /// Opens what [`KmipClient::encrypt`] gave.
    pub async fn decrypt(&mut self, id: &str, sealed: &Sealed) -> Result<Vec<u8>, KmipError> {
        let request = Request::Decrypt(ops::decrypt::Request {
            unique_identifier: Some(id),
            cryptographic_parameters: Some(cbc(None)),
            data: Some(&sealed.data),
            iv_counter_nonce: Some(&sealed.iv),
            correlation_value: None,
            init_indicator: None,
            final_indicator: None,
            additional_data: None,
            authentication_tag: None,
        });
        self.perform(&request, |answer| match answer {
            Answer::Decrypt(answer) => answer.data.map(<[u8]>::to_vec),
            _ => None,
        })
        .await
    }
}

/// Tenant and system, as `ops/query.rs` of the server writes them.
fn whom(information: &Structure<'_>) -> Option<(String, String)> {
    let text = |item: Item<'_>| match Attribute::read(&item, ProtocolVersion::V1_4).ok()? {
        Attribute { name, value: AttributeValue::Text(value), .. } => Some((name, value)),
        _ => None,
    };
    let find = |wanted: &str| information.items().filter_map(text).find(|(name, _)| name.as_str() == wanted);
    let ((_, tenant), (_, system)) = find(ops::query::TENANT).zip(find(ops::query::SYSTEM))?;
    Some((tenant, system))
}

fn cbc(random_iv: Option<bool>) -> CryptographicParameters {
    CryptographicParameters {
        block_cipher_mode: Some(BlockCipherMode::Cbc),
        padding_method: Some(PaddingMethod::Pkcs5),
        cryptographic_algorithm: Some(CryptographicAlgorithm::Aes),
        random_iv,
        ..CryptographicParameters::default()
    }
}

/// An Encrypt request, for who wants its bytes.
pub fn encrypt_request<'a>(id: &'a str, parameters: CryptographicParameters, data: &'a [u8]) -> Request<'a> {
    Request::Encrypt(ops::encrypt::Request {
        unique_identifier: Some(id),
        cryptographic_parameters: Some(parameters),
        data: Some(data),
        iv_counter_nonce: None,
        correlation_value: None,
        init_indicator: None,
        final_indicator: None,
        additional_data: None,
    })
}
