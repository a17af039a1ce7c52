//! `--config FILE` and `--check FILE`: what a file says, and what is told of one that is wrong.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use tempfile::TempDir;

use crate::site::Site;
use crate::support::{Edge, run};

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
default_host = "a/" #! default_host: 'a/' is not a host

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
    all_are_told(
        "client_timeout = \"0s\" #! client_timeout: '0s' is no time in which anything can come\n\
         [origins.a]\nurl = \"http://a\"\n[default]\norigin = \"a\"\n",
    );
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
