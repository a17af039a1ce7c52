//! A file is read again when it has changed, or at SIGHUP: what it says then takes the place of what
//! it said before, and a file with mistakes leaves all as it is.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tower::Layer;
use tower_cdn::CdnCacheLayer;

use crate::admin::Regions;
use crate::build::Sources;
use crate::config::{self, Loaded, Overrides};
use crate::front::Log;
use crate::live::Live;
use crate::look::{Look, Looks};
use crate::plan::{Fixed, Marks, Plan, Rules};
use crate::signals::Hangups;
use crate::upgrade::Tunnels;
use crate::warning::warn;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A file, and how to read it.
pub(crate) struct Watched {
    file: PathBuf,
    overrides: Overrides,
    marks: Marks,
    /// How it looked before it was read first.
    first: Option<Look>,
}

/// What runs, and is exchanged in part.
pub(crate) struct Running {
    pub(crate) fixed: Fixed,
    pub(crate) layer: CdnCacheLayer,
    pub(crate) sources: Sources,
    pub(crate) live: Live,
    pub(crate) log: Log,
    pub(crate) tunnels: Tunnels,
    pub(crate) regions: Regions,
}

impl Watched {
    pub(crate) fn new(file: PathBuf, overrides: Overrides, marks: Marks) -> Self {
        let first = fs::metadata(&file).ok().map(|metadata| Look::of(&metadata));
        Self { file, overrides, marks, first }
    }

    pub(crate) fn load(&self) -> Result<Loaded, Vec<String>> {
        config::load(&self.file, self.overrides, &self.marks)
    }

    /// Goes on for as long as the program runs.
    pub(crate) async fn watch(self, mut running: Running, mut hangups: Hangups) {
        let watched = Arc::new(self);
        let mut looks = Looks::new(watched.first);
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_told = tokio::select! {
                () = hangups.next() => true,
                _ = ticks.tick() => false,
            };
            let now = watched.look().await;
            if is_told {
                looks.reads(now);
            }
            if is_told || looks.is_new(now) {
                let loading = Arc::clone(&watched);
                let name = watched.file.display();
                match spawn_blocking(move || loading.load()).await {
                    Ok(Ok(loaded)) => running.take(loaded, &name.to_string()),
                    Ok(Err(mistakes)) => {
                        mistakes.iter().for_each(|mistake| warn(mistake));
                        warn(&format!("{name}: not taken, all stays as it was"));
                    }
                    Err(_) => warn(&format!("{name}: cannot be read now")),
                }
            }
        }
    }

    /// `None` while there is no such file.
    async fn look(&self) -> Option<Look> {
        tokio::fs::metadata(&self.file).await.ok().map(|metadata| Look::of(&metadata))
    }
}

impl Running {
    /// Puts what was loaded in force.
    fn take(&mut self, loaded: Loaded, file: &str) {
        let Loaded { plan, lines, .. } = loaded;
        if plan.fixed.regional_admin != self.fixed.regional_admin {
            // Requests would go to caches that nobody tells of changes.
            let line = lines.regional.map(|line| format!(":{line}")).unwrap_or_default();
            warn(&format!("{file}{line}: regional: admin: takes a restart"));
            return warn(&format!("{file}: not taken, all stays as it was"));
        }
        let Plan { fixed, log, sources, regional, rules } = plan;
        let built = Sources::build(&sources, regional.as_ref(), &self.sources, &self.tunnels)
            .and_then(|sources| Ok((sources.select(&self.regions)?, sources)));
        let (upstream, sources) = match built {
            Ok(built) => built,
            Err(reason) => return warn(&format!("{file}: not taken: {reason}")),
        };
        let layer = match rules {
            Rules::Distribution(distribution) => self.layer.with_distribution(*distribution),
            Rules::Alike(_) => self.layer.clone(),
        };
        self.live.exchange(layer.layer(upstream));
        self.sources = sources;
        self.log.set(log);
        let (new, old) = (&fixed, &self.fixed);
        let is_same_admin = (new.admin, &new.admin_token) == (old.admin, &old.admin_token);
        for (what, line, has_changed) in [
            ("listen", lines.listen, new.listen != old.listen),
            ("workers", lines.workers, new.workers != old.workers),
            ("client_timeout", lines.client_timeout, new.client_timeout != old.client_timeout),
            ("store", lines.store, new.store != old.store),
            ("admin", lines.admin, !is_same_admin),
        ] {
            if has_changed {
                let line = line.map(|line| format!(":{line}")).unwrap_or_default();
                warn(&format!("{file}{line}: {what}: takes a restart; it stays as it was"));
            }
        }
        warn(&format!("{file}: taken"));
    }
}
