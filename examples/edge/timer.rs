//! The timer of one connection, of which hyper asks how long the head of a request may take.
//!
//! hyper makes a sleep when a response is sent and drops it when the next head is there, so that hardly
//! one ever ends. To have each in the runtime's list of timers costs a hit five hundred instructions.
//! All of a connection share one timer instead, which stays when the sleep that it was for is gone, and
//! is set anew if it comes to its end before the one that waits.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::rt::{self, Timer};
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// Of one task: who polls a sleep last is woken.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionTimer(Arc<Mutex<Option<Armed>>>);

#[derive(Debug)]
struct Armed {
    sleep: Pin<Box<Sleep>>,
    task: Waker,
}

#[derive(Debug)]
struct Until {
    deadline: Instant,
    timer: ConnectionTimer,
}

impl Timer for ConnectionTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        self.sleep_until((Instant::now() + duration).into_std())
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Until { deadline: deadline.into(), timer: self.clone() })
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into_std()
    }
}

impl Armed {
    /// Whether it will wake this task, and in time.
    fn serves(&self, deadline: Instant, task: &Waker) -> bool {
        self.sleep.deadline() <= deadline && !self.sleep.is_elapsed() && self.task.will_wake(task)
    }
}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut armed = self.timer.0.lock().unwrap_or_else(PoisonError::into_inner);
        let armed = armed.get_or_insert_with(|| Armed {
            sleep: Box::pin(sleep_until(self.deadline)),
            task: Waker::noop().clone(),
        });
        if armed.serves(self.deadline, cx.waker()) {
            return Poll::Pending;
        }
        if armed.sleep.deadline() != self.deadline {
            armed.sleep.as_mut().reset(self.deadline);
        }
        armed.task.clone_from(cx.waker());
        // A task whose turn is over would be told to wait, and the timer nothing of it.
        pin!(unconstrained(armed.sleep.as_mut())).poll(cx)
    }
}

impl rt::Sleep for Until {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::task::{coop, yield_now};
    use tokio::time::{advance, timeout};

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn each_sleep_ends_at_its_own_time() {
        let timer = ConnectionTimer::default();
        let start = Instant::now();
        timer.sleep(MINUTE).await;
        assert_eq!(start.elapsed(), MINUTE);

        // One that is dropped before its time leaves the timer set, and another begins later.
        let mut dropped = timer.sleep(MINUTE);
        assert!(futures_util::poll!(&mut dropped).is_pending());
        drop(dropped);
        advance(MINUTE / 2).await;
        let start = Instant::now();
        timer.sleep(MINUTE).await;
        assert_eq!(start.elapsed(), MINUTE);

        // One that is shorter than what it was set for does not wait for that.
        let mut longer = timer.sleep(MINUTE);
        assert!(futures_util::poll!(&mut longer).is_pending());
        let start = Instant::now();
        timer.sleep(MINUTE / 6).await;
        assert_eq!(start.elapsed(), MINUTE / 6);
        longer.await;
        assert_eq!(start.elapsed(), MINUTE);
    }

    /// A task that has done much is told that nothing is ready, until others had their turn.
    #[tokio::test(start_paused = true)]
    async fn a_task_without_budget_is_woken_all_the_same() {
        let timer = ConnectionTimer::default();
        // Once before the timer was ever set, and once when it is to be set anew.
        for _ in 0..2 {
            let mut sleep = timer.sleep(MINUTE);
            let start = Instant::now();
            poll_fn(|cx| {
                while coop::has_budget_remaining() {
                    if let Poll::Ready(spent) = coop::poll_proceed(cx) {
                        spent.made_progress();
                    }
                }
                assert!(sleep.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            yield_now().await;
            timeout(MINUTE * 2, sleep).await.expect("it ends");
            assert_eq!(start.elapsed(), MINUTE);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_timer_is_set_once_for_many_requests() {
        let timer = ConnectionTimer::default();
        let set_for = |timer: &ConnectionTimer| {
            timer.0.lock().unwrap().as_ref().map(|armed| armed.sleep.deadline())
        };
        let first = Instant::now() + MINUTE;
        for _ in 0..10 {
            let mut sleep = timer.sleep(MINUTE);
            assert!(futures_util::poll!(&mut sleep).is_pending());
            assert_eq!(set_for(&timer), Some(first));
            advance(MINUTE / 10).await;
        }
        let mut sleep = timer.sleep(MINUTE);
        assert!(futures_util::poll!(&mut sleep).is_pending());
        assert_eq!(set_for(&timer), Some(first + MINUTE));
    }
}
