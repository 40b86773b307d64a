//! Rendering: pure. A notice in the words and the form of each kind of channel. Each says what, whose, where to look, and that an answer
//! here is none.

use std::fmt::Write as _;

use orbital::routing::Occasion;
use serde_json::{Value, json};

use super::notice::{Delivery, Notice};

/// Said under every notice (DESIGN §2.17).
const NO_ANSWER: &str = "An answer to this message decides nothing: sign in the portal or with kcm.";
/// Longest summary of an event of PagerDuty, in characters (Events API v2).
const SUMMARY_CHARACTERS_MAX: usize = 1_024;
/// Longest text of one section of a message to Slack, in characters.
const SECTION_CHARACTERS_MAX: usize = 3_000;

/// The subject of a mail, and the first line of everything else.
pub(super) fn headline(notice: &Notice) -> String {
    let grave = notice.occasion.is_some_and(Occasion::is_grave);
    format!("[kcm{}] {}: {}", if grave { " !" } else { "" }, notice.name, notice.title)
}

/// Plain text, for mails.
pub(super) fn text(notice: &Notice) -> String {
    let mut text = format!("{}\n\n", notice.title);
    for (label, value) in
        [("Tenant".to_owned(), format!("{} ({})", notice.name, notice.tenant))].iter().chain(&notice.lines)
    {
        let _infallible = writeln!(text, "{label}: {value}");
    }
    let _infallible = writeln!(text, "\nLook: {}", notice.link);
    if let Some(proposal) = &notice.proposal {
        let _infallible = writeln!(text, "Or:   kcm proposal show {proposal}");
    }
    let _infallible = writeln!(text, "\n{NO_ANSWER}");
    text
}

/// What Slack's incoming webhooks take. People wrote parts of it: nothing of theirs calls a channel or looks like a link.
pub(super) fn slack(notice: &Notice) -> Value {
    let line = |(label, value): &(String, String)| format!("*{}:* {}", escaped(label), escaped(value));
    let mut lines = vec![format!("*{}*", escaped(&headline(notice)))];
    lines.extend(notice.lines.iter().map(line));
    lines.push(format!("<{}|Look>", notice.link));
    let text: String = lines.join("\n").chars().take(SECTION_CHARACTERS_MAX).collect();
    json!({
        "text": escaped(&headline(notice)),
        "blocks": [
            { "type": "section", "text": { "type": "mrkdwn", "text": text } },
            { "type": "context", "elements": [{ "type": "plain_text", "text": NO_ANSWER }] },
        ],
    })
}

/// The three characters that Slack reads as its own.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// PagerDuty, Events API v2. The routing key is added when it is sent.
pub(super) fn pagerduty(notice: &Notice, source: &str) -> Value {
    if notice.closes {
        return json!({ "event_action": "resolve", "dedup_key": notice.incident });
    }
    let summary: String = headline(notice).chars().take(SUMMARY_CHARACTERS_MAX).collect();
    let severity = match notice.occasion {
        Some(occasion) if occasion.is_grave() => "critical",
        Some(_) => "warning",
        None => "info",
    };
    let details: serde_json::Map<String, Value> =
        notice.lines.iter().map(|(label, value)| (label.clone(), Value::String(value.clone()))).collect();
    json!({
        "event_action": "trigger",
        "dedup_key": notice.incident,
        "links": [{ "href": notice.link, "text": "Look" }],
        "payload": {
            "summary": summary,
            "source": source,
            "severity": severity,
            "component": notice.name,
            "class": notice.word(),
            "custom_details": details,
        },
    })
}

/// The body of a webhook: everything, for programs.
pub(super) fn webhook(delivery: &Delivery) -> Value {
    let notice = &delivery.notice;
    json!({
        "type": notice.word(),
        "timestamp": notice.at_ms,
        "data": {
            "tenant": notice.tenant,
            "name": notice.name,
            "title": notice.title,
            "details": notice.lines.iter().map(|(label, value)| json!({ "label": label, "value": value })).collect::<Vec<_>>(),
            "link": notice.link,
            "proposal": notice.proposal,
            "correlation": notice.correlation,
            "stop": notice.stop,
            "groups": notice.groups,
            "people": notice.people,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::route::tests::{name, notice};

    #[test]
    fn every_kind_says_what_where_and_that_no_answer_counts() {
        let notice = notice(Occasion::ApprovalWaiting);
        let slack = slack(&notice).to_string();
        for shown in [text(&notice), slack.clone()] {
            for said in [
                "RevokeL1 waits for signers",
                "acme",
                "alice",
                "https://kcm.example/v1/proposals/p1",
                "decides nothing",
            ] {
                assert!(shown.contains(said), "{said}: {shown}");
            }
        }
        assert!(text(&notice).contains("kcm proposal show p1"));
        assert!(slack.contains("&lt;!channel&gt; &amp; so") && !slack.contains("<!"), "{slack}");
    }

    #[test]
    fn an_incident_is_opened_by_what_waits_and_closed_by_the_decision() {
        let opened = pagerduty(&notice(Occasion::ApprovalWaiting), "gov-1");
        assert_eq!((&opened["event_action"], &opened["dedup_key"]), (&json!("trigger"), &json!("p1")));
        assert_eq!(
            (&opened["payload"]["severity"], &opened["payload"]["source"]),
            (&json!("warning"), &json!("gov-1"))
        );
        assert_eq!(opened["payload"]["custom_details"]["Proposer"], "alice");
        let closed = pagerduty(&notice(Occasion::Rejected), "gov-1");
        assert_eq!(closed, json!({ "event_action": "resolve", "dedup_key": "p1" }));
        assert_eq!(pagerduty(&notice(Occasion::StopRunning), "gov-1")["payload"]["severity"], "critical");
    }

    #[test]
    fn a_webhook_names_everything_a_program_needs() {
        let delivery = Delivery::new(&notice(Occasion::StopRunning), &name("hook"), None, 1);
        let body = webhook(&delivery);
        assert_eq!((&body["type"], &body["timestamp"]), (&json!("stop-running"), &json!(1_767_225_600_000_u64)));
        assert_eq!((&body["data"]["name"], &body["data"]["proposal"]), (&json!("acme"), &json!("p1")));
    }
}
