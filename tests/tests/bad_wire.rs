//! Broken KMIP over a real connection: what the standard's table of errors demands is answered, and the server goes on.

#[path = "support/foreign.rs"]
#[cfg(test)]
mod support;

#[path = "support/wire.rs"]
#[cfg(test)]
mod wire;

#[cfg(test)]
mod tests {
    use std::{io::Read, net::TcpStream, sync::Arc};

    use kmip::{
        ProtocolVersion, ResultReason, client,
        ops::{Request, discover_versions},
    };
    use node::kmip_client::tls_config;
    use rustls::pki_types::ServerName;

    use super::{
        support::{Client, Demo},
        wire::{connect, runtime},
    };

    const STRUCTURE: u8 = 1;
    const OPERATION: [u8; 8] = [0x42, 0x00, 0x5c, 0x05, 0, 0, 0, 4];
    const REASON: [u8; 8] = [0x42, 0x00, 0x7e, 0x05, 0, 0, 0, 4];
    const MAJOR: [u8; 8] = [0x42, 0x00, 0x6a, 0x02, 0, 0, 0, 4];
    const MINOR: [u8; 8] = [0x42, 0x00, 0x6b, 0x02, 0, 0, 0, 4];

    /// Where the value of the first field with this head begins.
    fn find(frame: &[u8], head: [u8; 8]) -> Option<usize> {
        frame.windows(8).position(|window| window == head).map(|at| at + 8)
    }

    fn number(frame: &[u8], head: [u8; 8]) -> Option<u32> {
        let at = find(frame, head)?;
        Some(u32::from_be_bytes(frame[at..at + 4].try_into().unwrap()))
    }

    fn with(frame: &[u8], head: [u8; 8], value: u32) -> Vec<u8> {
        let mut frame = frame.to_vec();
        let at = find(&frame, head).unwrap();
        frame[at..at + 4].copy_from_slice(&value.to_be_bytes());
        frame
    }

    fn good() -> Vec<u8> {
        client::request(
            ProtocolVersion::V1_4,
            &Request::DiscoverVersions(discover_versions::Request { protocol_versions: vec![] }),
        )
    }

    fn structure(tag: u32, body: &[u8]) -> Vec<u8> {
        let mut out = tag.to_be_bytes()[1..].to_vec();
        out.push(STRUCTURE);
        out.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        out.extend(body);
        out
    }

    /// A request whose batch item holds structures within structures.
    fn nested(depth: usize) -> Vec<u8> {
        let header_bytes = 8 + usize::from(u16::from_be_bytes(good()[14..16].try_into().unwrap()));
        let header = good()[8..8 + header_bytes].to_vec();
        let mut length = u32::try_from(8 * (depth - 1)).unwrap();
        let mut deep = Vec::new();
        for _ in 0..depth {
            deep.extend([0x42, 0x00, 0x79, STRUCTURE]);
            deep.extend(length.to_be_bytes());
            length = length.saturating_sub(8);
        }
        structure(0x0042_0078, &[header, structure(0x0042_000f, &deep)].concat())
    }

    /// The server still serves this client, on a new connection.
    fn still_served(client: &Client) {
        runtime().block_on(async { connect(client).await.unwrap().create_active().await.unwrap() });
    }

    /// Reason, and the operation if the answer names one.
    fn answer(client: &Client, frame: &[u8]) -> (u32, Option<u32>, Vec<u8>) {
        let answer = runtime().block_on(async { connect(client).await.unwrap().exchange(frame).await.unwrap() });
        let reason = number(&answer, REASON).unwrap_or_default();
        (reason, number(&answer, OPERATION), answer)
    }

    #[test]
    fn broken_messages_get_the_tables_answers_and_the_server_lives() {
        let demo = Demo::start();
        let client = demo.client(0, "acme");
        still_served(&client);
        let invalid = ResultReason::InvalidMessage.code();
        let mut truncated = good();
        truncated[12..16].copy_from_slice(&0x00ff_fff8_u32.to_be_bytes());
        let oversized = [0x42, 0x00, 0x78, STRUCTURE, 0x7f, 0xff, 0xff, 0xf8];
        let nine = with(&with(&good(), MAJOR, 9), MINOR, 9);
        let cases: [(&str, &[u8], &str); 4] = [
            ("truncated", &truncated, "needs"),
            ("oversized", &oversized, "at most"),
            ("nested", &nested(5000), "deep"),
            ("version 9.9", &nine, "9.9 is not served; 1.0 to 1.4 are"),
        ];
        for (what, frame, words) in cases {
            let (reason, operation, answer) = answer(&client, frame);
            let text = String::from_utf8_lossy(&answer);
            assert_eq!((reason, operation), (invalid, None), "{what}: {text}");
            assert!(text.contains(words), "{what}: {text}");
            still_served(&client);
        }
        let unknown = with(&good(), OPERATION, 0xff);
        let (reason, operation, answer) = answer(&client, &unknown);
        let text = String::from_utf8_lossy(&answer);
        assert_eq!((reason, operation), (ResultReason::OperationNotSupported.code(), Some(0xff)), "{text}");
        assert!(text.contains("operation 0xff is not supported in KMIP 1.4"), "{text}");
        still_served(&client);
    }

    /// One connection goes on after an answer to a whole, if broken, message; one that ends within a message harms nobody.
    #[test]
    fn a_connection_outlives_a_bad_message_and_a_server_a_half_one() {
        let demo = Demo::start();
        let client = demo.client(0, "acme");
        runtime().block_on(async {
            let mut stream = connect(&client).await.unwrap();
            let refused = stream.exchange(&nested(100)).await.unwrap();
            assert_eq!(number(&refused, REASON), Some(ResultReason::InvalidMessage.code()));
            stream.create_active().await.unwrap();
        });
        let tls = tls_config(&client.ca, &client.cert, &client.key).unwrap();
        for bytes in [3, 8, 40] {
            let name = ServerName::try_from("localhost").unwrap();
            let session = rustls::ClientConnection::new(Arc::clone(&tls), name).unwrap();
            let tcp = TcpStream::connect(&client.address).unwrap();
            tcp.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
            let mut stream = rustls::StreamOwned::new(session, tcp);
            std::io::Write::write_all(&mut stream, &good()[..bytes]).unwrap();
            stream.conn.send_close_notify();
            std::io::Write::flush(&mut stream).unwrap();
            let mut rest = Vec::new();
            // Either way of ending is the server's to choose; an answer is not.
            let _ended = stream.read_to_end(&mut rest);
            assert!(rest.is_empty(), "half a message has no answer");
            still_served(&client);
        }
    }
}
