//! The metrics text that HTTP clients get: at most one second old, and made by one thread however many clients ask.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use tokio::sync::oneshot;

use super::numbers::Shared;
use crate::dataplane::protected;
use crate::observe::metrics::{Detail, Metrics};

/// The greatest age of a snapshot that is served.
const FRESH: Duration = Duration::from_secs(1);
/// Requests that may wait for a snapshot: more than the number of connections, so this limit is never reached first.
const WAITING: usize = 128;

/// The metrics text, or the error message of the failed reading.
type Answer = Result<Bytes, String>;
/// How much a client wants to know, and where the answer goes.
type Question = (Detail, oneshot::Sender<Answer>);

/// A handle that requests snapshots from the thread.
#[derive(Clone, Debug)]
pub(super) struct Snapshots(SyncSender<Question>);

impl Snapshots {
    /// Starts the thread. It ends when the last handle is dropped.
    pub(super) fn start(numbers: Shared) -> std::io::Result<Self> {
        Self::of(move |detail| text(&numbers, detail).map_err(|error| format!("{error:#}")))
    }

    fn of(make: impl FnMut(Detail) -> Result<String, String> + Send + 'static) -> std::io::Result<Self> {
        let (questions, inbox) = sync_channel(WAITING);
        thread::Builder::new().name("metrics".to_owned()).spawn(move || work(&inbox, make))?;
        Ok(Self(questions))
    }

    /// The latest snapshot, or a new one if the latest is too old.
    pub(super) async fn latest(&self, detail: Detail) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.0.try_send((detail, answer)).map_err(|_| "too many requests wait for metrics".to_owned())?;
        answered.await.unwrap_or_else(|_| Err("the thread that reads the counters has ended".to_owned()))
    }
}

/// Makes one snapshot of each detail for all requests that wait when it starts. Later requests get this snapshot while it is fresh,
/// otherwise they share the next one.
fn work(inbox: &Receiver<Question>, mut make: impl FnMut(Detail) -> Result<String, String>) {
    let mut last: [Option<(Instant, Answer)>; 2] = [None, None];
    loop {
        let first = match inbox.recv_timeout(FRESH) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => {
                // Too old to be served again, and possibly large.
                last = [None, None];
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        for (detail, waiting) in std::iter::once(first).chain(inbox.try_iter().take(WAITING)) {
            let kept = &mut last[detail as usize];
            let (made, answer) = match kept.take() {
                Some((made, answer)) if made.elapsed() < FRESH => (made, answer),
                _ => (Instant::now(), make(detail).map(Bytes::from)),
            };
            // The client may have disconnected.
            let _ = waiting.send(answer.clone());
            *kept = Some((made, answer));
        }
    }
}

fn text(numbers: &Shared, detail: Detail) -> anyhow::Result<String> {
    Ok(Metrics::read(&protected(&[])?)?.text(detail)? + &numbers.numbers().text())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_thousand_questions_within_a_second_read_the_counters_once() {
        let made = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&made);
        let snapshots = Snapshots::of(move |_| Ok(counted.fetch_add(1, Ordering::Relaxed).to_string())).unwrap();
        let begun = Instant::now();
        for _ in 0..1000 {
            snapshots.latest(Detail::Summary).await.unwrap();
        }
        let seconds = u32::try_from(begun.elapsed().as_secs()).unwrap();
        assert!(made.load(Ordering::Relaxed) <= 1 + seconds, "one for each second that this took");
    }

    #[tokio::test]
    async fn each_detail_is_kept_by_itself() {
        let snapshots = Snapshots::of(|detail| Ok(format!("{detail:?}"))).unwrap();
        for (detail, text) in [(Detail::Summary, "Summary"), (Detail::Full, "Full"), (Detail::Summary, "Summary")] {
            assert_eq!(snapshots.latest(detail).await, Ok(Bytes::from_static(text.as_bytes())));
        }
    }

    #[tokio::test]
    async fn nobody_gets_one_that_is_older_than_a_second() {
        let begun = Instant::now();
        let snapshots = Snapshots::of(move |_| Ok(begun.elapsed().as_millis().to_string())).unwrap();
        for wait in [0, 600, 600, 1200] {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            let asked = begun.elapsed().as_millis();
            let made: u128 =
                std::str::from_utf8(&snapshots.latest(Detail::Summary).await.unwrap()).unwrap().parse().unwrap();
            assert!(made + FRESH.as_millis() >= asked, "made {made}, asked {asked}");
        }
    }

    #[tokio::test]
    async fn an_error_is_told_and_tried_again_a_second_later() {
        let mut results = ["no".to_owned()].into_iter();
        let snapshots = Snapshots::of(move |_| results.next().map_or_else(|| Ok("yes".to_owned()), Err)).unwrap();
        assert_eq!(snapshots.latest(Detail::Summary).await, Err("no".to_owned()));
        tokio::time::sleep(FRESH).await;
        assert_eq!(snapshots.latest(Detail::Summary).await, Ok(Bytes::from_static(b"yes")));
    }
}
