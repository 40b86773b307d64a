//! The first inputs: requests of cases in XML, the OASIS ones where they are there and our own (`fuzz/seeds/`) otherwise.
//!
//! A case is a sequence of messages as the XML encoding has them, with variables: `$NOW` and `$NOW+3600` are dates, the numbered
//! `$UNIQUE_IDENTIFIER_0` is an object of the session, and any other is bytes.

use kmip::{
    markup::{json, xml},
    ttlv::Limits,
};

/// Where a session's clock stands, seconds since 1970.
pub const NOW_S: i64 = 1_700_000_000;
/// A text of this and two decimal digits stands for the session's object of that number.
pub const SLOT: &str = "00000000-0000-4000-8000-0000000000";

/// One input of a target, by a name that says where it came from.
pub type Seed = (String, Vec<u8>);

/// The text of each message of a case, in its order.
pub fn messages<'c>(case: &'c str, root: &str) -> Vec<&'c str> {
    let (begin, end) = (format!("<{root}>"), format!("</{root}>"));
    let bodies = case.match_indices(&begin).map(|(at, _)| &case[at..]);
    bodies.map(|rest| &rest[..rest.find(&end).expect("a message ends") + end.len()]).collect()
}

/// The message with values where it has variables.
pub fn filled(message: &str) -> String {
    let mut parts = message.split("\"$");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('"').expect("a variable ends");
        text += &format!("\"{}\"{rest}", value(name));
    }
    text
}

fn value(name: &str) -> String {
    if let Some(offset) = name.strip_prefix("NOW") {
        let offset: i64 = offset.parse().unwrap_or(0);
        return jiff::Timestamp::from_second(NOW_S + offset).expect("a date").to_string();
    }
    match name.strip_prefix("UNIQUE_IDENTIFIER_") {
        Some(number) => format!("{SLOT}{:02}", number.parse::<u8>().expect("a number")),
        None => "00a1b2ff".to_owned(),
    }
}

fn frame(message: &str) -> Vec<u8> {
    xml::read(&filled(message), &Limits::REQUEST).expect("a case is readable")
}

/// For the codec: each message as TTLV, as XML and as JSON.
pub fn of_codec(name: &str, case: &str) -> Vec<Seed> {
    let all = ["RequestMessage", "ResponseMessage"].into_iter().flat_map(|root| messages(case, root));
    let frames = all.map(frame).enumerate();
    let spelled = frames.flat_map(|(at, frame)| {
        let (in_xml, in_json) = (xml::write(&frame).expect("XML"), json::write(&frame).expect("JSON"));
        [("ttlv", frame), ("xml", in_xml.into_bytes()), ("json", in_json.into_bytes())].map(|s| (at, s))
    });
    spelled.map(|(at, (form, bytes))| (format!("{name}-{at}.{form}"), bytes)).collect()
}

/// For sessions: each request by itself, and the requests of the case one after another.
pub fn of_sessions(name: &str, case: &str) -> Vec<Seed> {
    let frames: Vec<Vec<u8>> = messages(case, "RequestMessage").into_iter().map(frame).collect();
    let whole = [&[0], frames.concat().as_slice()].concat();
    let each = frames.iter().enumerate().map(|(at, frame)| (format!("{name}-{at}"), [&[0], frame.as_slice()].concat()));
    each.chain([(format!("{name}-whole"), whole)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree;

    const CASE: &str = r#"<KMIP><RequestMessage><BatchItem><UniqueIdentifier type="TextString" value="$UNIQUE_IDENTIFIER_7"/>
        <ActivationDate type="DateTime" value="$NOW+60"/><Data type="ByteString" value="$DATA_1"/></BatchItem></RequestMessage>
        <ResponseMessage><BatchCount type="Integer" value="1"/></ResponseMessage>
        <RequestMessage><BatchCount type="Integer" value="1"/></RequestMessage></KMIP>"#;

    #[test]
    fn a_case_becomes_inputs() {
        let texts = of_codec("case", CASE);
        let names: Vec<&str> = texts.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[..4], ["case-0.ttlv", "case-0.xml", "case-0.json", "case-1.ttlv"]);
        assert_eq!(names.len(), 9);
        let in_json = String::from_utf8(texts[2].1.clone()).unwrap();
        for part in [&format!("{SLOT}07"), "2023-11-14T22:14:20", "00a1b2ff"] {
            assert!(in_json.to_lowercase().contains(&part.to_lowercase()), "{part}: {in_json}");
        }
        let sessions = of_sessions("case", CASE);
        assert_eq!(sessions.len(), 3);
        assert_eq!(tree::frames(&sessions[2].1[1..]).unwrap().len(), 2);
    }

    #[test]
    fn our_own_cases_are_readable() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds");
        let mut count = 0;
        for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let case = std::fs::read_to_string(&file).unwrap();
            assert!(of_codec("own", &case).len() + of_sessions("own", &case).len() > 4, "{}", file.display());
            count += 1;
        }
        assert!(count > 2);
    }
}
