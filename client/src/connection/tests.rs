//! A server that stops reading: what becomes of calls, and of what the system has taken of them.

use super::*;
use crate::command::cmd;
use crate::node::Node;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use tokio::task::spawn_blocking;

/// More than sockets hold.
const HUGE: usize = 32 << 20;

/// Answers the questions of a greeting in RESP2, and reads nothing more.
fn greet(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().expect("a connection");
    let mut seen = Vec::new();
    let mut chunk = [0; 4096];
    while !seen.windows(7).any(|part| part == b"LIB-VER") {
        let read = stream.read(&mut chunk).expect("a question");
        assert!(read > 0, "the client has gone");
        seen.extend_from_slice(&chunk[..read]);
        let questions = chunk[..read].iter().filter(|byte| **byte == b'*').count();
        stream.write_all(&b"+OK\r\n".repeat(questions)).expect("an answer");
    }
    stream
}

fn node(listener: &TcpListener, write_timeout: Duration) -> Arc<Node> {
    let config = Config {
        write_timeout,
        resp3: false,
        ..Config::default()
    };
    let target = listener
        .local_addr()
        .expect("bound")
        .to_string()
        .parse()
        .expect("a target");
    Arc::new(Node::spawn(&"node".into(), &target, &Arc::new(config), &Events::new()))
}

/// A node whose server has stopped reading in the middle of a huge request, which has so much time.
async fn stuck(write_timeout: Duration) -> (Arc<Node>, TcpStream, tokio::task::JoinHandle<Result<Value>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let node = node(&listener, write_timeout);
    let stream = spawn_blocking(move || greet(&listener)).await.expect("a greeting");
    let (sender, huge) = (Arc::clone(&node), cmd("SET").arg("key").arg(vec![b'x'; HUGE]));
    let huge = tokio::spawn(async move {
        let request = huge.check().expect("a command");
        sender.attempt(&request, Duration::from_secs(20)).await
    });
    while node.pending() == 0 || node.connections()[0].counts().bytes_out < HUGE as u64 {
        tokio::task::yield_now().await;
    }
    (node, stream, huge)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_ends_in_time_though_the_socket_takes_nothing_and_earlier_calls_have_longer() {
    let (node, _stream, huge) = stuck(Duration::from_secs(20)).await;
    let ping = cmd("PING");
    let ping = ping.check().expect("a command");
    let began = Instant::now();
    let call = node.attempt(&ping, Duration::from_millis(100));
    let result = tokio::time::timeout(Duration::from_secs(5), call).await;
    assert!(
        matches!(result, Ok(Err(Error::Timeout { sent: false, .. }))),
        "{result:?} after {:?}",
        began.elapsed()
    );
    huge.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_system_has_of_a_request_is_thrown_away_with_a_connection_that_is_given_up() {
    let (_node, mut stream, huge) = stuck(Duration::from_millis(200)).await;
    let result = huge.await.expect("no panic");
    assert!(matches!(result, Err(Error::Lost { .. })), "{result:?}");
    let end = spawn_blocking(move || {
        let mut chunk = vec![0; 1 << 20];
        loop {
            match stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(error.kind()),
            }
        }
    });
    let end = end.await.expect("no panic");
    assert_eq!(
        end,
        Some(ErrorKind::ConnectionReset),
        "all that was left came, and an end in order"
    );
}
