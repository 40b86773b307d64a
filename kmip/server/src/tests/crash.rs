//! A batch with Undo and `kill -9` in the middle of it: afterwards all of it is there, or nothing (KMIP 1.4 §6.13, §11.43).
//!
//! The process that is killed is this test binary itself, started again with the ignored test below. It says what it finds when it
//! begins, then sends one batch after another, and says of each that it begins and that it was answered. It is killed at a moment of a
//! batch that moves on with each round.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use kmip::ResultStatus;

use super::*;

const FOLDER: &str = "KMIP_SERVER_TEST_FOLDER";
const ROUNDS: u32 = 32;
/// Batches that are answered before the one in which the process is killed: they tell how long one takes.
const BATCHES: usize = 3;

fn child(folder: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["tests::crash::batches_until_killed", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn undo() -> RequestHeader<'static> {
    RequestHeader { batch_error_continuation: Some(BatchErrorContinuation::Undo), ..RequestHeader::of(V1_4) }
}

async fn located(rig: &Rig, list: &[(StandardAttribute, AttributeValue)]) -> Vec<String> {
    let got = rig.does(&Request::Locate(ops::locate::Request::of(template(list).attributes))).await.unwrap();
    let Answer::Locate(answer) = got.answer() else { panic!("another answer") };
    answer.unique_identifiers.into_iter().map(str::to_owned).collect()
}

fn name(text: &str) -> (StandardAttribute, AttributeValue) {
    (StandardAttribute::Name, AttributeValue::name(text))
}

fn counted(number: u64) -> Attribute {
    Attribute::new(StandardAttribute::Comment, AttributeValue::Text(number.to_string()))
}

/// The object whose Comment is the number of the last batch, and that number.
async fn counter(rig: &Rig) -> (String, u64) {
    let id = match located(rig, &[name("counter")]).await.pop() {
        Some(id) => id,
        None => {
            let zero = (StandardAttribute::Comment, counted(0).value);
            rig.does(&create_with(&[name("counter"), zero])).await.unwrap().id()
        }
    };
    let ask = ops::get_attributes::Request { unique_identifier: Some(&id), attribute_names: vec!["Comment"] };
    let got = rig.does(&Request::GetAttributes(ask)).await.unwrap();
    let Answer::GetAttributes(answer) = got.answer() else { panic!("another answer") };
    let [Attribute { value: AttributeValue::Text(number), .. }] = answer.attributes.as_slice() else {
        panic!("no text")
    };
    let number = number.parse().unwrap();
    (id, number)
}

/// The Unique Identifiers of what a batch created, if all of it succeeded.
async fn batch(rig: &Rig, requests: &[Request<'_>]) -> Option<Vec<String>> {
    let frame = rig.ask(&rig.caller, &client::batch(undo(), requests)).await;
    let message = AnswerMessage::read(&frame, V1_4, &ttlv::Limits::ANSWER).unwrap();
    let mut made = vec![];
    for item in &message.items {
        if item.result_status != ResultStatus::Success {
            return None;
        }
        if let Ok(Answer::Create(answer)) = item.outcome(item.operation.unwrap().0, V1_4).unwrap() {
            made.push(answer.unique_identifier.to_owned());
        }
    }
    Some(made)
}

fn say(words: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout();
    writeln!(out, "{words}").unwrap();
    out.flush().unwrap();
}

/// Each batch makes an Active key and a key that is not, counts, and destroys what the batch before it made. In between is one that fails.
#[tokio::test]
#[ignore = "a process of kill_9_leaves_all_of_a_batch_with_undo_or_nothing"]
async fn batches_until_killed() {
    let folder = env::var_os(FOLDER).expect("only started by the test below");
    let rig = Rig::at(Path::new(&folder), crate::Limits::default()).await;
    let (id, mut number) = counter(&rig).await;
    let active = (StandardAttribute::State, AttributeValue::Enumeration(kmip::State::Active.code()));
    let (living, active) = (located(&rig, &[]).await.len(), located(&rig, &[active]).await.len());
    say(format_args!("\nthere {number} {living} {active}"));
    let mut last = located(&rig, &[name(&format!("last-{number}"))]).await.pop();
    loop {
        number += 1;
        let count = ops::modify_attribute::Request { unique_identifier: Some(&id), attribute: counted(number) };
        let mut requests = vec![
            create_with(&[name(&format!("key-{number}"))]),
            activate(None),
            create_with(&[name(&format!("last-{number}"))]),
            Request::ModifyAttribute(count),
        ];
        requests.extend(last.as_deref().map(destroy));
        say(format_args!("begun {number}"));
        let made = batch(&rig, &requests).await.expect("it succeeds");
        say(format_args!("done {number}"));
        last = made.last().cloned();
        assert!(batch(&rig, &[create(), destroy(last.as_deref().unwrap()), get("1")]).await.is_none());
    }
}

/// What a process says.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    There { number: u64, living: u64, active: u64 },
    Begun(u64),
    Done(u64),
    Other,
}

impl Said {
    fn of(line: &str) -> Self {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let numbers: Vec<u64> = rest.split(' ').filter_map(|number| number.parse().ok()).collect();
        match (word, numbers.as_slice()) {
            ("there", &[number, living, active]) => Self::There { number, living, active },
            ("begun", &[number]) => Self::Begun(number),
            ("done", &[number]) => Self::Done(number),
            _ => Self::Other,
        }
    }
}

#[test]
fn kill_9_leaves_all_of_a_batch_with_undo_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut begun, mut done, mut torn) = (0, 0, 0);
    for round in 0..=ROUNDS {
        let mut child = child(folder.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut hear = || lines.next()?.ok().map(|line| Said::of(&line));
        let (mut answered, mut took, mut at) = (0, Duration::ZERO, Instant::now());
        loop {
            match hear().expect("the process ended by itself") {
                Said::There { number, living, active } => {
                    assert!((done..=begun).contains(&number), "{done} answered, {begun} begun, {number} there");
                    // The counter, a key of each batch, and what the last one made besides.
                    assert_eq!((living, active), (1 + number + number.min(1), number), "round {round}: {number}");
                    (begun, done) = (number, number);
                }
                Said::Begun(number) => {
                    (begun, at) = (number, Instant::now());
                    if answered == BATCHES {
                        break;
                    }
                }
                Said::Done(number) => (done, answered, took) = (number, answered + 1, at.elapsed()),
                Said::Other => {}
            }
        }
        while at.elapsed() < took * round / ROUNDS {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said before the kill reached it counts as well.
        while let Some(said) = hear() {
            match said {
                Said::Begun(number) => begun = number,
                Said::Done(number) => done = number,
                Said::There { .. } | Said::Other => {}
            }
        }
        torn += u32::from(done < begun);
    }
    assert!(torn > 0, "no kill came in the middle of a batch");
}
