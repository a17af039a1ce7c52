//! A site whose pages are cached for a day, and an editor who tells the cache what has changed.
//!
//! `cargo run --example invalidate`, then `curl -i http://127.0.0.1:3000/article/1` twice, `curl -X POST http://127.0.0.1:3000/edit/1`, and the article again.
use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::IntoResponse,
    routing::{get, post},
};
use std::sync::atomic::{AtomicU64, Ordering};
use tower_cdn::{CdnCacheLayer, Handle};

static MADE: AtomicU64 = AtomicU64::new(0);

async fn article(Path(id): Path<u32>) -> impl IntoResponse {
    // All pages with this article have its tag: this one, the front page, the feed.
    let tags = format!("\"article-{id}\", \"articles\"");
    let fields = [("cache-control", "max-age=86400".to_owned()), ("cache-groups", tags)];
    let made = MADE.fetch_add(1, Ordering::Relaxed) + 1;
    (fields, format!("article {id}; pages made so far: {made}\n"))
}

/// Gone as soon as this has answered. After a change to the design one would say `handle.invalidate_all().soft()`.
async fn edit(State(cache): State<Handle>, Path(id): Path<u32>) -> impl IntoResponse {
    match cache.invalidate_tags([format!("article-{id}")]).await {
        Ok(receipt) => (StatusCode::OK, format!("invalidation {}\n", receipt.number())),
        Err(wrong) => (StatusCode::BAD_REQUEST, format!("{wrong}\n")),
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let cache = CdnCacheLayer::in_memory(64 * 1024 * 1024);
    // Not behind the cache, and in earnest not open to everybody.
    let admin = Router::new().route("/edit/{id}", post(edit)).with_state(cache.handle());
    let site = Router::new().route("/article/{id}", get(article)).layer(cache);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, site.merge(admin)).await
}
