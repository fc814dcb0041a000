//! What tests of faults share: runtimes with a watchdog, clients, conditions.

use larder_client::{Client, Config};
use std::future::Future;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// No test of these takes longer, whatever is broken.
const WATCHDOG: Duration = Duration::from_secs(30);

pub(super) fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

pub(super) fn two_threads() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Runs a test in a thread of its own, so that one that blocks fails, rather than never ending.
pub(super) fn run_in<F: Future<Output = ()>>(runtime: fn() -> Runtime, test: impl FnOnce() -> F + Send + 'static) {
    let (done, waiting) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = runtime();
        runtime.block_on(test());
        let _ = done.send(());
        runtime.shutdown_background();
    });
    match waiting.recv_timeout(WATCHDOG) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("still running after {WATCHDOG:?}"),
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

pub(super) fn run<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    run_in(one_thread, test);
}

pub(super) fn client(port: u16, change: impl FnOnce(&mut Config)) -> Client {
    client_of(&format!("127.0.0.1:{port}"), change)
}

pub(super) fn client_of(url: &str, change: impl FnOnce(&mut Config)) -> Client {
    let mut config = Config::default();
    // Machines that run tests are busy; tests of timeouts set their own.
    config.response_timeout = Duration::from_secs(20);
    config.connect_timeout = Duration::from_secs(20);
    config.backoff_max = Duration::from_millis(100);
    change(&mut config);
    Client::connect_with(url, config).expect("a client")
}

/// Waits for a condition without holding the runtime up.
pub(super) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// What the key of a test must hold: its own name, so that a reply to somebody else is seen.
pub(super) fn value_of(key: &str, version: u64) -> String {
    format!("{key}#{version}")
}

/// Sets a key, whatever that takes.
pub(super) async fn set_up(client: &Client, key: &str, version: u64) {
    let start = Instant::now();
    while let Err(error) = client.set(key, value_of(key, version)).await {
        assert!(start.elapsed() < Duration::from_secs(20), "{key}: {error}");
    }
}
