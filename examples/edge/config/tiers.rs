//! `[regional]` and `[admin]`: a tier of caches in front of the origins, and who may say what is
//! invalid.

use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::names::Names;
use super::origins;
use super::section::Section;
use crate::admin::Token;
use crate::admin::token::VARIABLE;
use crate::args;
use crate::plan::{By, OriginPlan, REGIONAL_FIRST_BYTE, RegionalPlan};
use crate::response::Framing;
use crate::url::{self, OriginUrl};

/// A tier, and where its operators ask.
pub(super) struct Regional {
    pub(super) plan: Option<RegionalPlan>,
    pub(super) admin: Vec<OriginUrl>,
    /// Where that is said.
    pub(super) admin_line: usize,
}

pub(super) fn regional(mut section: Section<'_>, sources: &Names<()>) -> Regional {
    let caches = section.needed("caches");
    let caches = caches.and_then(|value| value.some_of(|value| value.parsed(url::parse)));
    let words = [("nearest", By::Nearest), ("sharded", By::Sharded)];
    let by = section.get("by").and_then(|value| value.one_of(&words)).unwrap_or(By::Nearest);
    let local = section.get("local").and_then(|value| value.list_of(|value| value.word()));
    let local = local.unwrap_or_default();
    for name in &local {
        sources.find(name, section.mistakes);
    }
    let limits = origins::limits(&mut section, REGIONAL_FIRST_BYTE);
    let admin = section.get("admin");
    let admin_line = admin.as_ref().map_or(section.line, |value| value.line());
    let admin = admin.and_then(|value| value.list_of(|value| value.parsed(url::parse)));
    section.end();
    let cache = |url| OriginPlan::regional(url, Framing::Proven, limits.clone());
    let plan = caches.map(|urls| RegionalPlan {
        caches: urls.into_iter().map(cache).collect(),
        by,
        local: local.into_iter().map(|name| name.text).collect(),
    });
    Regional { plan, admin: admin.unwrap_or_default(), admin_line }
}

/// Where an operator asks, and the file that has the token.
#[derive(Default)]
pub(super) struct Admin {
    pub(super) listen: Option<SocketAddr>,
    pub(super) token_file: Option<PathBuf>,
    line: Option<usize>,
}

pub(super) fn admin(mut section: Section<'_>) -> Admin {
    let listen = section.get("listen").and_then(|value| value.parsed(args::listen));
    let file = section.get("token_file");
    let line = file.as_ref().map_or(section.line, |value| value.line());
    let token_file = file.and_then(|value| value.text()).map(PathBuf::from);
    section.end();
    Admin { listen, token_file, line: Some(line) }
}

impl Admin {
    /// The line that is wrong if the token that is needed is not there, and why.
    pub(super) fn fault(&self, regional: Option<&Regional>) -> Option<(usize, String)> {
        let tells = regional.filter(|regional| !regional.admin.is_empty());
        if self.listen.is_none() && tells.is_none() {
            return None;
        }
        let of_tier = || tells.map(|regional| regional.admin_line);
        let line = self.line.or_else(of_tier).unwrap_or(1);
        let variable = env::var_os(VARIABLE);
        if self.token_file.is_none() && variable.is_none() {
            let why = "a token is needed: `token_file` in `[admin]`, or the environment's";
            return Some((line, format!("{why} {VARIABLE}")));
        }
        let why = Token::find(self.token_file.as_deref(), variable).err()?;
        Some((line, why))
    }
}
