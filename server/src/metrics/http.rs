//! The HTTP port: `/metrics`, `/healthz`, `/readyz`, and nothing else.
//!
//! A connection carries one request and lives for seconds, and only a few may be open, so that whoever reaches the
//! port can take neither memory nor time from the node that would matter.

use crate::node::Node;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

/// Connections served at once; a further one takes the place of the oldest, which has had the most time.
const MAX_CONNECTIONS: usize = 64;
/// How long a client may take to send its request.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// How long a connection may last in all.
const CONNECTION_TIME: Duration = Duration::from_secs(15);
/// How long a request's head may be.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How long accepting rests after an error such as running out of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(50);

const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT_TYPE: &str = "text/plain; charset=utf-8";

/// Serves the port until the task is dropped.
///
/// # Errors
/// A listener that the runtime cannot take over.
pub(crate) async fn serve(node: Arc<Node>, listener: TcpListener) -> io::Result<Infallible> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut open: VecDeque<AbortHandle> = VecDeque::with_capacity(MAX_CONNECTIONS);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                open.retain(|connection| !connection.is_finished());
                if open.len() >= MAX_CONNECTIONS
                    && let Some(oldest) = open.pop_front()
                {
                    // Whoever sends half requests must not keep a scraper out.
                    oldest.abort();
                }
                let served = tokio::time::timeout(CONNECTION_TIME, converse(Arc::clone(&node), stream));
                open.push_back(tokio::spawn(served).abort_handle());
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection on the metrics port");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
}

async fn converse(node: Arc<Node>, stream: TcpStream) {
    let service = service_fn(|request| {
        let response = respond(&node, &request);
        async { Ok::<_, Infallible>(response) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIME)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection to the metrics port ended early");
    }
}

fn respond(node: &Node, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = text(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET and HEAD work here\n".to_owned(),
        );
        refusal
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match request.uri().path() {
        "/metrics" => reply(StatusCode::OK, METRICS_TYPE, super::page(node)),
        "/healthz" => verdict(super::alive(node)),
        "/readyz" => verdict(super::ready(node)),
        _ => text(
            StatusCode::NOT_FOUND,
            "there are /metrics, /healthz and /readyz\n".to_owned(),
        ),
    }
}

fn verdict(verdict: Result<(), String>) -> Response<Full<Bytes>> {
    match verdict {
        Ok(()) => text(StatusCode::OK, "ok\n".to_owned()),
        Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, reason + "\n"),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    reply(status, TEXT_TYPE, body)
}

fn reply(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
