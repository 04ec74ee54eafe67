//! Metrics over HTTP, for whoever reads them on this host. Any user of the host may connect, so nothing that a client does may
//! take what the agent needs for its own work: connections, the time that each lasts, and what is read from them are bounded.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
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
use crate::observe::metrics::CONTENT_TYPE;

/// Connections that are open at the same time. One more closes the one that has been open longest: whoever only holds
/// connections open loses them, and whoever asks and reads is done long before.
const MOST_CONNECTIONS: usize = 64;
/// Time for the head of a request.
const HEAD: Duration = Duration::from_secs(5);
/// Time for everything: the request, the answer, and reading it. A snapshot that waits for the end of an `apply` is included.
const WHOLE: Duration = Duration::from_secs(30);
/// Bytes of the head of a request that are read. No request has a body that anybody reads.
const LONGEST_HEAD: usize = 8192;

/// Serves `/metrics` from here on. The address is taken when this returns, and given back: port 0 means any.
pub(super) async fn serve(address: SocketAddr, numbers: Shared, log: Log) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let snapshots = Snapshots::start(numbers)?;
    let router = Router::new().route("/metrics", get(move || metrics(snapshots.clone())));
    tokio::spawn(accept(listener, router, log));
    Ok(address)
}

async fn accept(listener: TcpListener, router: Router, log: Log) {
    let mut open: VecDeque<JoinHandle<()>> = VecDeque::new();
    let mut is_told = false;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Such as a client that has gone again; or the process has no descriptor left.
            Err(error) => {
                if !std::mem::replace(&mut is_told, true) {
                    log.warning(format!("a reader of metrics could not be answered: {error}"));
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
            // It has let go of its descriptor when this returns.
            let _ = longest.await;
        }
        open.push_back(tokio::spawn(answer(stream, router.clone())));
    }
}

/// Answers one request. There is no second one on the same connection: requests sent one behind the other are not read.
async fn answer(stream: TcpStream, router: Router) {
    let mut http = http1::Builder::new();
    http.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(LONGEST_HEAD);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // Whatever goes wrong with a client is the client's own business.
    let _ = timeout(WHOLE, connection).await;
}

async fn metrics(snapshots: Snapshots) -> Response {
    match snapshots.latest().await {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
