//! A future among others of one task that is polled when it was woken itself, and when a task has it
//! for the first time.
//!
//! A task does not know for whom it was woken, and polls all that it waits for. That is waste where
//! one of them is woken by each request, and another one never.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

pin_project_lite::pin_project! {
    #[derive(Debug)]
    pub(crate) struct Rarely<F> {
        #[pin]
        future: F,
        own: Option<Arc<Own>>,
    }
}

/// The waker that the future is given.
#[derive(Debug)]
struct Own {
    task: Waker,
    is_woken: AtomicBool,
}

impl<F> Rarely<F> {
    pub(crate) fn new(future: F) -> Self {
        Self { future, own: None }
    }
}

impl<F: Future> Future for Rarely<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let own = match this.own {
            Some(own) if own.task.will_wake(cx.waker()) => {
                // Before the poll, so that a wake during it is not lost. Who overwrites a wake has to
                // see what was done before it.
                if !own.is_woken.swap(false, Ordering::AcqRel) {
                    return Poll::Pending;
                }
                own
            }
            own => {
                let (task, is_woken) = (cx.waker().clone(), AtomicBool::new(false));
                own.insert(Arc::new(Own { task, is_woken }))
            }
        };
        let waker = Waker::from(Arc::clone(own));
        this.future.poll(&mut Context::from_waker(&waker))
    }
}

impl Wake for Own {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::pin::pin;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn it_is_polled_when_it_was_woken() {
        let (send, receive) = oneshot::channel();
        let (mut receive, mut polls) = (pin!(receive), 0);
        let counted = poll_fn(|cx| {
            polls += 1;
            receive.as_mut().poll(cx)
        });
        let mut rarely = pin!(Rarely::new(counted));
        for _ in 0..3 {
            assert!(futures_util::poll!(rarely.as_mut()).is_pending());
        }
        send.send("woken").expect("somebody waits");
        assert_eq!(rarely.await, Ok("woken"));
        assert_eq!(polls, 2);
    }

    #[tokio::test]
    async fn another_task_may_go_on_with_it() {
        let (send, receive) = oneshot::channel();
        let mut rarely = Box::pin(Rarely::new(receive));
        assert!(futures_util::poll!(rarely.as_mut()).is_pending());
        let task = tokio::spawn(rarely);
        tokio::task::yield_now().await;
        send.send("woken").expect("somebody waits");
        assert_eq!(task.await.expect("no panic"), Ok("woken"));
    }
}
