//! Findings for people (with the lines of the file, as rustc shows them) and for machines (JSON). Neither shows a secret.

use std::{fmt, fmt::Write as _, ops::Range};

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, ReportHandler, SourceCode, SourceSpan,
};
use serde_json::{Value, json};

use crate::finding::{Finding, Label, Severity};

/// Longest line of an explanation, in columns.
pub const EXPLAIN_COLUMNS: usize = 100;

/// The findings of the file called `name` with text `text`, one block each, and a line that counts them.
pub fn explain(name: &str, text: &str, findings: &[Finding], color: bool) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_links(false)
        .with_width(EXPLAIN_COLUMNS)
        .with_context_lines(1)
        .without_syntax_highlighting();
    let shown = NamedSource::new(name, blackened(text, findings));
    let mut out = String::new();
    for finding in findings {
        let report = Report { finding, source: &shown };
        let drawn = Drawn { handler: &handler, report: &report };
        // Drawing into a String fails only if a span lies outside the text; the sentence must not be lost with it.
        if write!(out, "{drawn}").is_err() {
            let _infallible = writeln!(out, "{} {}: {}", finding.code, finding.code.slug(), finding.message);
        }
        if finding.labels.iter().all(|l| l.place.span.is_none())
            && let Some(label) = finding.labels.first().filter(|l| !l.place.path.is_empty())
        {
            let _infallible = writeln!(out, "  at: {}", label.place.path);
        }
        out.push('\n');
    }
    let _infallible = writeln!(out, "{}", summary(name, findings));
    out
}

/// Such as `2 errors, 1 warning in topology.toml`.
pub fn summary(name: &str, findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|f| f.severity() == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let plural = |n: usize, word: &str| if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") };
    match (errors, warnings) {
        (0, 0) => format!("{name} is in order"),
        (0, w) => format!("{} in {name}", plural(w, "warning")),
        (e, 0) => format!("{} in {name}", plural(e, "error")),
        (e, w) => format!("{}, {} in {name}", plural(e, "error"), plural(w, "warning")),
    }
}

/// The findings as a list for `-o json`. Lines and columns count from 1; columns count characters.
pub fn to_json(text: &str, findings: &[Finding]) -> Value {
    let one = |finding: &Finding| {
        let labels: Vec<Value> = shown(finding).map(|label| label_json(text, label)).collect();
        json!({
            "code": finding.code.as_str(),
            "name": finding.code.slug(),
            "severity": match finding.severity() { Severity::Error => "error", Severity::Warning => "warning" },
            "message": finding.message,
            "help": finding.help,
            "labels": labels,
        })
    };
    Value::Array(findings.iter().map(one).collect())
}

fn label_json(text: &str, label: &Label) -> Value {
    let mut value = json!({ "path": label.place.path, "text": label.text });
    if let (Some(span), Some(object)) = (&label.place.span, value.as_object_mut()) {
        let ((line, column), (end_line, end_column)) = (position(text, span.start), position(text, span.end));
        object.insert("line".into(), line.into());
        object.insert("column".into(), column.into());
        object.insert("end_line".into(), end_line.into());
        object.insert("end_column".into(), end_column.into());
    }
    value
}

fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before.get(line..).unwrap_or_default().chars().count() + 1)
}

fn shown(finding: &Finding) -> impl Iterator<Item = &Label> {
    finding.labels.iter().filter(|l| !l.secret)
}

/// The text with every secret replaced, byte for byte, so that all places stay right.
fn blackened(text: &str, findings: &[Finding]) -> String {
    let secrets: Vec<&Range<usize>> =
        findings.iter().flat_map(|f| &f.labels).filter(|l| l.secret).filter_map(|l| l.place.span.as_ref()).collect();
    let hidden = |at: usize| secrets.iter().any(|span| span.contains(&at));
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        match c {
            c if c != '\n' && hidden(at) => (0..c.len_utf8()).for_each(|_| out.push('*')),
            c => out.push(c),
        }
    }
    out
}

struct Drawn<'a> {
    handler: &'a GraphicalReportHandler,
    report: &'a Report<'a>,
}

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handler.debug(self.report, f)
    }
}

/// A finding as miette wants to see it.
struct Report<'a> {
    finding: &'a Finding,
    source: &'a NamedSource<String>,
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.finding.message)
    }
}
impl std::error::Error for Report<'_> {}

impl Diagnostic for Report<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        Some(Box::new(format!("{} {}", self.finding.code, self.finding.code.slug())))
    }
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.finding.severity() {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }
    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        Some(Box::new(&self.finding.help))
    }
    fn source_code(&self) -> Option<&dyn SourceCode> {
        shown(self.finding).any(|l| l.place.span.is_some()).then_some(self.source as &dyn SourceCode)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let labels = shown(self.finding).enumerate().filter_map(|(index, label)| {
            let span = label.place.span.as_ref()?;
            let span = SourceSpan::from(span.start..span.end);
            let text = Some(label.text.clone());
            Some(if index == 0 {
                LabeledSpan::new_primary_with_span(text, span)
            } else {
                LabeledSpan::new_with_span(text, span)
            })
        });
        Some(Box::new(labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Code, finding::Place};

    fn finding(span: Option<Range<usize>>) -> Finding {
        Finding::new(Code::WrongValue, "it is wrong", "do this").at(&Place { path: "a.b".into(), span }, "here")
    }

    #[test]
    fn a_place_outside_the_text_does_not_lose_the_sentence() {
        let said = explain("x.toml", "a = 1\n", &[finding(Some(900..901))], false);
        assert!(said.contains("it is wrong") && said.contains("1 error in x.toml"), "{said}");
    }

    #[test]
    fn json_counts_lines_and_characters_from_one() {
        let text = "ä = 1\nbö = 2\n";
        let at = text.find('2').unwrap();
        let value = to_json(text, &[finding(Some(at..at + 1))]);
        assert_eq!(value[0]["labels"][0]["line"], 2);
        assert_eq!(value[0]["labels"][0]["column"], 6);
        assert_eq!(value[0]["labels"][0]["end_column"], 7);
        assert_eq!(value[0]["severity"], "error");
    }

    #[test]
    fn a_secret_is_black_and_moves_nothing() {
        let text = "pin = \"gehëim\"\nx = 1\n";
        let hidden = finding(Some(0..3)).hiding(&Place { path: String::new(), span: Some(6..15) });
        let black = blackened(text, std::slice::from_ref(&hidden));
        assert_eq!(black, "pin = *********\nx = 1\n");
        assert!(!explain("x", text, &[hidden], false).contains("geh"));
    }

    #[test]
    fn counts_are_in_words() {
        let two = [finding(None), finding(None)];
        assert_eq!(summary("f", &[]), "f is in order");
        assert_eq!(summary("f", &two), "2 errors in f");
        let warning = Finding::new(Code::SinglePoint, "w", "h");
        assert_eq!(summary("f", std::slice::from_ref(&warning)), "1 warning in f");
        assert_eq!(summary("f", &[two[0].clone(), warning]), "1 error, 1 warning in f");
    }
}
