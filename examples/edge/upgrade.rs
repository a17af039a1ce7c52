//! Tunnels: connections that no longer speak HTTP (RFC 9110 §7.8), as those of WebSocket.

use std::io;
use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// All open tunnels, counted, so that the server can wait for them when it ends.
#[derive(Clone, Debug)]
pub(crate) struct Tunnels(Arc<watch::Sender<usize>>);

impl Tunnels {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    /// Carries bytes between both sides, in a task of its own, until both have ended or one breaks.
    pub(crate) fn open(
        &self,
        client: OnUpgrade,
        origin: OnUpgrade,
        place: Option<OwnedSemaphorePermit>,
    ) {
        self.0.send_modify(|count| *count += 1);
        let counted = Counted(self.clone());
        tokio::spawn(async move {
            let (_counted, _place) = (counted, place);
            // A tunnel that breaks has nobody to be told: both of its ends see it.
            let _: Result<(), io::Error> = carry(client, origin).await;
        });
    }

    /// Waits until no tunnel is open.
    pub(crate) async fn closed(&self) {
        // `self` holds the sender, so this cannot fail.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

async fn carry(client: OnUpgrade, origin: OnUpgrade) -> io::Result<()> {
    let (client, origin) = tokio::try_join!(client, origin).map_err(io::Error::other)?;
    copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(origin)).await?;
    Ok(())
}

/// Takes a tunnel out of the count when its task ends, however it ends.
struct Counted(Tunnels);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}
