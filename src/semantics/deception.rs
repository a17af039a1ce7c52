//! Web cache deception: `/account/x.css` that answers with somebody's account.
//!
//! Many applications ignore what stands behind the path that they know. A cache that stores "static files" by their extension and by a default lifetime
//! then stores a private page under a public name. A response whose type contradicts its extension therefore gets no lifetime that it did not
//! ask for.
use super::fields;
use http::{HeaderMap, header};

/// Does the type of a response contradict the extension of its path? Only where both are known.
pub(crate) fn contradicts(path: &str, response: &HeaderMap) -> bool {
    let file = path.rsplit('/').next().unwrap_or_default();
    let file = decoded(file);
    // An application may take any of these for the end of the path that it knows, and what stands before or behind it for the name.
    let mut pieces = file.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    let Some(types) = pieces.find_map(static_types) else { return false };
    let Some(value) = response.get(header::CONTENT_TYPE) else { return true };
    let essence = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default();
    let essence = fields::trim(essence).to_ascii_lowercase();
    !types
        .iter()
        .chain(&["application/octet-stream", "binary/octet-stream"])
        .any(|known| essence.starts_with(known.as_bytes()))
}

/// The bytes that `%` and two digits stand for (RFC 3986 section 2.1); what is no text afterwards is a delimiter here.
fn decoded(file: &str) -> String {
    let mut out = String::with_capacity(file.len());
    let mut rest = file;
    while let Some((before, coded)) = rest.split_once('%') {
        out.push_str(before);
        let byte = coded.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'.';
        out.push(byte.filter(is_plain).map_or('%', char::from));
        // Behind the digits, or behind a sign that has none.
        rest = if byte.is_some() { coded.get(2..).unwrap_or_default() } else { coded };
    }
    out + rest
}

/// The types of a static file of this name.
fn static_types(name: &str) -> Option<&'static [&'static str]> {
    let extension = name.rsplit_once('.')?.1.to_ascii_lowercase();
    STATIC.iter().find(|(known, _)| known.contains(&extension.as_str())).map(|(_, types)| *types)
}

/// Extensions of files that are the same for everybody, and how their types begin.
static STATIC: [(&[&str], &[&str]); 8] = [
    (&["css"], &["text/css"]),
    (
        &["js", "mjs", "cjs"],
        &["text/javascript", "application/javascript", "application/x-javascript"],
    ),
    (&["json", "map", "webmanifest"], &["application/", "text/json"]),
    (
        &["png", "jpg", "jpeg", "gif", "webp", "avif", "ico", "bmp", "svg", "tif", "tiff"],
        &["image/"],
    ),
    (
        &["woff", "woff2", "ttf", "otf", "eot"],
        &["font/", "application/font", "application/x-font", "application/vnd.ms-fontobject"],
    ),
    (&["mp3", "ogg", "wav", "flac", "aac", "m4a"], &["audio/", "video/", "application/ogg"]),
    (
        &["mp4", "webm", "mkv", "avi", "mov", "m4v", "ts", "m3u8"],
        &["video/", "audio/", "application/vnd.apple.mpegurl", "application/x-mpegurl"],
    ),
    (
        &[
            "pdf", "zip", "gz", "tgz", "bz2", "xz", "7z", "rar", "tar", "exe", "dmg", "iso",
            "wasm", "jar", "swf",
        ],
        &["application/"],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_contradicts_the_extension() {
        for (path, kind, want) in [
            ("/account/x.css", Some("text/html; charset=utf-8"), true),
            ("/account/x.CSS", Some("TEXT/HTML"), true),
            ("/account/x.css;y", Some("text/html"), true),
            ("/account/x.css%00", Some("text/html"), true),
            ("/account;x.css", Some("text/html"), true),
            ("/account%2fx.css", Some("text/html"), true),
            ("/account%00.css", Some("text/html"), true),
            ("/account/x.%63ss", Some("text/html"), true),
            ("/account/%zz%", Some("text/html"), false),
            ("/account;x.css", Some("text/html"), true),
            ("/account%2fx.css", Some("text/html"), true),
            ("/account%00.css", Some("text/html"), true),
            ("/account/x.css", None, true),
            ("/x.css", Some("text/css"), false),
            ("/x.js", Some("application/javascript"), false),
            ("/x.png", Some("image/png"), false),
            ("/x.zip", Some("application/octet-stream"), false),
            ("/account", Some("text/html"), false),
            ("/account/v1.2", Some("text/html"), false),
            ("/x.css/account", Some("text/html"), false),
            ("/", None, false),
        ] {
            let headers = kind.map(|k| (header::CONTENT_TYPE, k.parse().unwrap()));
            assert_eq!(contradicts(path, &headers.into_iter().collect()), want, "{path} {kind:?}");
        }
    }
}
