//! A stream whose other side must take in time what is written to it.
//!
//! HTTP has limits for what it reads. Here is the one for what it writes: from the first byte that the other side does not take at once,
//! until all of it is taken.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

pub(super) struct Paced<S> {
    stream: S,
    limit: Duration,
    /// Rings when what waits has waited for too long.
    due: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, due: None }
    }

    /// What a write came to, if it may go on waiting.
    fn waited<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            return written;
        }
        let limit = self.limit;
        let due = self.due.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        ready!(due.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, format!("the answer was not taken within {limit:?}"))))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.waited(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.waited(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            self.due = None;
        }
        self.waited(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.waited(shut, context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    /// Writes until the other side takes no more. When it is let go.
    async fn write_some(paced: &mut Paced<DuplexStream>) -> Instant {
        let write = std::pin::pin!(paced.write_all(&[0; 64]));
        tokio::select! {
            biased;
            _ = write => panic!("there is no room"),
            () = tokio::task::yield_now() => {}
        }
        paced.due.as_ref().unwrap().deadline()
    }

    #[tokio::test]
    async fn who_takes_nothing_is_let_go() {
        let (_client, stream) = duplex(8);
        let mut paced = Paced::new(stream, Duration::from_millis(50));
        let late = paced.write_all(&[0; 9]).await.unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_byte_now_and_then_wins_no_time_and_each_answer_has_its_own() {
        let (mut client, stream) = duplex(8);
        let mut paced = Paced::new(stream, HOUR);
        let due = write_some(&mut paced).await;
        client.read_exact(&mut [0; 4]).await.unwrap();
        assert_eq!(write_some(&mut paced).await, due);
        client.read_exact(&mut [0; 8]).await.unwrap();
        paced.flush().await.unwrap();
        assert!(paced.due.is_none());
        assert!(write_some(&mut paced).await > due);
    }
}
