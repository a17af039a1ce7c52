//! `--config FILE` and `--check FILE`: what a file says, and what is told of one that is wrong.

use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::sync::mpsc;

use tempfile::TempDir;

use crate::site::{Site, response};
use crate::support::{Edge, Origin, field, run};

/// A file of its own directory, which goes with it.
pub(crate) struct File {
    _directory: TempDir,
    pub(crate) path: PathBuf,
}

impl File {
    pub(crate) fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("edge.toml");
        fs::write(&path, text).expect("a file");
        Self { _directory: directory, path }
    }

    pub(crate) fn name(&self) -> &str {
        self.path.to_str().expect("text")
    }

    pub(crate) fn write(&self, text: &str) {
        fs::write(&self.path, text).expect("a file");
    }

    pub(crate) fn run(&self) -> Edge {
        Edge::with(&["--config", self.name()])
    }
}

/// One origin, and all requests go there.
pub(crate) fn one_origin(site: &Site) -> String {
    format!("[origins.a]\nurl = \"http://{}\"\n[default]\norigin = \"a\"\n", site.address)
}

fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stderr.clone()).expect("text");
    text.lines().map(ToOwned::to_owned).collect()
}

/// Each line of the text that ends with `#! WHAT` is told with that, and no other line is. The same
/// when the program is to run.
pub(crate) fn all_are_told(text: &str) {
    let file = File::new(text);
    let mut expected = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let marks = line.split("#! ").skip(1);
        expected
            .extend(marks.map(|mark| (format!("edge: {}:{number}: ", file.name()), mark.trim())));
    }
    assert!(!expected.is_empty());
    for option in ["--check", "--config"] {
        let output = run(&[option, file.name()]);
        let mut told = lines(&output);
        assert_eq!(output.status.code(), Some(2), "{told:#?}");
        assert!(output.stdout.is_empty());
        for (place, what) in &expected {
            let found = told.iter().position(|line| line.starts_with(place) && line.contains(what));
            let found = found.unwrap_or_else(|| panic!("{place}{what} is not among {told:#?}"));
            told.remove(found);
        }
        assert_eq!(told, [""; 0], "nothing else is wrong");
    }
}

#[test]
fn mistakes_are_told_all_at_once_each_with_its_line() {
    all_are_told(
        r#"
listen = "nowhere" #! listen: 'nowhere' is not an address
wrokers = 3 #! no key is called `wrokers`: is it `workers`?
workers = 0 #! workers: a whole number from 1 to 1024
log = "yes" #! log: true or false is needed here, and this is text
store = 5 #! store: a table is needed here, and this is a number

[policies.a]
preset = "akamai" #! preset: 'akamai' is not one of "default", "rfc9111", "cloudfront"
min_ttl = "10 parsecs" #! policies.a: min_ttl: '10 parsecs' is not a time
max_ttl = "1h"
default_ttl = "2h" #! default_ttl: not together with a shorter `max_ttl`
error_ttl = 10 #! error_ttl: a time with its unit, as in "10s", is needed here
wait_timeout = "36501d" #! too long
max_object = "lots" #! max_object: 'lots' is not a size
window = "99999999999TiB" #! window: '99999999999TiB' is too large
max_variants = -1 #! max_variants: a whole number from 1 is needed
set_cookie = "striip" #! is it `strip`?
ttl_jitter = 3 #! ttl_jitter: a number from 0 to 1
via = "a b" #! via: 'a b' is no name
heuristic = { fractoin = 0.1 } #! `fraction` is missing #! no key is called `fractoin`: is it `fraction`?
tag_fields = ["surrogate-key",
    "not ok", #! tag_fields: 'not ok' is not the name of a field
    7] #! tag_fields: text in quotes is needed here, and this is a number
error_ttl_of = [{ status = 99, ttl = "1s" }] #! status: a whole number from 100 to 999

[keys.k]
query = "some" #! query: 'some' is not one of "all", "none"
query_except = ["a"] #! query_except: not together with `query`
cookies = "a" #! cookies: a list
default_host = "a/b" #! default_host: 'a/b' is not a host

[origins.site]
url = "http://user:secret@host" #! credentials are not allowed
conect_timeout = "1s" #! no key is called `conect_timeout`: is it `connect_timeout`?
region = "x" #! region: not together with `url`
max_connections = 0 #! max_connections: a whole number from 1

[origins.api] #! `url` or `bucket` is missing
host = "a"
rewrite_host = true #! rewrite_host: not together with `host`

[groups.api] #! `api` is the name of something else, in line 39
members = ["site",
    "nobody"] #! no origin or group is called `nobody`

[groups.g] #! `g` is a member of itself
members = ["h", "h"] #! `h` is a member twice
keys = "k" #! keys: not together with a kind other than "sharded"
pause = "5m"
longest_pause = "1m" #! longest_pause: not together with a longer `pause`

[groups.h] #! `h` is a member of itself
members = ["g"]
check = { every = "0s" } #! `path` is missing #! every: it has to be longer

[groups.empty]
members = [] #! members: at least one is needed

[default]
path = "/x" #! path: not together with the default
origin = "sit" #! no origin or group is called `sit`: is it `site`?
policy = "b" #! no policy is called `b`

[[behaviours]]
path = "/images/*"
origin = "api"
dynamic = true
policy = "a" #! policy: not together with `dynamic`

[[behaviours]]
path = "/images/*.jpg" #! is never used: /images/* stands before it and matches all that it matches (line 66)
keys = "kk" #! no key policy is called `kk`: is it `k`?
methods = ["get", "GET"] #! 'get' is not a method: their names have capitals
forward = "everything" #! forward: 'everything' is not one of "all", "all-but-sensitive"

[[behaviours]] #! `path` is missing
host = "a:80" #! a port counts for nothing here

[[behaviours]]
path = "a b" #! it has bytes that no path has
methods = [] #! at least one is needed

[[error_pages]] #! the status is no error
status = 200
path = "/x"

[[error_pages]]
status = 404
path = "/x"

[[error_pages]] #! 404 has an error page in line 88
status = 404
path = "/y"
as = 2000 #! as: a whole number from 100 to 999
"#,
    );
}

#[test]
fn what_has_to_be_there_is_missed() {
    all_are_told("log = true #! there is no origin #! there is no default behaviour\n");
    all_are_told("[origins.a]\nurl = \"http://a\"\n[default] #! `origin` is missing\n");
}

#[test]
fn mistakes_of_syntax_do_not_hide_others() {
    all_are_told(
        "workers = 0 #! workers: a whole number\n\
         listen = #! string values must be quoted\n\
         [origins.a]\n\
         url = \"ftp://a\" #! scheme other\n\
         url = \"http://a\" #! duplicate\n\
         [default]\n\
         origin = \"a\"\n",
    );
}

#[test]
fn stores_have_a_place() {
    let rest = "[origins.a]\nurl = \"http://a\"\n[default]\norigin = \"a\"\n";
    for store in [
        "memory = \"lots\" #! memory: 'lots' is not a size\n",
        "memory = true #! memory: a size is needed\n",
        "memory = false #! memory: not together with no `disk`\n",
        "disk_size = \"1GiB\" #! disk_size: not together with no `disk`\n",
    ] {
        all_are_told(&format!("[store]\n{store}{rest}"));
    }
    if !cfg!(all(unix, feature = "disk", feature = "tiered")) {
        all_are_told(&format!("[store]\ndisk = \"/x\" #! the features disk and tiered\n{rest}"));
    }
}

#[test]
fn buckets_need_a_feature_and_credentials() {
    let of = |line: &str, told: &str| {
        all_are_told(&format!(
            "[default]\norigin = \"a\"\n[origins.a]{told}\nbucket = \"b\"\nregion = \"r\"\n{line}\n"
        ));
    };
    if cfg!(feature = "s3") {
        of("credentials = \"NO_SUCH\" #! the environment has no NO_SUCH_ACCESS_KEY_ID", "");
        of("sign = \"never\"\nurl = \"http://a\" #! url: not together with `bucket`", "");
        of("sign = \"never\"\ncredentials = \"A\" #! not together with `sign = \"never\"`", "");
        of("sign = \"never\"\nendpoint = \"minio\" #! endpoint: 'minio' has no scheme", "");
    } else {
        of("", " #! a bucket needs the feature s3");
    }
}

#[test]
fn a_token_is_missed_where_it_is_needed() {
    let rest = "[origins.a]\nurl = \"http://a\"\n[default]\norigin = \"a\"\n";
    let listen = "[admin] #! a token is needed\nlisten = \"127.0.0.1:0\"\n";
    let tells =
        "[regional]\ncaches = [\"http://a\"]\nadmin = [\"http://a\"] #! a token is needed\n";
    for text in [listen, tells] {
        all_are_told(&format!("{text}{rest}"));
    }
    let token = File::new("too-short\n");
    let file = format!("token_file = \"{}\" #! from 16 to 512 characters", token.name());
    all_are_told(&format!("[admin]\nlisten = \"127.0.0.1:0\"\n{file}\n{rest}"));
}

#[test]
fn secrets_are_not_repeated() {
    let file = File::new(
        "[origins.a]\nurl = \"http://me:hunter2@a\"\npassword = \"hunter2\"\n\
         [default]\norigin = \"a\"\nbroken = \"hunter2\n",
    );
    let output = run(&["--check", file.name()]);
    let told = lines(&output);
    assert_eq!((output.status.code(), told.len()), (Some(2), 3), "{told:#?}");
    assert!(!told.iter().any(|line| line.contains("hunter2")), "{told:#?}");
}

#[test]
fn a_file_that_cannot_be_read_is_refused() {
    for option in ["--check", "--config"] {
        let output = run(&[option, "/no/such/file.toml"]);
        let told = lines(&output);
        assert_eq!(output.status.code(), Some(2));
        assert!(told.len() == 1 && told[0].contains("/no/such/file.toml"), "{told:#?}");
    }
    let file = File::new("");
    fs::write(&file.path, [0xff, 0xfe]).expect("a file");
    assert!(lines(&run(&["--check", file.name()]))[0].contains("it is not UTF-8"));
}

#[test]
fn options_that_the_file_speaks_of_are_refused() {
    let file = File::new("");
    for option in [&["--origin", "http://a"][..], &["--preset", "default"], &["--rewrite-host"]] {
        let output = run(&[&["--config", file.name()], option].concat());
        let told = lines(&output).concat();
        assert_eq!(output.status.code(), Some(2));
        assert!(told.contains(option[0]) && told.contains("--config"), "{told}");
    }
}

#[test]
fn a_good_file_is_called_good() {
    let site = Site::saying("a", "no-store");
    let file = File::new(&one_origin(&site));
    let output = run(&["--check", file.name()]);
    let told = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        told,
        format!("{}: good: 1 origin, 0 groups, 1 behaviour, 0 error pages\n", file.name())
    );
    assert!(output.stderr.is_empty());
    assert_eq!(site.requests(), 0, "nothing is asked");
}

#[test]
fn behaviours_have_their_origins_methods_policies_and_fields() {
    let pages = Site::saying("page", "max-age=60");
    let api = Site::new(|head| {
        let method = head.split(' ').next().expect("a method");
        response("200 OK", "Cache-Control: max-age=60\r\n", method)
    });
    let file = File::new(&format!(
        r#"
[origins.pages]
url = "http://{}"
rewrite_host = true
[origins.api]
url = "http://{}"
host = "api.internal:81"
[keys.pages]
query = "none"
[default]
origin = "pages"
keys = "pages"
forward = ["x-kept"]
[[behaviours]]
path = "/api/*"
origin = "api"
dynamic = true
"#,
        pages.address, api.address
    ));
    let edge = file.run();
    for target in ["/a?v=1", "/a?v=2", "/a"] {
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: a\r\nX-Kept: 1\r\nX-Other: 2\r\n\r\n");
        assert_eq!(edge.ask(&request).body, b"page");
    }
    let heads = pages.heads();
    assert_eq!(heads.len(), 1, "no query counts");
    let head = heads[0].to_ascii_lowercase();
    assert!(head.starts_with("get /a http/1.1\r\n"), "{head}");
    assert!(head.contains("x-kept: 1\r\n") && !head.contains("x-other"), "{head}");
    assert!(head.contains(&format!("host: {}\r\n", pages.address)), "{head}");
    let post = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(edge.ask(post).status(), 403);
    let delete = "DELETE /api/1 HTTP/1.1\r\nHost: a\r\n\r\n";
    for request in [delete, "GET /api/1 HTTP/1.1\r\nHost: a\r\n\r\n"] {
        for _ in 0..2 {
            assert_eq!(
                edge.ask(request).body,
                request.split(' ').next().expect("a method").as_bytes()
            );
        }
    }
    assert_eq!((pages.requests(), api.requests()), (1, 4), "what is dynamic is not cached");
    assert!(api.heads()[0].to_ascii_lowercase().contains("host: api.internal:81\r\n"));
}

#[test]
fn a_page_takes_the_place_of_an_error() {
    let site = Site::new(|head| match head.split(' ').nth(1) {
        Some("/sorry") => response("200 OK", "Cache-Control: max-age=60\r\n", "sorry"),
        _ => response("404 Not Found", "", "plain"),
    });
    let pages = "[[error_pages]]\nstatus = 404\npath = \"/sorry\"\nas = 410\n";
    let file = File::new(&format!("{}{pages}", one_origin(&site)));
    let edge = file.run();
    for _ in 0..2 {
        let answer = edge.get("/a");
        assert_eq!((answer.status(), &answer.body[..]), (410, &b"sorry"[..]));
    }
}

#[test]
fn the_second_origin_answers_while_the_first_is_dead() {
    let primary = Site::saying("primary", "no-store");
    let secondary = Site::saying("secondary", "no-store");
    let file = File::new(&format!(
        r#"
[origins.primary]
url = "http://{}"
[origins.secondary]
url = "http://{}"
[groups.both]
members = ["primary", "secondary"]
failures = 2
pause = "50ms"
longest_pause = "50ms"
check = {{ path = "/health", every = "50ms" }}
[default]
origin = "both"
methods = ["GET", "POST"]
"#,
        primary.address, secondary.address
    ));
    let mut edge = Edge::with(&["--config", file.name(), "--log"]);
    let mut log = std::io::BufRead::lines(edge.stderr());
    let mut logged = || log.next().expect("a line").expect("text");
    assert_eq!(edge.get("/").body, b"primary");
    assert!(logged().ends_with(" (primary=200)"));
    let address = primary.kill();
    edge.get("/");
    let line = logged();
    assert!(
        line.ends_with("=failed, secondary=200)") || line.ends_with("=skipped, secondary=200)"),
        "{line}"
    );
    for _ in 0..10 {
        let answer = edge.get("/");
        assert_eq!((answer.status(), &answer.body[..]), (200, &b"secondary"[..]));
    }
    // An unsafe request is sent once, to the first one that is not skipped: by now that is the second.
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    while edge.ask(post).body != b"secondary" {}
    let _primary = Site::at(address, |_| response("200 OK", "Cache-Control: no-store\r\n", "back"));
    while edge.get("/").body != b"back" {}
}

#[test]
fn uploads_that_clients_break_off_do_not_count_against_an_origin() {
    let primary = Site::new(|head| match head.starts_with("POST") {
        // It waits for the rest.
        true => String::new(),
        false => response("200 OK", "Cache-Control: no-store\r\n", "primary"),
    });
    let secondary = Site::saying("secondary", "no-store");
    let file = File::new(&format!(
        "[origins.a]\nurl = \"http://{}\"\n[origins.b]\nurl = \"http://{}\"\n\
         [groups.g]\nmembers = [\"a\", \"b\"]\nfailures = 1\n\
         [default]\norigin = \"g\"\nmethods = [\"GET\", \"POST\"]\n",
        primary.address, secondary.address
    ));
    let edge = file.run();
    let mut client = edge.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf ");
    client.send_end();
    assert_eq!(client.response().status(), 400);
    assert_eq!(edge.get("/").body, b"primary", "one failure would be enough");
}

#[test]
fn origins_have_the_time_that_the_file_says() {
    let (tell, told) = mpsc::channel::<()>();
    let origin = Origin::script(move |listener| {
        let mut silent = listener.accept();
        silent.request();
        let mut pausing = listener.accept();
        pausing.request();
        pausing.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf ");
        // Both go on until the test is over.
        let _ = told.recv();
    });
    let file = File::new(&format!(
        "[origins.a]\nurl = \"http://{}\"\nfirst_byte_timeout = \"100ms\"\n\
         between_bytes_timeout = \"100ms\"\n[default]\norigin = \"a\"\n",
        origin.address
    ));
    let edge = file.run();
    assert_eq!(edge.get("/silent").status(), 504);
    let mut client = edge.connect();
    client.send("GET /pausing HTTP/1.1\r\nHost: edge.test\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 200"));
    assert_eq!(client.rest().map_or(0, |body| body.len()), 5, "it breaks off");
    drop(tell);
    origin.done();
}

#[test]
fn more_requests_than_an_origin_may_have_wait_for_a_turn() {
    let ((come, came), (go, gone)) = (mpsc::channel(), mpsc::channel());
    let origin = Origin::script(move |listener| {
        let mut edge = listener.accept();
        edge.request();
        come.send(()).expect("the test waits");
        gone.recv().expect("the test says when");
        edge.send(response("200 OK", "Cache-Control: no-store\r\n", "first"));
        edge.request();
        edge.send(response("200 OK", "Cache-Control: no-store\r\n", "third"));
    });
    let file = File::new(&format!(
        "[origins.a]\nurl = \"http://{}\"\nmax_connections = 1\nconnect_timeout = \"100ms\"\n\
         [default]\norigin = \"a\"\n",
        origin.address
    ));
    let edge = file.run();
    let mut client = edge.connect();
    client.send("GET /first HTTP/1.1\r\nHost: edge.test\r\n\r\n");
    came.recv().expect("it is under way");
    assert_eq!(edge.get("/second").status(), 504);
    go.send(()).expect("the origin waits");
    assert_eq!(client.response().body, b"first");
    assert_eq!(edge.get("/third").body, b"third");
    origin.done();
}

#[test]
fn groups_are_members_of_groups_and_sharded_ones_have_one_place_for_each_object() {
    let sites = ["a", "b", "c"].map(|name| Site::saying(name, "no-store"));
    let mut text = String::new();
    for (name, site) in ["a", "b", "c"].iter().zip(&sites) {
        text += &format!("[origins.{name}]\nurl = \"http://{}\"\n", site.address);
    }
    text += "[groups.shards]\nkind = \"sharded\"\nmembers = [\"a\", \"b\"]\n\
             [groups.near]\nkind = \"nearest\"\nmembers = [\"c\"]\n\
             [groups.all]\nmembers = [\"shards\", \"near\"]\n[default]\norigin = \"all\"\n";
    let edge = File::new(&text).run();
    let mut places = std::collections::BTreeSet::new();
    for n in 0..20 {
        let target = format!("/{n}");
        let place = edge.get(&target).body;
        assert_eq!(edge.get(&target).body, place, "{target}");
        places.insert(place);
    }
    assert_eq!(places, [b"a".to_vec(), b"b".to_vec()].into());
    assert_eq!(sites[2].requests(), 0, "the first group answers well");
}

#[test]
fn a_tunnel_goes_through_a_group() {
    let origin = Origin::script(|listener| {
        let mut edge = listener.accept();
        assert_eq!(field(&edge.head(), "upgrade"), Some("websocket"));
        edge.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        assert_eq!(edge.take(4), b"ping");
        edge.send("pong");
    });
    let file = File::new(&format!(
        "[origins.a]\nurl = \"http://{}\"\n[groups.g]\nmembers = [\"a\"]\n[default]\norigin = \"g\"\n",
        origin.address
    ));
    let edge = file.run();
    let mut client = edge.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 101 "));
    client.send("ping");
    assert_eq!(client.rest().expect("an orderly end"), b"pong");
    origin.done();
}

#[cfg(all(unix, feature = "disk", feature = "tiered"))]
#[test]
fn what_lies_on_a_disk_is_there_after_a_restart_with_memory_in_front_or_not() {
    for memory in ["\"1MiB\"", "false"] {
        let site = Site::saying("a", "max-age=600");
        let directory = tempfile::tempdir().expect("a directory");
        let disk = directory.path().to_str().expect("text");
        let store =
            format!("[store]\nmemory = {memory}\ndisk = \"{disk}\"\ndisk_size = \"64MiB\"\n");
        let file = File::new(&format!("{store}{}", one_origin(&site)));
        for _ in 0..2 {
            let mut edge = file.run();
            assert_eq!(edge.get("/").body, b"a");
            edge.signal("TERM");
            assert_eq!(edge.ended(), Some(0));
        }
        assert_eq!(site.requests(), 1);
    }
}

#[test]
fn listen_and_log_may_be_told_beside_the_file() {
    let site = Site::saying("a", "max-age=60");
    let file = File::new(&format!("listen = \"192.0.2.1:1\"\n{}", one_origin(&site)));
    // It is told where to listen, since that address is nobody's.
    let mut edge = Edge::with(&["--config", file.name(), "--log"]);
    assert_eq!(edge.get("/a").body, b"a");
    let line = std::io::BufRead::lines(edge.stderr()).next().expect("a line").expect("text");
    assert!(line.starts_with("GET /a 200 "), "{line}");
}

#[cfg(feature = "s3")]
const CREDENTIALS: [(&str, &str); 2] =
    [("OURS_ACCESS_KEY_ID", "the-key"), ("OURS_SECRET_ACCESS_KEY", "the-secret")];

#[cfg(feature = "s3")]
#[test]
fn requests_for_a_bucket_are_signed_and_hits_are_not() {
    let server = Site::saying("object", "max-age=60");
    let file = File::new(&format!(
        "[origins.a]\nbucket = \"b\"\nregion = \"r\"\nendpoint = \"http://{}\"\nindex = \"index.html\"\n\
         credentials = \"OURS\"\n[default]\norigin = \"a\"\nforward = \"all\"\n",
        server.address
    ));
    let edge = Edge::within(&CREDENTIALS, &["--config", file.name()]);
    for _ in 0..2 {
        assert_eq!(edge.get("/pages/?v=1").body, b"object");
    }
    let heads = server.heads();
    assert_eq!(heads.len(), 1);
    let head = &heads[0];
    assert!(head.starts_with("GET /b/pages/index.html HTTP/1.1\r\n"), "{head}");
    let lower = head.to_ascii_lowercase();
    assert!(lower.contains("authorization: aws4-hmac-sha256 credential=the-key/"), "{head}");
    assert!(lower.contains(&format!("host: {}\r\n", server.address)) && !head.contains("secret"));
    let post = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(edge.ask(post).status(), 403);
}

#[cfg(all(unix, feature = "s3", feature = "disk", feature = "tiered"))]
#[test]
fn the_examples_are_good() {
    let keys = [
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("EDGE_ADMIN_TOKEN", crate::support::TOKEN),
    ];
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/edge");
    let mut checked = 0;
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let output = crate::support::run_in(&keys, &["--check", path.to_str().expect("text")]);
            assert_eq!(output.status.code(), Some(0), "{:#?}", lines(&output));
            checked += 1;
        }
    }
    assert_eq!(checked, 4);
}
