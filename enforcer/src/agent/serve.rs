//! Metrics over HTTP, for whoever reads them on this host.

use std::net::SocketAddr;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::log::Log;
use super::numbers::Shared;
use crate::dataplane::protected;
use crate::observe::metrics::{CONTENT_TYPE, Metrics};

/// Serves `/metrics` from here on. The address is taken when this returns, and given back: port 0 means any.
pub(super) async fn serve(address: SocketAddr, numbers: Shared, log: Log) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let router = Router::new().route("/metrics", get(move || metrics(numbers.clone())));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            log.error(format!("the metrics are gone: {error}"));
        }
    });
    Ok(address)
}

async fn metrics(numbers: Shared) -> Response {
    // Maps are read by system calls that take their time.
    match tokio::task::spawn_blocking(move || text(&numbers)).await {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error.into()),
    }
}

fn text(numbers: &Shared) -> anyhow::Result<String> {
    Ok(Metrics::read(&protected(&[])?)?.text()? + &numbers.numbers().text())
}

fn failed(error: &anyhow::Error) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response()
}
