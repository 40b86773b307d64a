//! Two books that agree, and each way in which they can differ. Events are as the AWS KMS developer guide shows them.

use std::path::Path;

use custody::l1::calls::Call;
use kmip_server::audit::Log;
use orbital::names::KeyRef;
use serde_json::{Value, json};

use super::*;

const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const OTHER: &str = "arn:aws:kms:eu-central-1:444455556666:key/0987dcba-09fe-87dc-65ba-ab0987654321";
const FRA: &str = "arn:aws:iam::111122223333:user/kcm-fra";
/// 2023-11-14T22:13:20Z.
const START: u64 = 1_700_000_000_000;
const MINUTE: u64 = 60_000;

fn context(purpose: custody::l1::Purpose) -> custody::l1::Context {
    custody::l1::Context {
        deployment: "test".parse().unwrap(),
        tenant: orbital::names::TenantId(orbital::names::Digest([7; 32])),
        region: "eu-frankfurt".parse().unwrap(),
        purpose,
        version: 1,
    }
}

/// A region's log, written as a region writes it: minute, operation, request, outcome.
fn log(folder: &Path, calls: &[(u64, &'static str, Option<&str>, &str)]) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    let log = Log::open(&folder.join("audit.jsonl")).unwrap();
    let (key, bound) = (KeyRef::new(KEY).unwrap(), context(custody::l1::Purpose::L2));
    for &(minute, operation, request, outcome) in calls {
        let context = (operation != "DescribeKey").then_some(&bound);
        let call = Call { provider: "aws-kms", operation, key: &key, context, request, outcome };
        log.asked(START + minute * MINUTE, &call);
    }
    drop(log);
    folder.to_owned()
}

/// An event of the region's own principal, with all that CloudTrail writes.
fn event(minute: u64, name: &str, request: &str) -> Value {
    let pairs: serde_json::Map<String, Value> = context(custody::l1::Purpose::L2)
        .pairs()
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let parameters = match name {
        "DescribeKey" => json!({ "keyId": KEY }),
        _ => json!({ "keyId": KEY, "encryptionAlgorithm": "SYMMETRIC_DEFAULT", "encryptionContext": pairs }),
    };
    json!({
        "eventVersion": "1.08",
        "userIdentity": { "type": "IAMUser", "principalId": "AIDA", "arn": FRA, "accountId": "111122223333" },
        "eventTime": plain::time_ms(START + minute * MINUTE), "eventSource": "kms.amazonaws.com", "eventName": name,
        "awsRegion": "eu-central-1", "sourceIPAddress": "192.0.2.7", "userAgent": "aws-sdk-rust/1", "requestParameters": parameters,
        "responseElements": null, "requestID": request, "eventID": format!("event-{request}"), "readOnly": true,
        "resources": [{ "accountId": "111122223333", "type": "AWS::KMS::Key", "ARN": KEY }],
        "eventType": "AwsApiCall", "managementEvent": true, "recipientAccountId": "111122223333",
    })
}

fn with(mut event: Value, members: &[(&str, Value)]) -> Value {
    for (pointer, value) in members {
        *event.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value.clone();
    }
    event
}

fn trail(path: &Path, events: &[Value]) -> PathBuf {
    std::fs::write(path, json!({ "Records": events }).to_string()).unwrap();
    path.to_owned()
}

/// What is told of these books, over the whole hour.
fn told(calls: &[(u64, &'static str, Option<&str>, &str)], events: &[Value]) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let region_log = vec![log(&folder.path().join("fra"), calls)];
    let cloudtrail = vec![trail(&folder.path().join("trail.json"), events)];
    perform(&Reconcile { cloudtrail, region_log, keys: vec![], from: Some(START), to: Some(START + 60 * MINUTE) })
        .unwrap()
}

/// A first and a last call, so that the log covers the hour.
const FRAME: [(u64, &str, Option<&str>, &str); 2] =
    [(0, "DescribeKey", Some("r-first"), "Success"), (60, "DescribeKey", Some("r-last"), "Success")];

fn framed(events: &[Value]) -> Vec<Value> {
    [&[event(0, "DescribeKey", "r-first"), event(60, "DescribeKey", "r-last")], events].concat()
}

#[test]
fn books_that_agree_are_matched_by_number() {
    let calls =
        [FRAME[0], (5, "Decrypt", Some("r-1"), "Success"), (6, "Decrypt", Some("r-2"), "DisabledException"), FRAME[1]];
    // What AWS refuses may come without what was asked.
    let refused = with(event(6, "Decrypt", "r-2"), &[("/requestParameters", Value::Null)]);
    let mut refused = with(refused, &[("/resources", Value::Null)]);
    refused["errorCode"] = "DisabledException".into();
    let report = told(&calls, &framed(&[event(5, "Decrypt", "r-1"), refused]));
    assert_eq!((report.exit, &report.json["matched"]), (Exit::Done, &json!(4)), "{}", report.text);
    assert!(
        report.text.contains("\nThe two agree, from 2023-11-14T22:13:20Z to 2023-11-14T23:13:20Z."),
        "{}",
        report.text
    );
    assert_eq!((&report.json["keys"], &report.json["agree"]), (&json!([KEY]), &json!(true)));
}

#[test]
fn a_use_that_no_region_asked_for_is_the_alarm() {
    let thief = [
        ("/userIdentity/arn", json!("arn:aws:sts::111122223333:assumed-role/Admin/mallory")),
        ("/sourceIPAddress", json!("203.0.113.9")),
    ];
    let report = told(&FRAME, &framed(&[with(event(7, "Decrypt", "r-x"), &thief)]));
    assert_eq!(report.exit, Exit::NotHealthy);
    for part in
        ["ALARM", "Admin/mallory", "203.0.113.9", "2023-11-14T22:20:20Z", "event-r-x", "eu-frankfurt", "1 finding(s)"]
    {
        assert!(report.text.contains(part), "{part}: {}", report.text);
    }
    assert_eq!(report.json["only_in_cloudtrail"][0]["event_id"], "event-r-x");
    // Tried and refused is told as well, and so is a key that is named by its id alone.
    let mut tried = with(event(7, "GenerateDataKey", "r-y"), &thief);
    tried["errorCode"] = "AccessDenied".into();
    let tried = with(
        tried,
        &[("/resources", Value::Null), ("/requestParameters/keyId", json!("1234abcd-12ab-34cd-56ef-1234567890ab"))],
    );
    assert!(told(&FRAME, &framed(&[tried])).text.contains("AccessDenied"));
}

#[test]
fn whoever_governs_the_key_is_told_and_no_finding_unless_it_is_our_principal() {
    let admin = [("/userIdentity/arn", json!("arn:aws:iam::111122223333:user/admin"))];
    let governs = told(&FRAME, &framed(&[with(event(7, "DisableKey", "r-x"), &admin)]));
    assert!(governs.exit == Exit::Done && governs.text.contains("user/admin"), "{}", governs.text);
    let ours = told(&FRAME, &framed(&[event(7, "DescribeKey", "r-x")]));
    assert_eq!((ours.exit, ours.json["only_in_cloudtrail"].as_array().unwrap().len()), (Exit::NotHealthy, 1));
}

#[test]
fn a_granted_call_that_aws_never_saw_is_found_unless_it_may_still_come() {
    let claimed = [FRAME[0], (10, "Decrypt", Some("r-1"), "Success"), FRAME[1]];
    let report = told(&claimed, &framed(&[]));
    assert_eq!(report.exit, Exit::NotHealthy);
    assert!(report.text.contains("AWS never saw it") && report.text.contains("r-1"), "{}", report.text);
    let not_judged = |call| told(&[FRAME[0], call, FRAME[1]], &framed(&[])).json["not_judged"].clone();
    assert_eq!(not_judged((46, "Decrypt", Some("r-1"), "Success"))["late"], 1);
    assert_eq!(not_judged((44, "Decrypt", Some("r-1"), "AccessDeniedException"))["refused"], 1);
    assert_eq!(not_judged((44, "Decrypt", None, "NoAnswer"))["unanswered"], 1);
}

#[test]
fn a_call_without_an_answer_explains_an_event_of_its_context_and_time_and_no_other() {
    let calls = [FRAME[0], (5, "Decrypt", None, "NoAnswer"), FRAME[1]];
    let report = told(&calls, &framed(&[event(5, "Decrypt", "r-1")]));
    assert_eq!((report.exit, &report.json["by_context"]), (Exit::Done, &json!(1)), "{}", report.text);
    for other in [
        // Whose principal made no call of ours: a silence of ours explains nothing that a stranger did, however well it fits.
        with(event(5, "Decrypt", "r-1"), &[("/userIdentity/arn", json!("arn:aws:iam::111122223333:user/mallory"))]),
        event(7, "Decrypt", "r-1"),
        event(5, "Encrypt", "r-1"),
        with(event(5, "Decrypt", "r-1"), &[("/requestParameters/encryptionContext/kcm:purpose", json!("probe"))]),
    ] {
        assert_eq!(told(&calls, &framed(&[other])).exit, Exit::NotHealthy);
    }
}

#[test]
fn one_request_of_which_the_two_say_different_things_is_found() {
    let calls = [FRAME[0], (5, "Decrypt", Some("r-1"), "Success"), FRAME[1]];
    let differs = |event| told(&calls, &framed(&[event])).json["differ"][0]["what"].clone();
    let mut refused = event(5, "Decrypt", "r-1");
    refused["errorCode"] = "AccessDenied".into();
    assert_eq!(differs(refused), "whether it was granted");
    assert_eq!(differs(event(5, "Encrypt", "r-1")), "the operation");
    let elsewhere = [("/resources/0/ARN", json!(OTHER)), ("/requestParameters/keyId", json!(OTHER))];
    assert_eq!(differs(with(event(5, "Decrypt", "r-1"), &elsewhere)), "the key");
    let context = [("/requestParameters/encryptionContext/kcm:region", json!("ch-zurich"))];
    assert_eq!(differs(with(event(5, "Decrypt", "r-1"), &context)), "the encryption context");
}

#[test]
fn copies_other_keys_and_other_times_are_counted_and_not_judged() {
    let elsewhere = [
        ("/resources/0/ARN", json!(OTHER)),
        ("/requestParameters/keyId", json!(OTHER)),
        ("/userIdentity/arn", json!("x")),
    ];
    let mut copy = event(5, "Decrypt", "r-1");
    copy["sharedEventID"] = "shared".into();
    // The copy of another account has an id of its own.
    let mut twin = with(copy.clone(), &[("/eventID", json!("event-twin"))]);
    twin["recipientAccountId"] = "444455556666".into();
    let events = framed(&[
        copy.clone(),
        copy,
        twin,
        with(event(6, "Decrypt", "r-2"), &elsewhere),
        event(61, "Decrypt", "r-3"),
        with(event(6, "PutObject", "r-4"), &[("/eventSource", json!("s3.amazonaws.com"))]),
    ]);
    let report = told(&[FRAME[0], (5, "Decrypt", Some("r-1"), "Success"), FRAME[1]], &events);
    assert_eq!(report.exit, Exit::Done, "{}", report.text);
    assert_eq!(
        (&report.json["cloudtrail"]["twice"], &report.json["cloudtrail"]["of_other_services"]),
        (&json!(2), &json!(1))
    );
    let not_judged = &report.json["not_judged"];
    assert_eq!((&not_judged["other_keys"], &not_judged["theirs_outside"]), (&json!(1), &json!(1)));
    let early = told(&[FRAME[0], (70, "Decrypt", Some("r-9"), "Success")], &framed(&[]));
    assert_eq!(early.json["not_judged"]["ours_outside"], 1, "{}", early.text);
}

#[test]
fn what_is_no_event_is_a_finding_and_what_is_no_file_is_refused() {
    let mut timeless = event(5, "Decrypt", "r-1");
    timeless["eventTime"] = "yesterday".into();
    let report = told(&FRAME, &framed(&[timeless, json!(7)]));
    assert_eq!((report.exit, report.json["cloudtrail"]["unread"].as_array().unwrap().len()), (Exit::NotHealthy, 2));
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, why) in [
        ("packed.json.gz", &[0x1f, 0x8b, 8, 0][..], "compressed"),
        ("half.json", br#"{"Records": ["#, "not JSON"),
        ("other.json", b"{}", "neither"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        assert!(Trail::read(&[path]).unwrap_err().why.contains(why), "{name}");
    }
}

#[test]
fn a_folder_is_read_with_its_digests_left_out_and_so_is_what_lookup_events_prints() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("2023/11");
    std::fs::create_dir_all(&below).unwrap();
    trail(&below.join("a.json"), &[event(1, "Decrypt", "r-1")]);
    std::fs::write(below.join("digest.json"), r#"{"digestStartTime": "2023-11-14T22:00:00Z"}"#).unwrap();
    let printed = json!({ "Events": [{ "CloudTrailEvent": event(2, "Decrypt", "r-2").to_string() }, {}] });
    std::fs::write(below.join("looked-up.json"), printed.to_string()).unwrap();
    let trail = Trail::read(&[folder.path().to_owned()]).unwrap();
    assert_eq!((trail.events.len(), trail.unread.len()), (2, 1));
    assert_eq!(trail.covers, Some((START + MINUTE, START + 2 * MINUTE)));
}

/// The customer's key at another place: its material is the same.
#[test]
fn a_use_through_a_replica_and_one_without_a_name_are_no_uses_of_other_keys() {
    let stranger = ("/userIdentity/arn", json!("arn:aws:iam::111122223333:user/mallory"));
    let replicated = |place: &str, id: &str| json!(format!("arn:aws:kms:{place}:111122223333:key/{id}"));
    let found = |key: &str, name: Value| {
        let used = with(
            event(7, "Decrypt", "r-x"),
            &[stranger.clone(), ("/resources/0/ARN", name.clone()), ("/requestParameters/keyId", name)],
        );
        let folder = tempfile::tempdir().unwrap();
        let region_log = vec![log(&folder.path().join("fra"), &FRAME)];
        let cloudtrail = vec![trail(&folder.path().join("trail.json"), &framed(&[used]))];
        let asked = Reconcile { cloudtrail, region_log, keys: vec![key.to_owned()], from: None, to: None };
        perform(&asked).unwrap().json["only_in_cloudtrail"].as_array().unwrap().len()
    };
    let key = "arn:aws:kms:eu-central-1:111122223333:key/mrk-1";
    assert_eq!(found(key, replicated("us-east-1", "mrk-1")), 1, "a replica of it");
    assert_eq!(found(key, replicated("us-east-1", "mrk-2")), 0, "a replica of another key");
    let single = "arn:aws:kms:eu-central-1:111122223333:key/1";
    assert_eq!(found(single, replicated("us-east-1", "1")), 0, "no replica, though its id is the same");

    let nameless = [stranger, ("/resources", Value::Null), ("/requestParameters", Value::Null)];
    let mut refused = with(event(7, "Decrypt", "r-x"), &nameless);
    refused["errorCode"] = "AccessDenied".into();
    let report = told(&FRAME, &framed(&[refused]));
    assert_eq!((report.exit, &report.json["not_judged"]["nameless"]), (Exit::Done, &json!(1)), "{}", report.text);
    assert!(report.text.contains("1 event(s) that name no key"), "{}", report.text);
    let granted = told(&FRAME, &framed(&[with(event(7, "Decrypt", "r-x"), &nameless)]));
    assert_eq!(granted.exit, Exit::NotHealthy, "a granted use of nobody knows which key: {}", granted.text);
}

/// Two books without a time in common agree about nothing.
#[test]
fn what_was_not_judged_is_no_agreement() {
    let folder = tempfile::tempdir().unwrap();
    let cloudtrail = vec![trail(&folder.path().join("trail.json"), &[])];
    let region_log = vec![log(&folder.path().join("fra"), &[(90, "DescribeKey", None, "NoAnswer")])];
    let asked = Reconcile { cloudtrail, region_log, keys: vec![], from: Some(START), to: Some(START + MINUTE) };
    let apart = perform(&asked).unwrap();
    assert_eq!((apart.exit, &apart.json["agree"]), (Exit::NotHealthy, &json!(false)), "{}", apart.text);
    assert!(apart.text.ends_with("Nothing was judged: the two have no time in common. Name files of the same time."));
}

/// A region's log that was cut off, or that nobody copied to its end.
#[test]
fn a_log_that_ends_early_explains_nothing_away() {
    let stranger = with(event(40, "Decrypt", "r-x"), &[("/userIdentity/arn", json!("mallory"))]);
    let early = [FRAME[0], (30, "DescribeKey", None, "NoAnswer")];
    let report = told(&early, &[event(0, "DescribeKey", "r-first")]);
    assert_eq!(report.exit, Exit::Done, "{}", report.text);
    let report = told(&early, &[event(0, "DescribeKey", "r-first"), stranger]);
    assert_eq!((report.exit, &report.json["agree"]), (Exit::NotHealthy, &json!(false)), "{}", report.text);
    assert_eq!(report.json["uncovered"][0]["event_id"], "event-r-x");
    assert!(report.text.contains("Judged:     2023-11-14T22:13:20Z to 2023-11-14T22:43:20Z"), "{}", report.text);
}

/// Only what all regions' logs cover is judged, and a log whose seals do not hold proves nothing.
#[test]
fn the_time_that_all_logs_have_in_common_is_judged_and_a_changed_log_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let fra = log(
        &folder.path().join("fra"),
        &[(0, "DescribeKey", Some("r-1"), "Success"), (30, "DescribeKey", Some("r-2"), "Success")],
    );
    let zrh = log(
        &folder.path().join("zrh"),
        &[(10, "DescribeKey", Some("r-3"), "Success"), (40, "DescribeKey", Some("r-4"), "Success")],
    );
    let stranger =
        |minute| with(event(minute, "Decrypt", &format!("x-{minute}")), &[("/userIdentity/arn", json!("x"))]);
    let events =
        [event(0, "DescribeKey", "r-1"), stranger(5), stranger(20), stranger(35), event(40, "DescribeKey", "r-4")];
    let cloudtrail = vec![trail(&folder.path().join("trail.json"), &events)];
    let region_log = vec![fra.clone(), zrh];
    let asked = Reconcile { cloudtrail, region_log, keys: vec![], from: None, to: None };
    let report = perform(&asked).unwrap();
    assert_eq!(report.json["only_in_cloudtrail"].as_array().unwrap().len(), 1, "{}", report.text);
    assert_eq!(
        report.json["uncovered"].as_array().unwrap().len(),
        2,
        "before the one, and after the other: {}",
        report.text
    );
    assert!(report.text.contains("at a time that not all logs cover"), "{}", report.text);
    let path = fra.join("audit.jsonl");
    let edited = std::fs::read_to_string(&path).unwrap().replace("r-2", "r-9");
    std::fs::write(&path, edited).unwrap();
    assert_eq!(perform(&asked).unwrap_err().exit, Exit::Denied);
}
