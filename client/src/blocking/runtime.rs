//! The thread behind a blocking client: it has the sockets and the timers.

use std::io;
use std::thread;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A runtime in a thread of its own, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Runtime {
    handle: Handle,
    /// Dropped, it tells the thread to end. The thread drops the runtime itself, as that must not happen inside of
    /// another runtime; nobody waits for it, so that this can be dropped anywhere.
    _alive: oneshot::Sender<()>,
}

impl Runtime {
    pub(super) fn start() -> io::Result<Runtime> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (alive, gone) = oneshot::channel::<()>();
        thread::Builder::new()
            .name("larder-client".to_string())
            .spawn(move || {
                // The error is that the other end is gone, which is what is waited for.
                let _ = runtime.block_on(gone);
            })?;
        Ok(Runtime { handle, _alive: alive })
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}
