//! A caching reverse proxy: `CdnCacheLayer` between hyper-util's server and its pooled client.
//!
//! ```text
//! cargo run --release --example edge                                  # with its own origin
//! cargo run --release --example edge -- --origin http://127.0.0.1:3000 --log
//! ```
//!
//! A request passes from `server` (connections) through `front` (checks, hop-by-hop fields, log),
//! the cache, and `origin` (one request to the origin); `fault` makes 502 and 504 of what fails.
//! What is to be done is a `plan`, which `build` makes services of.

mod admin;
mod args;
mod body;
mod build;
mod check;
mod client;
mod demo;
mod fault;
mod forwards;
mod front;
mod hop;
mod last;
mod origin;
mod plan;
#[cfg(feature = "origins")]
mod regional;
mod reply;
mod response;
mod server;
mod signals;
mod size;
mod store;
mod stream;
mod upgrade;
mod upload;
mod upstream;
mod url;
mod wire;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tower::Layer;

use crate::admin::{Admin, Regions, Token};
use crate::args::{Args, Command};
use crate::body::RequestBody;
use crate::front::Front;
use crate::plan::{Marks, Plan};
use crate::signals::Signals;
use crate::upgrade::Tunnels;

fn main() -> ExitCode {
    let args = match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run(args)) => *args,
        Ok(Command::Help) => return print(args::HELP),
        Ok(Command::Version) => return print(concat!("edge ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(message) => return fail(2, &format!("{message}\nTry 'edge --help'.")),
    };
    let token = match token(&args) {
        Ok(token) => token,
        Err(message) => return fail(2, &message),
    };
    let runtime = match runtime(args.workers) {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &format!("cannot start the runtime: {error}")),
    };
    let result = runtime.block_on(run(args, token));
    // What is left has had its time: do not wait for a look-up of a name, say.
    runtime.shutdown_timeout(Duration::ZERO);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(1, &message),
    }
}

/// The token, if anything needs it.
fn token(args: &Args) -> Result<Option<Token>, String> {
    let option = match (args.admin, args.regional_admin.is_empty()) {
        (Some(_), _) => "--admin",
        (None, false) => "--regional-admin",
        (None, true) => return Ok(None),
    };
    let variable = std::env::var_os(admin::token::VARIABLE);
    let token = Token::find(args.admin_token.as_deref(), variable);
    token.map(Some).map_err(|why| format!("{option}: {why}"))
}

async fn run(args: Args, token: Option<Token>) -> Result<(), String> {
    let signals = Signals::new().map_err(|error| format!("cannot wait for signals: {error}"))?;
    let url = match &args.origin {
        Some(url) => url.clone(),
        None => demo::start()
            .await
            .map_err(|error| format!("cannot start the demonstration origin: {error}"))?,
    };
    let plan = Plan::of(&args, url, &Marks::new());
    let listen = plan.fixed.listen;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    let address =
        listener.local_addr().map_err(|error| format!("cannot tell the address: {error}"))?;

    let (builder, disk) = store::layer(&plan.fixed.store)?;
    let tunnels = Tunnels::new();
    let regions = Regions::new(plan.fixed.regional_admin.clone(), token.clone());
    let upstream = build::upstream(&plan, regions.clone(), &tunnels)?;
    let cache = builder.policy(plan.policy).empty_body(RequestBody::default).build();
    let handle = cache.handle();
    let front = Front::new(cache.layer(upstream), plan.log);

    let admin = match (plan.fixed.admin, token) {
        (Some(listen), Some(token)) => {
            Some(admin::server::start(listen, Admin::new(token, handle.clone(), regions)).await?)
        }
        _ => None,
    };

    print(&format!("listening on http://{address}\n"));
    if let Some(address) = admin {
        print(&format!("admin on http://{address}\n"));
    }
    if args.origin.is_none() {
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
