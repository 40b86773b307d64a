//! `/v1/events`: what happens, as server-sent events. `Last-Event-ID` (or `?after=`) resumes; a `missed` event says that some were lost.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures::stream;
use governance::{Event, Watching};
use tokio::sync::{mpsc, watch};
use warp::{
    Filter,
    reply::{Reply, Response},
    sse,
};

use crate::{
    door::{self, Door, Route, finish},
    limits::{EVENTS_AHEAD_MAX, EVENTS_COMMENT_MS},
    page::{self, Ask},
    peer::PeerId,
    problem::Problem,
    shares::{Full, Share},
};

pub(crate) fn routes(door: &Door) -> Route {
    warp::path!("events")
        .and(warp::get())
        .and(door.open())
        .and(page::ask(&[]))
        .and(warp::header::optional::<String>("last-event-id"))
        .and(door::peer())
        .then(|door: Door, ask, last, caller| async move { finish(watch(&door, ask, last, caller)) })
        .boxed()
}

fn watch(
    door: &Door,
    ask: Result<Ask, Problem>,
    last: Option<String>,
    caller: Option<PeerId>,
) -> Result<Response, Problem> {
    let after = match last.or(ask?.after) {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            page::refused(format!(
                "the last event is `{}`, but must be an event's id",
                text.chars().take(32).collect::<String>()
            ))
        })?),
    };
    let share = door.watchers.take(caller).map_err(crowded)?;
    let (to, mut from) = mpsc::channel(EVENTS_AHEAD_MAX);
    let over = door.caller.clone().over();
    tokio::spawn(pump(door.desk.events(after), to, door.closing.clone(), over, share));
    let events =
        stream::poll_fn(move |cx| from.poll_recv(cx).map(|next| next.map(|e| Ok::<_, Infallible>(message(&e)))));
    let comment = Duration::from_millis(EVENTS_COMMENT_MS);
    Ok(sse::reply(sse::keep_alive().interval(comment).stream(events)).into_response())
}

/// Carries events until the watcher, governance or the listener ends, or the watcher's session.
async fn pump(
    mut events: Watching,
    to: mpsc::Sender<Arc<Event>>,
    mut closing: watch::Receiver<bool>,
    over: impl Future<Output = ()>,
    _share: Share<Option<PeerId>>,
) {
    tokio::pin!(over);
    loop {
        let event = tokio::select! {
            () = to.closed() => return,
            _ = closing.wait_for(|closing| *closing) => return,
            () = &mut over => return,
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

pub(super) fn crowded(full: Full) -> Problem {
    Problem::new(503, "too-many-watchers", "Too many watch already")
        .detail(format!("event streams: {full}"))
        .fix("close one, or try again later")
}
