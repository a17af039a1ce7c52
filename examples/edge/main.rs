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
mod allocator;
mod args;
mod body;
#[cfg_attr(not(feature = "origins"), allow(dead_code, reason = "only files name buckets"))]
mod bucket;
mod build;
mod check;
mod client;
#[cfg(feature = "origins")]
mod config;
mod connector;
mod demo;
mod duration;
mod fault;
mod forwards;
mod front;
#[cfg(feature = "origins")]
mod group;
mod head;
mod hop;
mod last;
#[cfg(feature = "origins")]
mod live;
#[cfg(feature = "origins")]
mod look;
mod origin;
#[cfg_attr(not(feature = "origins"), allow(dead_code, reason = "only files say all of it"))]
mod plan;
mod rarely;
#[cfg(feature = "origins")]
mod regional;
#[cfg(feature = "origins")]
mod reload;
mod reply;
mod response;
mod server;
mod signals;
mod size;
mod store;
mod stream;
mod timer;
mod upgrade;
mod upload;
mod upstream;
mod url;
mod warning;
mod wire;

use std::io::{self, Write};
#[cfg(feature = "origins")]
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tower::Layer;

use crate::admin::{Admin, Regions, Token};
use crate::args::{Args, Command};
use crate::body::RequestBody;
use crate::build::Sources;
#[cfg(feature = "origins")]
use crate::config::Overrides;
use crate::demo::Demo;
use crate::front::{Front, Log};
#[cfg(feature = "origins")]
use crate::live::Live;
use crate::plan::{Fixed, Marks, Plan};
#[cfg(feature = "origins")]
use crate::reload::{Running, Watched};
#[cfg(feature = "origins")]
use crate::signals::Hangups;
use crate::signals::Signals;
use crate::upgrade::Tunnels;

/// What is to be done, and what belongs to it.
struct Start {
    plan: Plan,
    token: Option<Token>,
    demo: Option<Demo>,
    #[cfg(feature = "origins")]
    watched: Option<Watched>,
}

fn main() -> ExitCode {
    let args = match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run(args)) => *args,
        #[cfg(feature = "origins")]
        Ok(Command::Check(file)) => return check_file(&file),
        Ok(Command::Help) => return print(args::HELP),
        Ok(Command::Version) => return print(concat!("edge ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(message) => return fail(2, &format!("{message}\nTry 'edge --help'.")),
    };
    allocator::make_patient();
    let start = match Start::of(args) {
        Ok(start) => start,
        Err(failure) => return failure,
    };
    let runtime = match runtime(start.plan.fixed.workers) {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &format!("cannot start the runtime: {error}")),
    };
    let result = runtime.block_on(run(start));
    // What is left has had its time: do not wait for a look-up of a name, say.
    runtime.shutdown_timeout(Duration::ZERO);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(1, &message),
    }
}

impl Start {
    /// If there is none, all reasons have been told.
    fn of(args: Args) -> Result<Self, ExitCode> {
        let marks = Marks::new();
        #[cfg(feature = "origins")]
        if let Some(file) = args.config {
            let overrides = Overrides { listen: args.listen, log: args.log };
            let watched = Watched::new(file, overrides, marks);
            let plan = watched.load().map_err(|mistakes| refuse(&mistakes))?.plan;
            let token = token(&plan.fixed)?;
            return Ok(Self { plan, token, demo: None, watched: Some(watched) });
        }
        let (demo, url) = match &args.origin {
            Some(url) => (None, url.clone()),
            None => {
                let (demo, url) = Demo::new().map_err(|error| {
                    fail(1, &format!("cannot start the demonstration origin: {error}"))
                })?;
                (Some(demo), url)
            }
        };
        let plan = Plan::of(&args, url, &marks);
        Ok(Self {
            token: token(&plan.fixed)?,
            plan,
            demo,
            #[cfg(feature = "origins")]
            watched: None,
        })
    }
}

/// The token, if anything needs it.
fn token(fixed: &Fixed) -> Result<Option<Token>, ExitCode> {
    let option = match (fixed.admin, fixed.regional_admin.is_empty()) {
        (Some(_), _) => "--admin",
        (None, false) => "--regional-admin",
        (None, true) => return Ok(None),
    };
    let variable = std::env::var_os(admin::token::VARIABLE);
    let token = Token::find(fixed.admin_token.as_deref(), variable);
    token.map(Some).map_err(|why| fail(2, &format!("{option}: {why}")))
}

async fn run(start: Start) -> Result<(), String> {
    let signals = Signals::new().map_err(|error| format!("cannot wait for signals: {error}"))?;
    let Plan { fixed, log, sources, regional, rules } = start.plan;
    let (listen, patience) = (fixed.listen, fixed.client_timeout);
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    let address =
        listener.local_addr().map_err(|error| format!("cannot tell the address: {error}"))?;

    let tunnels = Tunnels::new();
    let sources = Sources::build(&sources, regional.as_ref(), &Sources::default(), &tunnels)?;
    let regions = Regions::new(fixed.regional_admin.clone(), start.token.clone());
    let (builder, disk) = store::layer(&fixed.store)?;
    let layer = build::rules(builder, rules).empty_body(RequestBody::default).build();
    let handle = layer.handle();
    regions.set_own(handle.clone());
    let cache = layer.layer(sources.select(&regions)?);
    let log = Log::new(log);
    let guide = start.demo.as_ref().map(|_| demo::guide(address));
    if let Some(demo) = start.demo {
        demo.start().map_err(|error| format!("cannot start the demonstration origin: {error}"))?;
    }
    let mut said = format!("listening on http://{address}\n");
    if let (Some(listen), Some(token)) = (fixed.admin, start.token) {
        let admin = Admin::new(token, handle.clone(), regions.clone());
        let address = admin::server::start(listen, admin).await?;
        said += &format!("admin on http://{address}\n");
    }
    said += &guide.unwrap_or_default();

    #[cfg(feature = "origins")]
    if let Some(watched) = start.watched {
        let hangups = Hangups::new().map_err(|error| format!("cannot wait for SIGHUP: {error}"))?;
        let live = Live::new(cache);
        let front = Front::new(live.clone(), log.clone());
        let running = {
            let tunnels = tunnels.clone();
            Running { fixed, layer, sources, live, log, tunnels, regions }
        };
        let watching = tokio::spawn(watched.watch(running, hangups));
        print(&said);
        server::serve(listener, front, tunnels, patience, signals).await;
        watching.abort();
        return disk.close(handle).await;
    }

    print(&said);
    server::serve(listener, Front::new(cache, log), tunnels, patience, signals).await;
    disk.close(handle).await
}

#[cfg(feature = "origins")]
fn check_file(file: &Path) -> ExitCode {
    match config::load(file, Overrides::default(), &Marks::new()) {
        Ok(loaded) => print(&format!("{}: good: {}\n", file.display(), loaded.summary)),
        Err(mistakes) => refuse(&mistakes),
    }
}

/// Tells all mistakes of a file.
#[cfg(feature = "origins")]
fn refuse(mistakes: &[String]) -> ExitCode {
    for mistake in mistakes {
        fail(2, mistake);
    }
    ExitCode::from(2)
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
