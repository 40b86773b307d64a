//! One mail to one address (RFC 5321), after STARTTLS with a verified certificate, signed in where the channel has an account.

use std::time::Duration;

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::header::ContentType,
    transport::smtp::{
        Error,
        authentication::{Credentials, Mechanism},
        client::{Certificate, CertificateStore, Tls, TlsParameters},
    },
};
use orbital::names::Mailbox;

use super::{
    channel::{Hidden, MailTls},
    queue::Answer,
};

/// A mail server, and how it is spoken to.
pub(super) struct Server<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) tls: MailTls,
    pub(super) login: Option<&'a (String, Hidden)>,
    pub(super) ca: Option<&'a [u8]>,
}

/// What is written, from whom to whom.
pub(super) struct Mail<'a> {
    pub(super) id: &'a str,
    pub(super) from: &'a Mailbox,
    pub(super) to: &'a Mailbox,
    pub(super) subject: String,
    pub(super) text: String,
}

pub(super) async fn send(server: &Server<'_>, mail: Mail<'_>, patience: Duration) -> Answer {
    let never = |what: &str, why: &dyn std::fmt::Display| Answer::Never { why: format!("{what}: {why}") };
    let message = match message(mail) {
        Ok(message) => message,
        Err(why) => return never("the mail cannot be written", &why),
    };
    let transport = match transport(server, patience) {
        Ok(transport) => transport,
        Err(why) => return never("TLS", &why),
    };
    match transport.send(message).await {
        Ok(_taken) => Answer::Taken,
        // RFC 5321 §4.2.1: 5yz asks not to be repeated; 4yz, and a line that breaks, may be.
        Err(why) if why.is_permanent() || why.is_client() => never("the mail server refuses", &why),
        Err(why) => Answer::Later { why: format!("the mail server: {}", whole(&why)), after: None },
    }
}

/// The error with what caused it.
fn whole(error: &Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    let text = error.to_string();
    cause.filter(|cause| !text.contains(cause.as_str())).map_or(text.clone(), |cause| format!("{text}{cause}"))
}

fn message(mail: Mail<'_>) -> Result<Message, String> {
    let address = |mailbox: &Mailbox| {
        let address = mailbox.as_str().parse().map_err(|e: lettre::address::AddressError| e.to_string())?;
        Ok::<_, String>(lettre::message::Mailbox::new(None, address))
    };
    let (_, domain) = mail.from.as_str().rsplit_once('@').unwrap_or_default();
    Message::builder()
        .from(address(mail.from)?)
        .to(address(mail.to)?)
        // The same when it is sent again: a mailbox that has it shows it once.
        .message_id(Some(format!("<{}@{domain}>", mail.id)))
        .subject(mail.subject)
        .header(ContentType::TEXT_PLAIN)
        .body(mail.text)
        .map_err(|e| e.to_string())
}

fn transport(server: &Server<'_>, patience: Duration) -> Result<AsyncSmtpTransport<Tokio1Executor>, Error> {
    let parameters = || {
        let mut builder = TlsParameters::builder(server.host.to_owned());
        if let Some(pem) = server.ca {
            let authority = Certificate::from_pem(pem)?;
            builder = builder.certificate_store(CertificateStore::None).add_root_certificate(authority);
        }
        builder.build_rustls()
    };
    let tls = match server.tls {
        MailTls::StartTls => Tls::Required(parameters()?),
        MailTls::Implicit => Tls::Wrapper(parameters()?),
        MailTls::None => Tls::None,
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.host)
        .port(server.port)
        .timeout(Some(patience))
        .tls(tls);
    if let Some((user, password)) = server.login {
        builder = builder
            .credentials(Credentials::new(user.clone(), password.expose().to_owned()))
            .authentication(vec![Mechanism::Plain, Mechanism::Login]);
    }
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_one_mail_whatever_people_wrote() {
        let at = |text: &str| Mailbox::new(text).unwrap();
        let (from, to) = (at("kcm@example.com"), at("olga@example.com"));
        let mail = Mail {
            id: "n1",
            from: &from,
            to: &to,
            subject: "Grüße\r\nBcc: eve@example.com".into(),
            text: "one\n.\ntwo".into(),
        };
        let text = String::from_utf8(message(mail).unwrap().formatted()).unwrap();
        assert!(text.contains("Message-ID: <n1@example.com>") && text.contains("To: olga@example.com"), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("Bcc")), "{text}");
    }
}
