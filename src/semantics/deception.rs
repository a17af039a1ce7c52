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
    let file = file.split([';', '%']).next().unwrap_or_default();
    let Some((_, extension)) = file.rsplit_once('.') else { return false };
    let extension = extension.to_ascii_lowercase();
    let Some((_, types)) = STATIC.iter().find(|(known, _)| known.contains(&extension.as_str()))
    else {
        return false;
    };
    let Some(value) = response.get(header::CONTENT_TYPE) else { return true };
    let essence = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default();
    let essence = fields::trim(essence).to_ascii_lowercase();
    !types
        .iter()
        .chain(&["application/octet-stream", "binary/octet-stream"])
        .any(|known| essence.starts_with(known.as_bytes()))
}

/// Extensions of files that are the same for everybody, and how their types begin.
const STATIC: [(&[&str], &[&str]); 8] = [
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
