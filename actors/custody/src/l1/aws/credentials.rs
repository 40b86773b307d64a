//! Whose call it is: a credential file, a credential that was opened in this region, or the SDK's own chain.

use std::path::{Path, PathBuf};

use aws_sdk_kms::config::{Credentials, SharedCredentialsProvider};
use zeroize::Zeroizing;

use super::PROVIDER;
use crate::l1::L1Error;

/// Longest credential file, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// Where the region's principal comes from. Every tenant and region has its own (PROTOCOL §1).
pub enum AwsCredentials {
    /// A file in the format of the AWS CLI: `aws_access_key_id`, `aws_secret_access_key` and, if there is one, `aws_session_token`,
    /// each `= value` on its own line, under at most one `[profile]`. Read once, when the provider is set up.
    File(PathBuf),
    /// A credential that this region opened from its sealed form.
    Opened { access_key: String, secret: Zeroizing<String>, session: Option<Zeroizing<String>> },
    /// No long-lived secret: environment, web identity, container or instance role, in the SDK's order.
    Chain,
}

impl AwsCredentials {
    /// `None` leaves the SDK to its chain.
    pub(super) fn provider(self) -> Result<Option<SharedCredentialsProvider>, L1Error> {
        let credentials = match self {
            Self::File(path) => read(&path)?,
            Self::Opened { access_key, secret, session } => {
                named(&access_key, &secret, session.as_deref().map(String::as_str))
            }
            Self::Chain => return Ok(None),
        };
        Ok(Some(SharedCredentialsProvider::new(credentials)))
    }
}

fn named(access_key: &str, secret: &str, session: Option<&str>) -> Credentials {
    Credentials::new(access_key, secret, session.map(str::to_owned), None, "kcm")
}

fn read(path: &Path) -> Result<Credentials, L1Error> {
    let setup = |why: String| L1Error::setup(PROVIDER, why);
    let place = path.display();
    let size = std::fs::metadata(path).map_err(|e| setup(format!("credential file `{place}`: {e}")))?.len();
    if size > FILE_BYTES_MAX {
        return Err(setup(format!("credential file `{place}` has {size} bytes, at most {FILE_BYTES_MAX} are read")));
    }
    let text = std::fs::read_to_string(path).map_err(|e| setup(format!("credential file `{place}`: {e}")))?;
    parse(&Zeroizing::new(text)).map_err(|why| setup(format!("credential file `{place}`: {why}")))
}

/// Says what is wrong by line number and name, never by value.
fn parse(text: &str) -> Result<Credentials, String> {
    let (mut access_key, mut secret, mut session, mut profiles) = (None, None, None, 0_u8);
    for (at, line) in (1_usize..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || line.starts_with(';') {
            continue;
        }
        if line.starts_with('[') && line.ends_with(']') {
            profiles = profiles.saturating_add(1);
            if profiles > 1 {
                return Err(format!("line {at} begins a second profile; one file holds one principal"));
            }
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err(format!("line {at} is not `name = value`"));
        };
        let slot = match name.trim() {
            "aws_access_key_id" => &mut access_key,
            "aws_secret_access_key" => &mut secret,
            "aws_session_token" => &mut session,
            _ => return Err(format!("line {at} names something else than a key id, a secret or a session token")),
        };
        if slot.replace(value.trim()).is_some() {
            return Err(format!("line {at} repeats `{}`", name.trim()));
        }
    }
    let access_key = access_key.filter(|v| !v.is_empty()).ok_or("it has no aws_access_key_id")?;
    let secret = secret.filter(|v| !v.is_empty()).ok_or("it has no aws_secret_access_key")?;
    Ok(named(access_key, secret, session))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_of_the_aws_cli_is_read() {
        let text = "# one principal\n[default]\naws_access_key_id = AKIA1\naws_secret_access_key=s/e=c\n";
        let credentials = parse(text).unwrap();
        assert_eq!(credentials.access_key_id(), "AKIA1");
        assert_eq!(credentials.secret_access_key(), "s/e=c");
        assert_eq!(credentials.session_token(), None);
        let session = parse(&format!("{text}aws_session_token = t\n")).unwrap();
        assert_eq!(session.session_token(), Some("t"));
    }

    #[test]
    fn each_mistake_is_named_and_no_secret_is_told() {
        let cases = [
            ("", "no aws_access_key_id"),
            ("aws_access_key_id=A", "no aws_secret_access_key"),
            ("aws_access_key_id=A\naws_secret_access_key=", "no aws_secret_access_key"),
            ("aws_access_key_id=A\naws_access_key_id=B", "line 2 repeats"),
            ("[a]\n[b]", "line 2 begins a second profile"),
            ("hunter2", "line 1 is not"),
            ("credential_process = hunter2", "line 1 names something else"),
        ];
        for (text, expected) in cases {
            let why = parse(text).unwrap_err();
            assert!(why.contains(expected), "{text:?}: {why}");
            assert!(!why.contains("hunter2"), "{why}");
        }
    }

    #[test]
    fn a_file_that_is_absent_or_too_long_is_a_setup_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        assert!(matches!(read(&path), Err(L1Error::Setup { .. })));
        std::fs::write(&path, "#".repeat(usize::try_from(FILE_BYTES_MAX).unwrap() + 1)).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("at most"));
    }
}
