//! What goes over a connection, seen from beside it: bytes, and the HTTP/2 frames by which a server breaks things off.
//!
//! hyper acts on GOAWAY and RST_STREAM but does not say that they came; a request that simply went elsewhere would hide
//! one. So the headers of the frames are read a second time, which costs one look per frame. Format: RFC 9113, section 4.1.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const RST_STREAM: u8 = 0x3;
const GOAWAY: u8 = 0x7;
const HEADER: usize = 9;

/// Totals over the connections of a phase.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// Bytes read, after TLS.
    pub(crate) received: AtomicU64,
    /// Bytes written, before TLS.
    pub(crate) written: AtomicU64,
    /// GOAWAY frames.
    pub(crate) goaways: AtomicU64,
    /// RST_STREAM frames from the server.
    pub(crate) resets: AtomicU64,
}

/// A stream whose traffic is counted.
#[derive(Debug)]
pub(crate) struct Tapped<S> {
    inner: S,
    wire: Arc<Wire>,
    /// Where HTTP/2 is spoken, the place in its frames.
    frames: Option<Frames>,
}

impl<S> Tapped<S> {
    pub(crate) fn new(inner: S, wire: Arc<Wire>, http2: bool) -> Self {
        Self { inner, wire, frames: http2.then(Frames::default) }
    }
}

/// The place in a sequence of frames.
#[derive(Debug, Default)]
struct Frames {
    header: [u8; HEADER],
    /// Bytes of the header that are there.
    have: usize,
    /// Bytes of the payload that are still to come.
    payload: usize,
}

impl Frames {
    fn read(&mut self, mut bytes: &[u8], mut frame: impl FnMut(u8)) {
        while !bytes.is_empty() {
            let skipped = self.payload.min(bytes.len());
            self.payload -= skipped;
            bytes = &bytes[skipped..];
            let taken = (HEADER - self.have).min(bytes.len());
            self.header[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == HEADER {
                let [a, b, c, kind, ..] = self.header;
                self.payload = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                self.have = 0;
                frame(kind);
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        let new = &buf.filled()[before..];
        this.wire.received.fetch_add(new.len() as u64, Relaxed);
        if let Some(frames) = &mut this.frames {
            frames.read(new, |kind| match kind {
                GOAWAY => _ = this.wire.goaways.fetch_add(1, Relaxed),
                RST_STREAM => _ = this.wire.resets.fetch_add(1, Relaxed),
                _ => {}
            });
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.inner).poll_write(cx, buf))?;
        this.wire.written.fetch_add(written as u64, Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.inner).poll_write_vectored(cx, bufs))?;
        this.wire.written.fetch_add(written as u64, Relaxed);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        [&length[1..], &[kind, 0, 0, 0, 0, 0], payload].concat()
    }

    proptest! {
        #[test]
        fn every_frame_is_seen_however_the_bytes_arrive(
            kinds in prop::collection::vec((0u8..10, 0usize..600), 0..20), chunk in 1usize..50,
        ) {
            // Payloads of sevens: bytes that would read as GOAWAY if the place were lost.
            let bytes: Vec<u8> = kinds.iter().flat_map(|(kind, length)| frame(*kind, &vec![GOAWAY; *length])).collect();
            let mut frames = Frames::default();
            let mut seen = Vec::new();
            bytes.chunks(chunk).for_each(|chunk| frames.read(chunk, |kind| seen.push(kind)));
            prop_assert_eq!(seen, kinds.iter().map(|(kind, _)| *kind).collect::<Vec<_>>());
        }
    }
}
