//! Where a command speaks: results to standard output, remarks and questions to standard error, so that output can be piped.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    time::Duration,
};

use serde_json::Value;

use super::{
    Format, Global,
    exit::{Failure, Report},
};

/// One command's screen.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    format: Format,
    yes: bool,
}

impl Screen {
    pub(crate) fn of(global: &Global) -> Self {
        Self { format: global.output, yes: global.yes }
    }

    /// A line while the command goes on.
    pub(crate) fn line(self, json: &Value, text: &str) {
        match self.format {
            Format::Table => out(text),
            Format::Json => out(&json.to_string()),
        }
    }

    /// A remark for people.
    pub(crate) fn note(self, text: &str) {
        let _closed = writeln!(io::stderr().lock(), "{text}");
    }

    pub(crate) fn report(self, report: &Report) {
        match self.format {
            Format::Table => out(&report.text),
            // What has nothing to say has written its lines itself.
            Format::Json if report.json.is_null() => {}
            Format::Json => out(&format!("{:#}", report.json)),
        }
    }

    pub(crate) fn failure(self, failure: &Failure) {
        match self.format {
            Format::Table => self.note(&failure.to_string()),
            Format::Json => self.note(&serde_json::json!({ "error": failure }).to_string()),
        }
    }

    /// Shows what is signed. A person at a terminal is asked; a script that runs the command has decided already.
    pub(crate) fn agree(self, sentences: &[String]) -> Result<(), Failure> {
        self.note(&format!("What is signed:\n  {}", sentences.join("\n  ")));
        if self.yes || !io::stdin().is_terminal() {
            return Ok(());
        }
        let mut to = io::stderr().lock();
        let _closed = write!(to, "Sign this? [y/N] ").and_then(|()| to.flush());
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
            return Ok(());
        }
        Err(Failure::denied("nothing was signed")
            .because("you did not answer `y`")
            .fix("run the command again to sign"))
    }
}

fn out(text: &str) {
    if text.is_empty() {
        return;
    }
    // A reader that went away, as `head` does, is no error of ours.
    let _closed = writeln!(io::stdout().lock(), "{text}");
}

/// How long `--wait` goes on, for messages.
pub(crate) fn spoken(wait: Duration) -> String {
    if wait.subsec_millis() == 0 { format!("{} s", wait.as_secs()) } else { format!("{} ms", wait.as_millis()) }
}
