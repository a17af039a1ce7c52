//! The command line.
//!
//! Everything that can be wrong with an argument is found here, before a socket is opened, and is
//! told in one sentence that names the option and the value.

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use lexopt::Arg::{Long, Short};
use tower_cdn::CachePolicy;

use crate::plan::{By, CLIENT_TIMEOUT};
use crate::url::{self, OriginUrl};
use crate::{duration, size};

pub(crate) const HELP: &str = "\
edge: a caching reverse proxy, as an example of the crate tower-cdn

Usage: edge [OPTIONS]

Options:
      --config FILE      take all settings from this file (TOML), and again when it changes or at SIGHUP;
                         only --listen and --log go with it (needs the feature origins)
      --check FILE       only tell what is wrong with such a file
      --origin URL       the origin to stand before, as http://host[:port] or https://host[:port]
                         (without it, a demonstration origin is started)
      --listen ADDR      address to listen on, HTTP/1.1 and HTTP/2 without TLS [127.0.0.1:8080]
      --memory SIZE      memory for stored responses [256MiB]
      --disk DIR         keep stored responses in this directory too, with the memory in front; they
                         outlive the process (needs the features disk and tiered)
      --disk-size SIZE   what they take on the disk [10GiB]
      --max-object SIZE  largest response that is stored [64MiB]
      --regional URL     a regional cache, asked in place of the origin for all that can be cached; the
                         origin answers where none can be reached; may be given several times
                         (needs the feature origins)
      --regional-by HOW  which of several: nearest, or sharded, each object in one place [nearest]
      --regional-admin URL
                         the --admin address of a regional cache, which is told what is invalidated
                         here, also by answers to unsafe requests (without it, it keeps what
                         these have changed); may be given several times
      --admin ADDR       address of POST /invalidate and GET /statistics, for who has the token
                         [nowhere]
      --admin-token-file FILE
                         the token, for --admin and --regional-admin [EDGE_ADMIN_TOKEN]
      --preset NAME      caching policy: default, rfc9111 or cloudfront [default]
      --client-timeout TIME
                         how long a client may send nothing of a request's body, or take nothing of what is
                         for it [60s]
      --workers N        worker threads [one for each processor]
      --rewrite-host     send the origin's own host name as Host, not the client's
      --log              write one line for each request to standard error
  -h, --help             print this text
  -V, --version          print the version

SIZE is a whole number and a unit: B, KiB, MiB, GiB, TiB count by 1024 (K, M, G, T too),
KB, MB, GB, TB by 1000. TIME is one with ms, s, m, h or d. Ctrl-C or SIGTERM lets requests under way end; a second one ends at once.
";

/// Threads more than any machine has use for.
pub(crate) const MAX_WORKERS: usize = 1024;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Command {
    Run(Box<Args>),
    /// Only looks at this file.
    #[cfg(feature = "origins")]
    Check(PathBuf),
    Help,
    Version,
}

#[derive(Debug)]
pub(crate) struct Args {
    /// All else is there then, if there is one, but `listen` and `log`.
    #[cfg(feature = "origins")]
    pub(crate) config: Option<PathBuf>,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) origin: Option<OriginUrl>,
    pub(crate) memory: u64,
    /// Only in memory if there is none.
    pub(crate) disk: Option<PathBuf>,
    pub(crate) disk_size: u64,
    pub(crate) max_object: u64,
    pub(crate) regional: Vec<OriginUrl>,
    pub(crate) regional_by: By,
    pub(crate) regional_admin: Vec<OriginUrl>,
    /// Off if there is none.
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) admin_token: Option<PathBuf>,
    pub(crate) preset: Preset,
    /// `None` leaves the number to the runtime.
    pub(crate) workers: Option<usize>,
    pub(crate) client_timeout: Duration,
    pub(crate) rewrite_host: bool,
    pub(crate) log: bool,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            #[cfg(feature = "origins")]
            config: None,
            listen: None,
            origin: None,
            memory: 256 << 20,
            disk: None,
            disk_size: 10 << 30,
            max_object: 64 << 20,
            regional: Vec::new(),
            regional_by: By::Nearest,
            regional_admin: Vec::new(),
            admin: None,
            admin_token: None,
            preset: Preset::Default,
            workers: None,
            client_timeout: CLIENT_TIMEOUT,
            rewrite_host: false,
            log: false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preset {
    Default,
    Rfc9111,
    CloudFront,
}

impl Preset {
    pub(crate) fn policy(self) -> CachePolicy {
        match self {
            Self::Default => CachePolicy::default(),
            Self::Rfc9111 => CachePolicy::rfc9111(),
            Self::CloudFront => CachePolicy::cloudfront(),
        }
    }
}

/// Reads the arguments after the program's name. When an option is given twice the last one counts.
pub(crate) fn parse<I>(args: I) -> Result<Command, String>
where
    I: IntoIterator<Item: Into<OsString>>,
{
    let mut parser = lexopt::Parser::from_args(args);
    let mut args = Args::default();
    #[cfg(feature = "origins")]
    let (mut check, mut given) = (None, Vec::new());
    while let Some(arg) = parser.next().map_err(sentence)? {
        #[cfg(feature = "origins")]
        if let Long(name) = arg {
            given.push(format!("--{name}"));
        }
        match arg {
            #[cfg(not(feature = "origins"))]
            Long(option @ ("config" | "check")) => {
                return Err(format!(
                    "--{option}: this program was built without it; build it with \
                     `cargo build --release --features origins --example edge`"
                ));
            }
            #[cfg(feature = "origins")]
            Long("config") => args.config = Some(file(&mut parser)?),
            #[cfg(feature = "origins")]
            Long("check") => check = Some(file(&mut parser)?),
            Long("listen") => args.listen = Some(value(&mut parser, "--listen", listen)?),
            Long("origin") => args.origin = Some(value(&mut parser, "--origin", url::parse)?),
            Long("memory") => args.memory = value(&mut parser, "--memory", size::parse)?,
            Long("disk") => args.disk = Some(disk(&mut parser)?),
            Long("disk-size") => args.disk_size = value(&mut parser, "--disk-size", size::parse)?,
            Long("max-object") => {
                args.max_object = value(&mut parser, "--max-object", size::parse)?;
            }
            Long("regional") => {
                args.regional.push(value(&mut parser, "--regional", regional)?);
            }
            Long("regional-by") => args.regional_by = value(&mut parser, "--regional-by", by)?,
            Long("regional-admin") => {
                args.regional_admin.push(value(&mut parser, "--regional-admin", url::parse)?);
            }
            Long("admin") => args.admin = Some(value(&mut parser, "--admin", listen)?),
            Long("admin-token-file") => {
                args.admin_token = Some(parser.value().map_err(sentence)?.into());
            }
            Long("preset") => args.preset = value(&mut parser, "--preset", preset)?,
            Long("workers") => args.workers = Some(value(&mut parser, "--workers", workers)?),
            Long("client-timeout") => {
                args.client_timeout = value(&mut parser, "--client-timeout", client_timeout)?;
            }
            Long("rewrite-host") => args.rewrite_host = true,
            Long("log") => args.log = true,
            Short('h') | Long("help") => return Ok(Command::Help),
            Short('V') | Long("version") => return Ok(Command::Version),
            other => return Err(sentence(other.unexpected())),
        }
    }
    #[cfg(feature = "origins")]
    if let Some(file) = check {
        alone(&given, &["--check"])?;
        return Ok(Command::Check(file));
    }
    #[cfg(feature = "origins")]
    if args.config.is_some() {
        alone(&given, &["--config", "--listen", "--log"])?;
    }
    if args.regional.is_empty() && !args.regional_admin.is_empty() {
        return Err("--regional-admin: there is no --regional".to_owned());
    }
    Ok(Command::Run(Box::new(args)))
}

fn sentence(error: lexopt::Error) -> String {
    error.to_string()
}

/// The value of `option`, read by `read`.
fn value<T>(
    parser: &mut lexopt::Parser,
    option: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, String> {
    let value = parser.value().map_err(sentence)?;
    let value = value.to_str().ok_or_else(|| format!("{option}: the value is not UTF-8"))?;
    read(value).map_err(|message| format!("{option}: {message}"))
}

/// Options with which no others go.
#[cfg(feature = "origins")]
fn alone(given: &[String], allowed: &[&str]) -> Result<(), String> {
    match given.iter().find(|option| !allowed.contains(&option.as_str())) {
        Some(other) => Err(format!("{other}: not together with {}", allowed[0])),
        None => Ok(()),
    }
}

/// A file; its name need not be text.
#[cfg(feature = "origins")]
fn file(parser: &mut lexopt::Parser) -> Result<PathBuf, String> {
    Ok(PathBuf::from(parser.value().map_err(sentence)?))
}

/// A directory; its name need not be text.
fn disk(parser: &mut lexopt::Parser) -> Result<PathBuf, String> {
    let directory = PathBuf::from(parser.value().map_err(sentence)?);
    if directory.as_os_str().is_empty() {
        return Err("--disk: the directory has no name".to_owned());
    }
    if !cfg!(all(unix, feature = "disk", feature = "tiered")) {
        return Err("--disk: this program was built without it; build it with \
                    `cargo build --release --features disk,tiered --example edge`"
            .to_owned());
    }
    Ok(directory)
}

fn regional(text: &str) -> Result<OriginUrl, String> {
    if !cfg!(feature = "origins") {
        return Err("this program was built without it; build it with \
                    `cargo build --release --features origins --example edge`"
            .to_owned());
    }
    url::parse(text)
}

fn by(text: &str) -> Result<By, String> {
    match text {
        "nearest" => Ok(By::Nearest),
        "sharded" => Ok(By::Sharded),
        _ => Err(format!("unknown way '{text}': use nearest or sharded")),
    }
}

pub(crate) fn listen(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let mut found = text.to_socket_addrs().map_err(|_| {
        format!("'{text}' is not an address: write host:port, as in 127.0.0.1:8080 or [::1]:8080")
    })?;
    found.next().ok_or_else(|| format!("'{text}' has no address"))
}

fn preset(text: &str) -> Result<Preset, String> {
    match text {
        "default" => Ok(Preset::Default),
        "rfc9111" => Ok(Preset::Rfc9111),
        "cloudfront" => Ok(Preset::CloudFront),
        _ => Err(format!("unknown preset '{text}': use default, rfc9111 or cloudfront")),
    }
}

/// Not none at all: with that, nobody could send anything.
pub(crate) fn client_timeout(text: &str) -> Result<Duration, String> {
    match duration::parse(text)? {
        Duration::ZERO => Err(format!("'{text}' is no time in which anything can come")),
        time => Ok(time),
    }
}

fn workers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=MAX_WORKERS) => Ok(number),
        _ => Err(format!("'{text}' is not a number from 1 to {MAX_WORKERS}")),
    }
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
