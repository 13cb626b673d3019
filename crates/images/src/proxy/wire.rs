//! What of an answer has gone into the client's socket.
//!
//! What an HTTP library has taken over it may still hold when the connection breaks. So the bytes are counted below it,
//! where they are written: after the empty line that ends a head they are the body's. HTTP/1.1 has one answer at a time
//! on a connection. A chunked body has its framing among them; there, of an answer that broke off, the count may be
//! the framing's few bytes too high.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::ledger::{Ending, Entry, Ledger};

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// The request that a connection is at.
#[derive(Debug)]
pub(super) struct Wire {
    ledger: Ledger,
    state: Mutex<State>,
}

/// A stream that tells what is written into it.
#[derive(Debug)]
pub(super) struct Counted {
    stream: TcpStream,
    wire: Arc<Wire>,
}

#[derive(Debug, Default)]
struct State {
    exchange: Option<Exchange>,
    /// Whether the connection is to be reset rather than closed.
    reset: bool,
}

#[derive(Debug)]
struct Exchange {
    entry: Entry,
    head: Head,
    /// Bytes of the body that were handed to the HTTP library.
    handed: u64,
    /// Whether there are no more.
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// Not ready: what is written now is none of the answer.
    Awaited,
    /// Being written; so many bytes of its end were seen.
    Seen(usize),
    /// Written; so many bytes came after it.
    Written(u64),
}

impl Wire {
    pub(super) fn new(ledger: Ledger) -> Self {
        Self { ledger, state: Mutex::default() }
    }

    /// A request has come.
    pub(super) fn came(&self, entry: Entry) {
        let exchange = Exchange { entry, head: Head::Awaited, handed: 0, ended: false };
        // One that is still there is of a client that does not wait for its answers.
        let before = self.state().exchange.replace(exchange);
        before.into_iter().for_each(|exchange| self.close(exchange));
    }

    /// Notes something about the request.
    pub(super) fn note(&self, what: impl FnOnce(&mut Entry)) {
        if let Some(exchange) = &mut self.state().exchange {
            what(&mut exchange.entry);
        }
    }

    /// The head of the answer goes to the HTTP library now. `bodiless` is one with no body, whatever its length says.
    pub(super) fn answered(&self, status: u16, promised: Option<u64>, bodiless: bool) {
        let now = self.ledger.now_us();
        if let Some(exchange) = &mut self.state().exchange {
            exchange.entry.status = status;
            exchange.entry.promised_bytes = promised;
            exchange.entry.answered_us = Some(now);
            exchange.head = Head::Seen(0);
            exchange.ended = bodiless || promised == Some(0);
        }
    }

    /// Bytes of the body go to the HTTP library now.
    pub(super) fn handed(&self, bytes: u64) {
        if let Some(exchange) = &mut self.state().exchange {
            exchange.handed += bytes;
            // It stops asking for more once the promise is kept.
            exchange.ended |= exchange.entry.promised_bytes == Some(exchange.handed);
        }
    }

    /// The body has ended where it should.
    pub(super) fn body_ended(&self) {
        let mut state = self.state();
        if let Some(exchange) = &mut state.exchange {
            exchange.ended = true;
        }
        self.close_if_complete(state);
    }

    /// The connection is to be reset when it ends.
    pub(super) fn reset(&self) {
        self.state().reset = true;
    }

    fn wrote<'a>(&self, written: impl Iterator<Item = &'a [u8]>) {
        let mut state = self.state();
        if let Some(exchange) = &mut state.exchange {
            exchange.head = written.fold(exchange.head, Head::after);
        }
        self.close_if_complete(state);
    }

    fn close_if_complete(&self, mut state: MutexGuard<'_, State>) {
        if let Some(exchange) = state.exchange.take_if(|exchange| exchange.is_complete()) {
            drop(state);
            self.close(exchange);
        }
    }

    fn close(&self, exchange: Exchange) {
        let ending = if exchange.is_complete() { Ending::Complete } else { Ending::BrokenOff };
        let (sent_bytes, ended_us) = (exchange.sent(), self.ledger.now_us());
        self.ledger.close(Entry { sent_bytes, ended_us, ending, ..exchange.entry });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exchange {
    fn is_complete(&self) -> bool {
        self.ended && matches!(self.head, Head::Written(after) if after >= self.handed)
    }

    fn sent(&self) -> u64 {
        if let Head::Written(after) = self.head { after.min(self.handed) } else { 0 }
    }
}

impl Head {
    fn after(self, written: &[u8]) -> Self {
        match self {
            Self::Awaited => self,
            Self::Written(after) => Self::Written(after + written.len() as u64),
            Self::Seen(mut seen) => {
                for (n, byte) in written.iter().enumerate() {
                    seen = match *byte == END_OF_HEAD[seen] {
                        true => seen + 1,
                        false => usize::from(*byte == END_OF_HEAD[0]),
                    };
                    if seen == END_OF_HEAD.len() {
                        return Self::Written((written.len() - n - 1) as u64);
                    }
                }
                Self::Seen(seen)
            }
        }
    }
}

impl Counted {
    pub(super) fn new(stream: TcpStream, wire: Arc<Wire>) -> Self {
        Self { stream, wire }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut state = self.wire.state();
        if state.reset {
            self.stream.set_zero_linger().ok();
        }
        let exchange = state.exchange.take();
        drop(state);
        exchange.into_iter().for_each(|exchange| self.wire.close(exchange));
    }
}

impl AsyncRead for Counted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, buf))?;
        this.wire.wrote(std::iter::once(&buf[..written]));
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, bufs))?;
        let mut left = written;
        this.wire.wrote(bufs.iter().map(|buf| {
            let bytes = buf.len().min(left);
            left -= bytes;
            &buf[..bytes]
        }));
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.wire.state().reset {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_body_is_counted_from_its_first_byte_however_it_is_written(
            body in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), any::<u8>()], 0..200),
            piece in 1..50_usize,
        ) {
            let answer = [b"HTTP/1.1 200 OK\r\nx: \r y\r\n\r\n".as_slice(), &body].concat();
            let head = answer.chunks(piece).fold(Head::Seen(0), Head::after);
            prop_assert_eq!(head, Head::Written(body.len() as u64));
        }
    }
}
