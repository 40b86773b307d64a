//! The log: one event a line, as JSON or as text, on standard error.
//!
//! `node` and `plane` stand at the front of each line, and `correlation` behind them where the event, or a span around it, has one. A line
//! break within a text line is written as `\n`: what a stranger sends can't forge a line of its own.

use std::fmt::{self, Write};

use orbital::names::NodeName;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    EnvFilter, Layer,
    fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter, format::Writer},
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

use super::{Plane, TelemetryError};

/// The field that ties a click to its last acknowledgement.
const CORRELATION: &str = "correlation";

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// For people.
    Text,
    /// For machines: one object a line.
    Json,
}

/// Starts the log of this process. `filter` is an `EnvFilter`, such as `info,custody=debug`.
///
/// # Errors
/// [`TelemetryError`] where the filter does not read, or the process logs already.
pub fn start_log(node: &NodeName, plane: Plane, style: Style, filter: &str) -> Result<(), TelemetryError> {
    let subscriber = subscriber(node, plane, style, filter, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::LogTwice)
}

fn subscriber<W>(
    node: &NodeName,
    plane: Plane,
    style: Style,
    filter: &str,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let unread = |e: tracing_subscriber::filter::ParseError| TelemetryError::Filter {
        filter: filter.to_owned(),
        why: e.to_string(),
    };
    let filter = EnvFilter::builder().parse(filter).map_err(unread)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    let base = tracing_subscriber::registry().with(filter).with(Noting);
    let node = node.to_string();
    Ok(match style {
        Style::Text => {
            let inner = tracing_subscriber::fmt::format().with_ansi(false);
            Box::new(base.with(lines.event_format(Stamped { inner, style, node, plane })))
        }
        Style::Json => {
            let inner = tracing_subscriber::fmt::format().json();
            Box::new(base.with(lines.json().event_format(Stamped { inner, style, node, plane })))
        }
    })
}

/// Puts node, plane and correlation before what the inner format writes.
struct Stamped<F> {
    inner: F,
    style: Style,
    node: String,
    plane: Plane,
}

impl<S, N, F> FormatEvent<S, N> for Stamped<F>
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::with_capacity(256);
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        let correlation = of_event(event).or_else(|| of_spans(context));
        let line = line.trim_end_matches('\n');
        match self.style {
            Style::Json => {
                let rest = line.strip_prefix('{').ok_or(fmt::Error)?;
                write!(out, r#"{{"node":{},"plane":"{}","#, quoted(&self.node)?, self.plane.label())?;
                if let Some(id) = correlation {
                    write!(out, r#""correlation":{},"#, quoted(&id)?)?;
                }
                writeln!(out, "{rest}")
            }
            Style::Text => {
                write!(out, "{} {} ", self.node, self.plane.label())?;
                if let Some(id) = correlation {
                    write!(out, "{} ", one_line(&id))?;
                }
                writeln!(out, "{}", one_line(line))
            }
        }
    }
}

fn quoted(text: &str) -> Result<String, fmt::Error> {
    serde_json::to_string(text).map_err(|_| fmt::Error)
}

fn one_line(text: &str) -> String {
    text.replace('\r', "\\r").replace('\n', "\\n")
}

fn of_event(event: &Event<'_>) -> Option<String> {
    let mut found = Found(None);
    event.record(&mut found);
    found.0
}

/// The innermost span's.
fn of_spans<S, N>(context: &FmtContext<'_, S, N>) -> Option<String>
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    context.event_scope()?.find_map(|span| span.extensions().get::<Noted>().map(|noted| noted.0.clone()))
}

/// A span's correlation id, kept with the span.
struct Noted(String);

/// Keeps the correlation id of each span that has one.
struct Noting;

impl<S: Subscriber + for<'l> LookupSpan<'l>> Layer<S> for Noting {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let mut found = Found(None);
        attributes.record(&mut found);
        note(found, id, &context);
    }
    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        let mut found = Found(None);
        values.record(&mut found);
        note(found, id, &context);
    }
}

fn note<S: Subscriber + for<'l> LookupSpan<'l>>(found: Found, id: &span::Id, context: &Context<'_, S>) {
    if let (Some(text), Some(span)) = (found.0, context.span(id)) {
        span.extensions_mut().replace(Noted(text));
    }
}

/// The correlation id among fields.
struct Found(Option<String>);

impl Visit for Found {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == CORRELATION {
            self.0 = Some(value.to_owned());
        }
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == CORRELATION {
            let mut text = String::new();
            self.0 = write!(text, "{value:?}").is_ok().then_some(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use orbital::names::Correlation;

    use super::*;
    use crate::telemetry::correlated;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(style: Style, filter: &str, speak: impl FnOnce()) -> Vec<String> {
        let page = Page::default();
        let writer = page.clone();
        let node = NodeName::new("fra-1").unwrap();
        let subscriber = subscriber(&node, Plane::Execution, style, filter, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, speak);
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn speak() {
        let id = Correlation::new("7Q2F").unwrap();
        tracing::info!("outside");
        correlated(&id).in_scope(|| {
            tracing::info_span!("inner", tenant = "acme").in_scope(|| tracing::warn!(keys = 3, "in depth"));
        });
        tracing::info!(correlation = Some("9X"), "by itself");
    }

    #[test]
    fn each_json_line_carries_node_plane_and_the_correlation_around_it() {
        let lines = logged(Style::Json, "info", speak);
        let lines: Vec<serde_json::Value> = lines.iter().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        for line in &lines {
            assert_eq!((line["node"].as_str(), line["plane"].as_str()), (Some("fra-1"), Some("execution")));
        }
        assert_eq!(lines[0].get("correlation"), None);
        assert_eq!(lines[1]["correlation"], "7Q2F");
        assert_eq!((&lines[1]["fields"]["message"], &lines[1]["fields"]["keys"]), (&"in depth".into(), &3.into()));
        assert_eq!(lines[1]["span"]["tenant"], "acme");
        assert_eq!(lines[2]["correlation"], "9X");
    }

    #[test]
    fn each_text_line_carries_them_too() {
        let lines = logged(Style::Text, "info", speak);
        assert!(lines[0].starts_with("fra-1 execution ") && lines[0].ends_with("outside"), "{}", lines[0]);
        assert!(lines[1].starts_with("fra-1 execution 7Q2F ") && lines[1].contains("in depth"), "{}", lines[1]);
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn a_value_cannot_forge_a_line_or_a_member() {
        let speak = || {
            let name = "x\nfra-1 execution all is well\",\"node\":\"y";
            tracing::info_span!("s", correlation = name).in_scope(|| tracing::info!("caller {name}"));
        };
        assert_eq!(logged(Style::Text, "info", speak).len(), 1);
        let lines = logged(Style::Json, "info", speak);
        let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!((lines.len(), line["node"].as_str()), (1, Some("fra-1")));
    }

    #[test]
    fn the_filter_decides_and_a_bad_one_is_named() {
        assert_eq!(logged(Style::Text, "warn", speak).len(), 1);
        let node = NodeName::new("fra-1").unwrap();
        let refused = subscriber(&node, Plane::Governance, Style::Text, "custody=loud", io::sink).err().unwrap();
        assert!(refused.to_string().contains("custody=loud"), "{refused}");
    }
}
