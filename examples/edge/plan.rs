//! What the program is to do, whoever says it: the command line or a file.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hyper::header::HeaderValue;
use tower_cdn::{CachePolicy, Distribution};

use crate::args::{Args, Preset};
use crate::bucket::BucketPlan;
#[cfg(feature = "origins")]
use crate::group::GroupPlan;
use crate::response::Framing;
use crate::url::OriginUrl;

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) fixed: Fixed,
    pub(crate) log: bool,
    pub(crate) sources: Vec<Named<Source>>,
    pub(crate) regional: Option<RegionalPlan>,
    pub(crate) rules: Rules,
}

/// What stays as it is for as long as the program runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fixed {
    pub(crate) listen: SocketAddr,
    /// `None` leaves the number to the runtime.
    pub(crate) workers: Option<usize>,
    /// How long a client may send nothing of a request's body, or take nothing of what is for it.
    pub(crate) client_timeout: Duration,
    pub(crate) store: StorePlan,
    /// Where an operator asks, if anywhere.
    pub(crate) admin: Option<SocketAddr>,
    /// A file with the operator's token.
    pub(crate) admin_token: Option<PathBuf>,
    /// Where the operators of the regional caches ask.
    pub(crate) regional_admin: Vec<OriginUrl>,
}

/// Regional caches between this edge and its origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegionalPlan {
    pub(crate) caches: Vec<OriginPlan>,
    pub(crate) by: By,
    /// The names of origins that are asked directly.
    pub(crate) local: Vec<String>,
}

/// Which of several regional caches is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Nearest,
    Sharded,
}

/// Where stored responses lie: in memory, on a disk, or in memory in front of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StorePlan {
    pub(crate) memory: Option<u64>,
    pub(crate) disk: Option<DiskPlan>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DiskPlan {
    pub(crate) directory: PathBuf,
    pub(crate) size: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named<T> {
    pub(crate) name: String,
    pub(crate) plan: T,
}

/// Where a file says what cannot change.
#[cfg(feature = "origins")]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lines {
    pub(crate) listen: Option<usize>,
    pub(crate) workers: Option<usize>,
    pub(crate) client_timeout: Option<usize>,
    pub(crate) store: Option<usize>,
    pub(crate) admin: Option<usize>,
    pub(crate) regional: Option<usize>,
}

/// What requests can be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Origin(OriginPlan),
    Bucket(BucketPlan),
    #[cfg(feature = "origins")]
    Group(GroupPlan),
}

/// An origin over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OriginPlan {
    pub(crate) url: OriginUrl,
    pub(crate) host: Host,
    pub(crate) framing: Framing,
    pub(crate) limits: OriginLimits,
}

/// What an origin is told as `Host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// What the client says.
    Client,
    /// The name in the origin's URL.
    Own,
    Named(HeaderValue),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OriginLimits {
    /// To find the name's addresses and to connect, TLS included. All addresses have their share of it.
    pub(crate) connect: Duration,
    /// From the last byte of the request to the head of the response.
    pub(crate) first_byte: Duration,
    /// Between two parts of the response's body.
    pub(crate) between_bytes: Option<Duration>,
    /// A connection unused for longer is closed.
    pub(crate) idle: Duration,
    /// Unused connections that are kept.
    pub(crate) max_idle: usize,
    /// Requests under way; more of them wait.
    pub(crate) max_connections: Option<usize>,
}

impl Default for OriginLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(30),
            between_bytes: None,
            // Servers close theirs after 5 s (Apache, Node.js) and later; being first avoids the
            // race in which a request meets a connection that is being closed.
            idle: Duration::from_secs(4),
            max_idle: 256,
            max_connections: None,
        }
    }
}

/// How requests are answered.
#[derive(Debug)]
pub(crate) enum Rules {
    /// All alike.
    Alike(Box<CachePolicy>),
    Distribution(Box<Distribution>),
}

/// What the policies of this process have in common.
#[derive(Debug)]
pub(crate) struct Marks {
    /// Another edge in a row is no loop.
    loop_name: String,
}

impl Marks {
    pub(crate) fn new() -> Self {
        Self { loop_name: process_name() }
    }

    pub(crate) fn mark(&self, policy: CachePolicy, log: bool) -> CachePolicy {
        // Only the log reads the extension.
        policy.cdn_loop(&self.loop_name).status_extension(log)
    }
}

/// While a regional cache waits for its origin, it is no worse than the origin.
pub(crate) const REGIONAL_FIRST_BYTE: Duration = Duration::from_secs(35);

impl OriginPlan {
    /// A regional cache, which has to know what the client has asked for.
    pub(crate) fn regional(url: OriginUrl, framing: Framing, limits: OriginLimits) -> Self {
        Self { url, host: Host::Client, framing, limits }
    }
}

/// Another one for each call, in any process.
pub(crate) fn process_name() -> String {
    format!("edge-{:016x}", RandomState::new().hash_one(std::process::id()))
}

/// How long clients may pause if nobody says.
pub(crate) const CLIENT_TIMEOUT: Duration = Duration::from_secs(60);

/// Where to listen if nobody says.
pub(crate) const LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 8080);

impl Plan {
    /// What the command line asks for, in front of this origin.
    pub(crate) fn of(args: &Args, url: OriginUrl, marks: &Marks) -> Self {
        let disk = args.disk.clone();
        let policy = args.preset.policy().max_object(args.max_object);
        let origin = OriginPlan {
            url,
            host: if args.rewrite_host { Host::Own } else { Host::Client },
            framing: match args.preset {
                Preset::Rfc9111 => Framing::AsSent,
                Preset::Default | Preset::CloudFront => Framing::Proven,
            },
            limits: OriginLimits::default(),
        };
        let limits = OriginLimits { first_byte: REGIONAL_FIRST_BYTE, ..OriginLimits::default() };
        let cache =
            |url: &OriginUrl| OriginPlan::regional(url.clone(), origin.framing, limits.clone());
        let regional = (!args.regional.is_empty()).then(|| RegionalPlan {
            caches: args.regional.iter().map(cache).collect(),
            by: args.regional_by,
            local: Vec::new(),
        });
        Self {
            fixed: Fixed {
                listen: args.listen.unwrap_or_else(|| LISTEN.into()),
                workers: args.workers,
                client_timeout: args.client_timeout,
                store: StorePlan {
                    memory: Some(args.memory),
                    disk: disk.map(|directory| DiskPlan { directory, size: args.disk_size }),
                },
                admin: args.admin,
                admin_token: args.admin_token.clone(),
                regional_admin: args.regional_admin.clone(),
            },
            regional,
            log: args.log,
            sources: vec![Named { name: "origin".to_owned(), plan: Source::Origin(origin) }],
            rules: Rules::Alike(Box::new(marks.mark(policy, args.log))),
        }
    }
}
