//! `[origins.NAME]`: who is asked over HTTP, be it a server or a bucket.

use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;

use super::section::Section;
use super::value::{Value, Word};
use crate::bucket::{BucketPlan, Sign};
use crate::plan::{Host, Named, OriginLimits, OriginPlan, Source};
use crate::response::Framing;
use crate::url::{self, OriginUrl};

/// Keys that only a bucket has.
const OF_BUCKETS: [&str; 8] =
    ["region", "endpoint", "virtual_host", "prefix", "index", "query", "sign", "credentials"];

/// `None` if it cannot be used; the reason is among the mistakes then.
pub(super) fn read(name: &Word, mut section: Section<'_>) -> Option<Named<Source>> {
    let bucket = section.get("bucket");
    let limits = limits(&mut section, Duration::from_secs(30));
    let framing = match section.flag("store_close_delimited") {
        Some(true) => Framing::AsSent,
        _ => Framing::Proven,
    };
    let source = match bucket {
        Some(bucket) => of_bucket(bucket, &mut section, framing, limits),
        None => of_server(&mut section, framing, limits),
    };
    section.end();
    Some(Named { name: name.text.clone(), plan: source? })
}

fn of_server(section: &mut Section<'_>, framing: Framing, limits: OriginLimits) -> Option<Source> {
    section.conflict(&OF_BUCKETS, "`url`, which is no bucket");
    for key in OF_BUCKETS {
        section.get(key);
    }
    let has_host = section.has("host");
    if has_host {
        section.conflict(&["rewrite_host"], "`host`");
    }
    let own = section.flag("rewrite_host").unwrap_or(false);
    let named = section.get("host").and_then(|value| value.parsed(host));
    let host = match named {
        Some(name) => Host::Named(name),
        None if own => Host::Own,
        None => Host::Client,
    };
    if !section.has("url") {
        section.get("url");
        section.wrong("`url` or `bucket` is missing");
        return None;
    }
    let url = section.get("url")?.parsed(url::parse)?;
    Some(Source::Origin(OriginPlan { url, host, framing, limits }))
}

/// A name that may be sent as `Host`.
pub(super) fn host(text: &str) -> Result<HeaderValue, String> {
    match url::parse(&format!("http://{text}")) {
        Ok(OriginUrl { authority, .. }) if authority.as_str() == text => {
            HeaderValue::from_str(text).map_err(|_| format!("'{text}' is not a host"))
        }
        _ => Err(format!("'{text}' is not a host: write a name, and a port if there is one")),
    }
}

fn of_bucket(
    bucket: Value<'_>,
    section: &mut Section<'_>,
    framing: Framing,
    limits: OriginLimits,
) -> Option<Source> {
    section.conflict(&["url", "host", "rewrite_host"], "`bucket`, which has a URL of its own");
    for key in ["url", "host", "rewrite_host"] {
        section.get(key);
    }
    let name = bucket.text().map(ToOwned::to_owned);
    let region = section.needed("region").and_then(|value| value.text()).map(ToOwned::to_owned);
    let endpoint = section.get("endpoint").and_then(|value| value.parsed(endpoint));
    let virtual_host = section.flag("virtual_host");
    let prefix = section.word("prefix").map(|word| word.text).unwrap_or_default();
    let index = section.word("index").map(|word| word.text);
    let query = section.texts("query").unwrap_or_default();
    let words = [
        ("always", Sign::Always),
        ("never", Sign::Never),
        ("unless-authorized", Sign::UnlessAuthorized),
    ];
    let sign = section.get("sign").and_then(|value| value.one_of(&words)).unwrap_or(Sign::Always);
    if sign == Sign::Never {
        section.conflict(&["credentials"], "`sign = \"never\"`");
    }
    let credentials = section.word("credentials");
    let line = credentials.as_ref().map_or(section.line, |word| word.line);
    let variables = credentials.map_or_else(|| "AWS".to_owned(), |word| word.text);
    let plan = BucketPlan {
        name: name?,
        region: region?,
        endpoint,
        virtual_host,
        prefix,
        index,
        query,
        sign,
        variables,
        framing,
        limits,
    };
    if let Err(reason) = plan.check() {
        section.mistakes.add(line, format!("{}{reason}", section.place()));
        return None;
    }
    Some(Source::Bucket(plan))
}

fn endpoint(text: &str) -> Result<Uri, String> {
    let OriginUrl { scheme, authority } = url::parse(text)?;
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build();
    uri.map_err(|error| error.to_string())
}

/// Those of a file have limits in all things; here is one for the head of a response.
pub(super) fn limits(section: &mut Section<'_>, first_byte: Duration) -> OriginLimits {
    let usual = OriginLimits {
        first_byte,
        between_bytes: Some(Duration::from_secs(30)),
        max_connections: Some(1024),
        ..OriginLimits::default()
    };
    let between_bytes = section.duration("between_bytes_timeout");
    let max_connections = section.count("max_connections", 1);
    OriginLimits {
        connect: section.duration("connect_timeout").unwrap_or(usual.connect),
        first_byte: section.duration("first_byte_timeout").unwrap_or(usual.first_byte),
        between_bytes: between_bytes.or(usual.between_bytes),
        idle: section.duration("idle_timeout").unwrap_or(usual.idle),
        max_idle: section.count("max_idle", 0).unwrap_or(usual.max_idle),
        max_connections: max_connections.or(usual.max_connections),
    }
}
