//! A caching reverse proxy: `CdnCacheLayer` between hyper-util's server and its pooled client.
//!
//! ```text
//! cargo run --release --example edge                                  # with its own origin
//! cargo run --release --example edge -- --origin http://127.0.0.1:3000 --log
//! ```
//!
//! A request passes from `server` (connections) through `front` (checks, hop-by-hop fields, log),
//! the cache, and `origin` (one request to the origin, faults as 502 and 504).

mod args;
mod check;
mod client;
mod demo;
mod forwards;
mod front;
mod hop;
mod last;
mod origin;
mod reply;
mod response;
mod server;
mod signals;
mod size;
mod store;
mod stream;
mod upgrade;
mod upload;
mod wire;

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use http_body_util::Empty;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tower::Layer;
use tower_cdn::CachePolicy;

use crate::args::{Args, Command, Preset};
use crate::front::Front;
use crate::origin::{Origin, RequestBody};
use crate::response::Framing;
use crate::signals::Signals;
use crate::upgrade::Tunnels;

fn main() -> ExitCode {
    let args = match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run(args)) => args,
        Ok(Command::Help) => return print(args::HELP),
        Ok(Command::Version) => return print(concat!("edge ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(message) => return fail(2, &format!("{message}\nTry 'edge --help'.")),
    };
    let runtime = match runtime(args.workers) {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &format!("cannot start the runtime: {error}")),
    };
    let result = runtime.block_on(run(args));
    // What is left has had its time: do not wait for a look-up of a name, say.
    runtime.shutdown_timeout(Duration::ZERO);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(1, &message),
    }
}

async fn run(args: Args) -> Result<(), String> {
    let signals = Signals::new().map_err(|error| format!("cannot wait for signals: {error}"))?;
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;
    let address =
        listener.local_addr().map_err(|error| format!("cannot tell the address: {error}"))?;
    let demo = args.origin.is_none();
    let url = match &args.origin {
        Some(url) => url.clone(),
        None => demo::start()
            .await
            .map_err(|error| format!("cannot start the demonstration origin: {error}"))?,
    };

    let policy = match args.preset {
        Preset::Default => CachePolicy::default(),
        Preset::Rfc9111 => CachePolicy::rfc9111(),
        Preset::CloudFront => CachePolicy::cloudfront(),
    };
    // Another one of its kind in a row is no loop.
    let name = format!("edge-{:016x}", RandomState::new().hash_one(address));
    let (builder, disk) = store::layer(&args)?;
    let cache = builder
        // Only the log reads the extension.
        .policy(policy.max_object(args.max_object).cdn_loop(&name).status_extension(args.log))
        .empty_body(|| RequestBody::Right(Empty::new()))
        .build();
    let handle = cache.handle();
    let tunnels = Tunnels::new();
    let framing = match args.preset {
        Preset::Rfc9111 => Framing::AsSent,
        Preset::Default | Preset::CloudFront => Framing::Proven,
    };
    let origin = Origin::new(url, args.rewrite_host, framing, tunnels.clone());
    let front = Front::new(cache.layer(origin), args.log);

    print(&format!("listening on http://{address}\n"));
    if demo {
        print(&demo::guide(address));
    }
    server::serve(listener, front, tunnels, signals).await;
    disk.close(handle).await
}

fn runtime(workers: Option<usize>) -> io::Result<Runtime> {
    let mut builder = match workers {
        Some(1) => Builder::new_current_thread(),
        Some(number) => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(number);
            builder
        }
        None => Builder::new_multi_thread(),
    };
    builder.enable_all().build()
}

fn print(text: &str) -> ExitCode {
    // Nobody may be reading.
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    ExitCode::SUCCESS
}

fn fail(status: u8, message: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "edge: {message}");
    ExitCode::from(status)
}
