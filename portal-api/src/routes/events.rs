//! `/v1/events`: what happens, as server-sent events. `Last-Event-ID` (or `?after=`) resumes; a `missed` event says that some were lost.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures::stream;
use governance::{Event, Watching};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use warp::{
    Filter,
    reply::{Reply, Response},
    sse,
};

use crate::{
    door::{Door, Route, finish},
    limits::{EVENTS_AHEAD_MAX, EVENTS_COMMENT_MS, WATCHERS_MAX},
    page::{self, Ask},
    problem::Problem,
};

pub(crate) fn routes(door: &Door) -> Route {
    warp::path!("events")
        .and(warp::get())
        .and(door.open())
        .and(page::ask(&[]))
        .and(warp::header::optional::<String>("last-event-id"))
        .then(|door: Door, ask, last| async move { finish(watch(&door, ask, last)) })
        .boxed()
}

fn watch(door: &Door, ask: Result<Ask, Problem>, last: Option<String>) -> Result<Response, Problem> {
    let after = match last.or(ask?.after) {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            page::refused(format!(
                "the last event is `{}`, but must be an event's id",
                text.chars().take(32).collect::<String>()
            ))
        })?),
    };
    let permit = Arc::clone(&door.watchers).try_acquire_owned().map_err(|_| crowded())?;
    let (to, mut from) = mpsc::channel(EVENTS_AHEAD_MAX);
    tokio::spawn(pump(door.desk.events(after), to, door.closing.clone(), permit));
    let events =
        stream::poll_fn(move |cx| from.poll_recv(cx).map(|next| next.map(|e| Ok::<_, Infallible>(message(&e)))));
    let comment = Duration::from_millis(EVENTS_COMMENT_MS);
    Ok(sse::reply(sse::keep_alive().interval(comment).stream(events)).into_response())
}

/// Carries events until the watcher, governance or the listener ends.
async fn pump(
    mut events: Watching,
    to: mpsc::Sender<Arc<Event>>,
    mut closing: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
) {
    loop {
        let event = tokio::select! {
            () = to.closed() => return,
            _ = closing.wait_for(|closing| *closing) => return,
            event = events.next() => event,
        };
        let Some(event) = event else { return };
        if to.send(event).await.is_err() {
            return;
        }
    }
}

fn message(event: &Event) -> sse::Event {
    let message = sse::Event::default().id(event.id.to_string()).event(event.happened.name());
    // An event is plain data; should it ever not serialise, the watcher still learns that something happened.
    message
        .json_data(event)
        .unwrap_or_else(|_| sse::Event::default().id(event.id.to_string()).event("missed").data("{}"))
}

fn crowded() -> Problem {
    Problem::new(503, "too-many-watchers", "Too many watch already")
        .detail(format!("at most {WATCHERS_MAX} event streams are open at once"))
        .fix("close one, or try again later")
}
