//! Metrics over HTTP for readers on this host. Any user of the host may connect, so no client may use up what the agent needs for
//! its own work: the number of connections, their duration, and the bytes read from them are limited.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::log::Log;
use super::numbers::Shared;
use super::snapshots::Snapshots;
use crate::observe::metrics::{CONTENT_TYPE, Detail};

/// Connections that may be open at the same time. Another one closes the oldest: a client that only holds connections open loses
/// them, while a client that asks and reads has finished long before.
const MOST_CONNECTIONS: usize = 64;
/// The longest time to receive the head of a request.
const HEAD: Duration = Duration::from_secs(5);
/// The longest time of a connection: request, response, and reading it. Includes a snapshot that waits for an `apply` to end.
const WHOLE: Duration = Duration::from_secs(30);
/// Bytes that are read of the head of a request. Bodies are not read.
const LONGEST_HEAD: usize = 8192;

/// Starts to serve `/metrics`. Returns the bound address, because port 0 means any free port.
pub(super) async fn serve(address: SocketAddr, numbers: Shared, log: Log) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let snapshots = Snapshots::start(numbers)?;
    let router = Router::new().route("/metrics", get(move |uri: Uri| metrics(uri, snapshots.clone())));
    tokio::spawn(accept(listener, router, log));
    Ok(address)
}

async fn accept(listener: TcpListener, router: Router, log: Log) {
    let mut open: VecDeque<JoinHandle<()>> = VecDeque::new();
    let mut is_told = false;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // For example, the client has disconnected, or the process has no free descriptor.
            Err(error) => {
                if !std::mem::replace(&mut is_told, true) {
                    log.warning(format!("cannot answer a request for metrics: {error}"));
                }
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= MOST_CONNECTIONS
            && let Some(longest) = open.pop_front()
        {
            longest.abort();
            // The task has closed its descriptor when this returns.
            let _ = longest.await;
        }
        open.push_back(tokio::spawn(answer(stream, router.clone())));
    }
}

/// Answers one request. A connection carries one request; further ones are not read.
async fn answer(stream: TcpStream, router: Router) {
    let mut http = http1::Builder::new();
    http.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(LONGEST_HEAD);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // Errors of one client are not logged.
    let _ = timeout(WHOLE, connection).await;
}

/// `?detail=full` adds every rule, and every reason on every interface.
async fn metrics(uri: Uri, snapshots: Snapshots) -> Response {
    let is_full = uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "detail=full"));
    match snapshots.latest(if is_full { Detail::Full } else { Detail::Summary }).await {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
