//! The cache key (RFC 9111 section 2) and what is forwarded (RFC 9112 section 3.2).
mod support;

use http::Version;
use support::{Seen, World, answer, ok, settle, world, world_with};
use tower_cdn::{Detail, Influential, KeyPolicy, Parameters};

fn world_keyed(policy: KeyPolicy) -> World {
    let w = world_with(|builder| builder.key_policy(policy));
    w.origin.always("/", |_| ok("a").max_age(60));
    w
}

/// After the first of two targets: is the other one a hit?
async fn same(policy: KeyPolicy, one: &str, other: &str) -> bool {
    let w = world_keyed(policy);
    w.origin.always("/a", |_| ok("a").max_age(60));
    w.origin.always("/A", |_| ok("a").max_age(60));
    w.origin.always("/%61", |_| ok("a").max_age(60));
    w.origin.always("//a", |_| ok("a").max_age(60));
    assert_eq!(w.get(one).told().await, "200 a (uri-miss)");
    w.get(other).await.how() == "hit"
}

#[tokio::test(start_paused = true)]
async fn scheme_host_port_path_and_query_are_told_apart() {
    let is = async |one, other| same(KeyPolicy::default(), one, other).await;
    assert!(is("http://example.com/a", "http://example.com/a").await);
    for other in [
        "https://example.com/a",
        "http://example.org/a",
        "http://www.example.com/a",
        "http://example.com:8080/a",
        "http://example.com:443/a",
        "http://example.com/",
        "http://example.com/A",
        "http://example.com/%61",
        "http://example.com//a",
        "http://example.com/a?",
        "http://example.com/a?b",
    ] {
        assert!(!is("http://example.com/a", other).await, "{other}");
    }
    for other in [
        "http://EXAMPLE.com/a",
        "http://example.com:80/a",
        "http://example.com./a",
        "http://example.com:/a",
    ] {
        assert!(is("http://example.com/a", other).await, "{other}");
    }
    assert!(is("https://example.com/a", "https://example.com:443/a").await);
    assert!(!is("http://example.com/a?b=1&c=2", "http://example.com/a?c=2&b=1").await);
    assert!(is("http://[::1]:80/a", "http://[::1]/a").await);
    assert!(!is("http://[::1]/a", "http://[::2]/a").await);
}

#[tokio::test(start_paused = true)]
async fn origin_form_takes_the_host_field() {
    let w = world_keyed(KeyPolicy::default());
    let by_host = |host| w.get("/").origin_form("/").header("host", host);
    assert_eq!(by_host("example.com").told().await, "200 a (uri-miss)");
    assert_eq!(by_host("EXAMPLE.COM:80").told().await, "200 a (hit)");
    assert_eq!(w.get("http://example.com/").told().await, "200 a (hit)");
    assert_eq!(by_host("example.org").told().await, "200 a (uri-miss)");
}

#[tokio::test(start_paused = true)]
async fn the_scheme_of_origin_form_is_the_operators() {
    let w = world_keyed(KeyPolicy::default().https(true));
    assert_eq!(
        w.get("/").origin_form("/").header("host", "example.com").told().await,
        "200 a (uri-miss)"
    );
    assert_eq!(w.get("https://example.com/").told().await, "200 a (hit)");
    assert_eq!(w.get("http://example.com/").told().await, "200 a (uri-miss)");
}

#[tokio::test(start_paused = true)]
async fn rfc9112_s3_2_2_absolute_form_wins_over_host_and_is_what_is_forwarded() {
    let w = world_keyed(KeyPolicy::default());
    let poisoned = w.get("http://example.com/").header("host", "evil.com");
    assert_eq!(poisoned.told().await, "200 a (uri-miss)");
    assert_eq!(w.origin.last().field("host"), Some("example.com"));
    assert_eq!(
        w.get("http://example.com/").header("host", "example.com").told().await,
        "200 a (hit)"
    );
    assert_eq!(
        w.get("/").origin_form("/").header("host", "evil.com").told().await,
        "200 a (uri-miss)"
    );
}

#[tokio::test(start_paused = true)]
async fn a_host_is_forwarded_as_the_key_has_it_however_it_is_spelled() {
    for (evil, good) in [
        ("EXAMPLE.com", "example.com"),
        ("example.com.", "example.com"),
        ("example.com:80", "example.com"),
        ("example.com:", "example.com"),
        ("Example.com.:0081", "example.com:0081"),
        ("[::A]:80", "[::a]"),
    ] {
        let w = world_keyed(KeyPolicy::default());
        let redirect = |seen: &Seen| {
            let host = seen.field("host").unwrap_or("nobody");
            answer(301).max_age(60).header("location", format!("https://{host}/"))
        };
        w.origin.always("/", redirect);
        w.origin.always("/absolute", |seen| ok(seen.target()).max_age(60));

        let poisoned = w.get("/").origin_form("/").header("host", evil).await;
        assert_eq!(poisoned.field("location").unwrap(), format!("https://{good}/"), "{evil}");
        settle().await;
        let other = w.get("/").origin_form("/").header("host", good).await;
        assert_eq!(
            (other.how(), other.field("location")),
            ("hit".into(), poisoned.field("location"))
        );

        let absolute = |host| w.get(&format!("http://{host}/absolute")).told();
        let uri = format!("http://{good}/absolute");
        assert_eq!(absolute(evil).await, format!("200 {uri} (uri-miss)"));
        assert_eq!(absolute(good).await, format!("200 {uri} (hit)"));
    }
}

#[tokio::test(start_paused = true)]
async fn rfc9110_s4_2_what_is_no_uri_of_http_takes_no_part() {
    let w = world_keyed(KeyPolicy::default());
    w.origin.always("/", |seen| ok(seen.target()).max_age(60));
    for _ in 0..2 {
        let evil = w.get("evil://example.com/").told().await;
        assert_eq!(evil, "200 evil://example.com/ (bypass)");
    }
    for uri in ["http://example.com/", "https://example.com/"] {
        assert_eq!(w.get(uri).told().await, format!("200 {uri} (uri-miss)"));
    }
}

#[tokio::test(start_paused = true)]
async fn rfc9112_s3_2_no_host_or_two_is_a_bad_request() {
    let w = world_keyed(KeyPolicy::default());
    let bare = || w.get("/").origin_form("/");
    for (name, ask) in [
        ("no host", bare()),
        ("empty host", bare().header("host", "")),
        ("no host but the root", bare().header("host", ".")),
        ("two hosts", bare().header("host", "a.com").header("host", "b.com")),
        ("a path in the host", bare().header("host", "a.com/b")),
        ("a user in the host", bare().header("host", "u@a.com")),
        ("a list of hosts", bare().header("host", "a.com, b.com")),
        ("a port that is none", bare().header("host", "a.com:x")),
        ("two hosts and absolute form", w.get("/").header("host", "a").header("host", "b")),
        ("a user in absolute form", w.get("http://u:p@example.com/")),
        ("asterisk", w.get("/").origin_form("*").header("host", "a.com")),
    ] {
        let reply = ask.await;
        assert_eq!(reply.cache().detail(), Some(Detail::BadRequest), "{name}");
        assert_eq!(reply.told().await, "400  (-)", "{name}");
    }
    assert_eq!(w.origin.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn requests_that_need_no_host_are_forwarded_without_the_cache() {
    let w = world_keyed(KeyPolicy::default());
    for _ in 0..2 {
        let old = w.get("/").origin_form("/").version(Version::HTTP_10);
        assert_eq!(old.told().await, "200 a (bypass)");
    }
    let w = world_keyed(KeyPolicy::default().default_host("example.com"));
    let old = || w.get("/").origin_form("/").version(Version::HTTP_10);
    assert_eq!(old().told().await, "200 a (uri-miss)");
    assert_eq!(old().told().await, "200 a (hit)");
    assert_eq!(w.get("http://example.com/").told().await, "200 a (hit)");
    assert_eq!(w.get("/").origin_form("/").told().await, "200 a (hit)", "HTTP/1.1 as well");
}

#[tokio::test(start_paused = true)]
async fn influential_fields_are_keyed_by_default() {
    let w = world();
    w.origin.always("/", |seen| {
        ok(seen.field("x-forwarded-host").unwrap_or("-").to_owned()).max_age(60)
    });
    let poisoned = || w.get("/").header("x-forwarded-host", "evil.com");
    assert_eq!(poisoned().told().await, "200 evil.com (uri-miss)");
    assert_eq!(w.get("/").told().await, "200 - (uri-miss)", "not poisoned");
    assert_eq!(poisoned().told().await, "200 evil.com (hit)");
    assert_eq!(w.get("/").told().await, "200 - (hit)");
    for name in [
        "x-forwarded-proto",
        "x-forwarded-scheme",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-server",
        "x-original-url",
        "x-rewrite-url",
        "x-http-method-override",
        "x-host",
        "forwarded",
    ] {
        assert_eq!(w.get("/").header(name, "evil").await.how(), "uri-miss", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn influential_fields_may_be_stripped_or_trusted() {
    let answer = |w: &World| {
        w.origin.always("/", |seen| {
            ok(seen.field("x-forwarded-host").unwrap_or("-").to_owned()).max_age(60)
        });
    };
    let ask = |w: &World| w.get("/").header("x-forwarded-host", "evil.com");
    let w = world_keyed(KeyPolicy::default().influential(Influential::Strip));
    answer(&w);
    assert_eq!(ask(&w).told().await, "200 - (uri-miss)");
    assert_eq!(w.get("/").told().await, "200 - (hit)");
    let w = world_keyed(KeyPolicy::default().influential(Influential::Trust));
    answer(&w);
    assert_eq!(ask(&w).told().await, "200 evil.com (uri-miss)");
    assert_eq!(w.get("/").told().await, "200 evil.com (hit)");
}

#[tokio::test(start_paused = true)]
async fn query_parameters_that_do_not_count_are_not_forwarded() {
    let only = |names: &[&str]| Parameters::Only(names.iter().map(|n| (*n).to_owned()).collect());
    let but = |names: &[&str]| Parameters::AllBut(names.iter().map(|n| (*n).to_owned()).collect());
    for (which, sort, asked, forwarded) in [
        (Parameters::All, false, "/?b=1&a=2", "/?b=1&a=2"),
        (Parameters::All, true, "/?b=1&a=2&b=0", "/?a=2&b=1&b=0"),
        (Parameters::None, false, "/?b=1&a=2", "/"),
        (only(&["a"]), false, "/?b=1&a=2&aa=3&a", "/?a=2&a"),
        (but(&["utm"]), false, "/?b=1&utm=2&utmx=3", "/?b=1&utmx=3"),
        (but(&["utm"]), true, "/?b=1&utm=2&a=3", "/?a=3&b=1"),
        (but(&["utm"]), false, "/?utm=2", "/"),
    ] {
        let w = world_keyed(KeyPolicy::default().query(which.clone()).sort_query(sort));
        assert_eq!(w.get(asked).told().await, "200 a (uri-miss)");
        assert_eq!(w.origin.last().target(), format!("http://example.com{forwarded}"), "{which:?}");
        assert_eq!(w.get(forwarded).told().await, "200 a (hit)", "{which:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn fields_and_cookies_of_the_operators_choice() {
    let policy = KeyPolicy::default().header("x-device".parse().unwrap()).cookie("theme");
    let w = world_keyed(policy);
    let ask = async |name, value| w.get("/").header(name, value).await.how();
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    assert_eq!(ask("x-other", "1").await, "hit");
    assert_eq!(ask("cookie", "session=1; themes=2").await, "hit");
    assert_eq!(ask("x-device", "phone").await, "uri-miss");
    assert_eq!(ask("cookie", "session=1; theme=dark").await, "uri-miss");
    support::settle().await;
    assert_eq!(ask("x-device", "phone").await, "hit");
    assert_eq!(ask("x-device", "desk").await, "uri-miss");
    assert_eq!(ask("cookie", "theme=dark;session=2").await, "hit");
    assert_eq!(ask("cookie", "theme=light").await, "uri-miss");
}

#[tokio::test(start_paused = true)]
async fn parts_cannot_pretend_to_be_others() {
    let policy =
        || KeyPolicy::default().header("x-a".parse().unwrap()).header("x-b".parse().unwrap());
    let w = world_keyed(policy());
    let ask = async |a, b| w.get("/").header("x-a", a).header("x-b", b).await.how();
    for (a, b) in [("1", "2"), ("1x-b2", ""), ("", "1x-b2"), ("12", ""), ("", "12")] {
        assert_eq!(ask(a, b).await, "uri-miss", "{a:?} {b:?}");
        support::settle().await;
    }
    assert_eq!(w.get("/").header("x-a", "1").header("x-a", "2").await.how(), "uri-miss");
}

#[tokio::test(start_paused = true)]
async fn long_urls_are_forwarded_without_the_cache() {
    let w = world_keyed(KeyPolicy::default());
    let long = format!("/?{}", "x".repeat(8 * 1024));
    for _ in 0..2 {
        let reply = w.get(&long).await;
        assert_eq!(reply.cache().detail(), Some(Detail::TooLong));
        assert_eq!(reply.told().await, "200 a (bypass)");
    }
    let w = world_keyed(KeyPolicy::default().max_url(3));
    assert_eq!(w.get("/?x").told().await, "200 a (uri-miss)");
    assert_eq!(w.get("/?x").told().await, "200 a (hit)");
    assert_eq!(w.get("/?xxx").told().await, "200 a (bypass)");
}

#[tokio::test(start_paused = true)]
async fn two_layers_share_nothing_and_services_of_one_layer_share_all() {
    use tower::Layer;
    let w = world_keyed(KeyPolicy::default());
    let other = support::Client::new(w.layer.layer(w.origin.clone()));
    assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
    assert_eq!(other.get("/").told().await, "200 a (hit)");
    let stranger = world_keyed(KeyPolicy::default());
    assert_eq!(stranger.get("/").told().await, "200 a (uri-miss)");
}
