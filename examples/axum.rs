//! An axum application with an edge cache: one layer.
//!
//! `cargo run --example axum`, then twice `curl -i http://127.0.0.1:3000/`.
use axum::{Router, response::IntoResponse, routing::get};
use tower_cdn::CdnCacheLayer;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let app = Router::new()
        .route(
            "/",
            get(|| async {
                ([("cache-control", "max-age=60")], "made once a minute\n").into_response()
            }),
        )
        .route(
            "/me",
            get(|| async { "made for you each time: nothing says that it may be stored\n" }),
        )
        .layer(CdnCacheLayer::in_memory(64 * 1024 * 1024));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await
}
