//! What of a request's body nobody read. It is taken off the line before the answer is written: a caller who was refused by the head alone
//! is still sending, and would find the connection closed under the body, or under its next request (RFC 9112 §9.3, §9.6).

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Buf;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::timeout;

use crate::limits::BODY_BYTES_MAX;

type Slot<B> = Arc<Mutex<Option<B>>>;

/// A body that comes back when its reader drops it.
#[derive(Debug)]
pub(crate) struct Lent<B> {
    body: Option<B>,
    back: Slot<B>,
}

/// Where a [`Lent`] body comes back to.
#[derive(Debug)]
pub(crate) struct Leftover<B>(Slot<B>);

pub(crate) fn lend<B>(body: B) -> (Lent<B>, Leftover<B>) {
    let back = Slot::default();
    (Lent { body: Some(body), back: Arc::clone(&back) }, Leftover(back))
}

impl<B> Drop for Lent<B> {
    fn drop(&mut self) {
        *self.back.lock().unwrap_or_else(PoisonError::into_inner) = self.body.take();
    }
}

impl<B: Body + Unpin> Body for Lent<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.body.as_mut().map_or(Poll::Ready(None), |body| Pin::new(body).poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl<B: Body + Unpin> Leftover<B> {
    /// Reads on to the body's end, for at most `within` and [`BODY_BYTES_MAX`] bytes. `false`: it has not come to its end, and the
    /// connection cannot carry another request. Who asks first (`Expect: 100-continue`) would be told to send by the first read, so nothing
    /// is read then.
    pub(crate) async fn ends_within(self, within: Duration, asks_first: bool) -> bool {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Its reader holds it still, so nobody can say where it ends.
        let Some(mut body) = body else { return false };
        if asks_first {
            return body.is_end_stream();
        }
        timeout(within, to_its_end(&mut body)).await.unwrap_or(false)
    }
}

async fn to_its_end<B: Body + Unpin>(body: &mut B) -> bool {
    let mut taken = 0_usize;
    while !body.is_end_stream() {
        match body.frame().await {
            Some(Ok(frame)) => {
                taken = taken.saturating_add(frame.data_ref().map_or(0, Buf::remaining));
                if taken > BODY_BYTES_MAX {
                    return false;
                }
            }
            Some(Err(_)) => return false,
            None => return true,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::{StreamExt, stream};
    use http_body_util::StreamBody;

    use super::*;

    fn pieces(sizes: &[usize]) -> impl Body<Data = Bytes, Error = String> + Unpin + use<> {
        StreamBody::new(stream::iter(sizes.to_vec()).map(|size| Ok(Frame::data(Bytes::from(vec![b' '; size])))))
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn what_is_left_is_read_to_the_end_and_no_further_than_the_limit() {
        let (mut lent, left) = lend(pieces(&[1, 2, 3]));
        assert_eq!(lent.frame().await.unwrap().unwrap().into_data().unwrap().len(), 1);
        drop(lent);
        assert!(left.ends_within(LONG, false).await, "five bytes were left");
        let (lent, left) = lend(pieces(&[BODY_BYTES_MAX, 1]));
        drop(lent);
        assert!(!left.ends_within(LONG, false).await, "more was left than one body may have");
    }

    #[tokio::test]
    async fn a_body_without_an_end_is_not_waited_for() {
        let endless = StreamBody::new(stream::pending::<Result<Frame<Bytes>, String>>());
        let (lent, left) = lend(endless);
        drop(lent);
        assert!(!left.ends_within(Duration::ZERO, false).await);
    }

    #[tokio::test]
    async fn a_body_that_broke_off_or_is_held_has_no_end() {
        let broken = StreamBody::new(stream::iter([Err::<Frame<Bytes>, _>("gone".to_owned())]));
        let (lent, left) = lend(broken);
        drop(lent);
        assert!(!left.ends_within(LONG, false).await);
        let (_held, left) = lend(pieces(&[1]));
        assert!(!left.ends_within(LONG, false).await);
    }
}
