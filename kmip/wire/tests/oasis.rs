//! Every message of the mandatory OASIS profile cases of KMIP 1.4 as XML, TTLV and JSON.
//!
//! The cases are not part of this tree: `KMIP_OASIS_CASES` names their folder, else they are looked for beside the workspace in
//! `../shared/kmip-oasis-1.4`. Where they have a name that begins with `$`, a value stands in for it.

#![cfg(test)]

use std::{env, fs, path::PathBuf};

use kmip::{
    markup::{json, xml},
    ttlv::Limits,
};

const FILES: usize = 68;
const MESSAGES: usize = 912;

/// The files of the cases, by name; `None` where there are none and none were asked for.
fn cases() -> Option<Vec<(String, String)>> {
    let asked = env::var_os("KMIP_OASIS_CASES").map(PathBuf::from);
    let folder = asked
        .clone()
        .unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/kmip-oasis-1.4")));
    if asked.is_none() && !folder.is_dir() {
        println!("OASIS cases: skipped: {} is not there, and KMIP_OASIS_CASES names no folder", folder.display());
        return None;
    }
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "xml"));
    files.sort();
    Some(files.iter().map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap())).collect())
}

/// The messages of a case, requests and answers alike.
fn messages(case: &str) -> impl Iterator<Item = String> {
    ["RequestMessage", "ResponseMessage"].into_iter().flat_map(move |name| {
        let (start, end) = (format!("<{name}>"), format!("</{name}>"));
        let parts: Vec<&str> = case.split(start.as_str()).skip(1).collect();
        parts.into_iter().map(move |part| format!("{start}{}{end}", part.split_once(&end).expect("a message ends").0))
    })
}

/// The message with values where it has names: times, identifiers, else bytes.
fn filled(message: &str) -> String {
    let mut parts = message.split("\"$");
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('"').unwrap();
        let value = match name.split_at_checked(3) {
            Some(("NOW", "")) => "2017-11-22T10:00:00+00:00".to_owned(),
            Some(("NOW", shift)) => {
                let hours = shift.parse::<i32>().unwrap() / 3600;
                format!("2017-11-22T{:02}:00:00+00:00", 10 + hours)
            }
            Some(("UNI", _)) => name.to_lowercase(),
            _ => "00a1b2ff".to_owned(),
        };
        text += &format!("\"{value}\"{rest}");
    }
    text
}

/// The elements of a text in their order, each as it would be written here: without comments, masks in the order of their bits,
/// bytes in small letters.
fn elements(text: &str) -> Vec<String> {
    let tags = text.split('<').skip(1).filter(|tag| !tag.starts_with(['/', '!']));
    tags.map(|tag| {
        let tag = tag.split_once('>').unwrap().0.trim_end_matches('/').trim_end();
        let Some((head, value)) = tag.split_once(" value=") else { return tag.to_owned() };
        let mut words: Vec<&str> = value.trim_matches('"').split_whitespace().collect();
        if head.ends_with("\"Integer\"") {
            words.sort_unstable();
        }
        let value = if head.ends_with("\"TextString\"") { value.to_owned() } else { words.join(" ") };
        let value = if head.ends_with("\"ByteString\"") { value.to_lowercase() } else { value };
        format!("{head} {value}")
    })
    .collect()
}

#[test]
fn every_message_of_the_oasis_cases_is_the_same_in_each_encoding() {
    let Some(cases) = cases() else { return };
    let mut count = 0;
    for (file, case) in &cases {
        for message in messages(case).map(|message| filled(&message)) {
            count += 1;
            let frame =
                xml::read(&message, &Limits::REQUEST).unwrap_or_else(|error| panic!("{file}: {error}\n{message}"));
            let in_xml = xml::write(&frame).unwrap();
            assert_eq!(elements(&in_xml), elements(&message), "{file}");
            assert_eq!(xml::read(&in_xml, &Limits::REQUEST).as_ref(), Ok(&frame), "{file}");
            let in_json = json::write(&frame).unwrap();
            assert_eq!(json::read(&in_json, &Limits::REQUEST).as_ref(), Ok(&frame), "{file}");
        }
    }
    assert_eq!((cases.len(), count), (FILES, MESSAGES));
}
