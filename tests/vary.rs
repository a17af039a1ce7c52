//! Variants (RFC 9111 section 4.1).
mod support;

use support::{Answer, Seen, answer, ok, pass, settle, world, world_of};
use tower_cdn::CachePolicy;

/// Says in the language that the request asks for.
fn by_language(seen: &Seen) -> Answer {
    let language = seen.field("accept-language").unwrap_or("none").to_owned();
    ok(language).max_age(60).vary("Accept-Language")
}

#[tokio::test(start_paused = true)]
async fn s4_1_one_variant_for_each_value() {
    let w = world();
    w.origin.always("/", by_language);
    let ask = async |language| w.get("/").header("accept-language", language).told().await;
    assert_eq!(ask("en").await, "200 en (uri-miss)");
    assert_eq!(ask("de").await, "200 de (vary-miss)");
    assert_eq!(w.get("/").told().await, "200 none (vary-miss)", "absent is a value of its own");
    assert_eq!(ask("").await, "200  (vary-miss)", "empty is not absent");
    for _ in 0..2 {
        assert_eq!(ask("en").await, "200 en (hit)");
        assert_eq!(ask("de").await, "200 de (hit)");
        assert_eq!(w.get("/").told().await, "200 none (hit)");
    }
    assert_eq!(w.origin.count(), 4);
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn s4_1_values_are_compared_as_their_field_permits() {
    let w = world();
    w.origin.always("/", |_| {
        ok("a").max_age(60).vary("accept-language, accept-encoding").vary("x-any")
    });
    let first = w
        .get("/")
        .header("accept-language", "en, de;q=0.5")
        .header("accept-encoding", "gzip, br, identity;q=0.5")
        .header("x-any", "One");
    assert_eq!(first.told().await, "200 a (uri-miss)");
    let same = w
        .get("/")
        .header("accept-language", "EN")
        .header("accept-language", "de;q=0.5")
        .header("accept-encoding", "BR,gzip")
        .header("x-any", " One ".trim());
    assert_eq!(same.told().await, "200 a (hit)", "white space, lines, case, order of codings");
    let other = w
        .get("/")
        .header("accept-language", "en, de;q=0.5")
        .header("accept-encoding", "gzip, br")
        .header("x-any", "one");
    assert_eq!(other.told().await, "200 a (vary-miss)", "case means something in an unknown field");
}

#[tokio::test(start_paused = true)]
async fn s4_1_each_byte_counts_in_a_field_that_is_no_list() {
    for (name, one, other) in [
        ("cookie", "n=Smith,John", "n=Smith, John"),
        ("cookie", "n=a", "n=a,"),
        ("cookie", "n=a", ",n=a"),
        ("user-agent", "x (a,b)", "x (a, b)"),
        ("authorization", "Digest a=\"1\",b=2", "Digest a=\"1\", b=2"),
        ("x-tenant", "a", "a,"),
        ("x-tenant", "a,,b", "a,b"),
    ] {
        let w = world();
        w.origin.always("/", |seen| {
            let said = ["cookie", "user-agent", "authorization", "x-tenant"];
            let said = said.iter().find_map(|name| seen.field(name)).unwrap_or_default();
            ok(said.to_owned()).says("public, s-maxage=60").vary(name)
        });
        for value in [one, other] {
            let reply = w.get("/").header(name, value).await;
            assert_eq!(reply.text().await, value, "{name}");
            settle().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s4_1_all_nominated_fields_count() {
    let w = world();
    w.origin.always("/", |seen| {
        let both = format!("{:?}{:?}", seen.field("x-a"), seen.field("x-b"));
        ok(both).max_age(60).vary("X-A").vary("X-B")
    });
    for _ in 0..2 {
        for (a, b) in [("1", "1"), ("1", "2"), ("2", "1"), ("1, 2", ""), ("", "1, 2")] {
            let reply = w.get("/").header("x-a", a).header("x-b", b).await;
            assert_eq!(reply.text().await, format!("Some({a:?})Some({b:?})"));
            settle().await;
        }
    }
    assert_eq!(w.origin.count(), 5);
}

#[tokio::test(start_paused = true)]
async fn s4_1_vary_star_is_never_reused() {
    for star in ["*", "accept, *", "not a name"] {
        let w = world();
        w.origin.always("/", move |_| ok("a").max_age(60).vary(star));
        for _ in 0..2 {
            assert_eq!(w.get("/").told().await, "200 a (uri-miss)", "{star}");
        }
        assert_eq!(w.store.len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_200_may_change_vary() {
    let w = world();
    w.origin.says("/", ok("first").max_age(10).vary("x-a"));
    w.origin.always("/", |seen| {
        ok(seen.field("x-b").unwrap_or("-").to_owned()).max_age(60).vary("x-b")
    });
    let ask = async |a, b| w.get("/").header("x-a", a).header("x-b", b).told().await;
    assert_eq!(ask("1", "1").await, "200 first (uri-miss)");
    pass(10).await;
    assert_eq!(ask("1", "1").await, "200 1 (stale)");
    assert_eq!(ask("1", "1").await, "200 1 (hit)", "of two that match the most recent one");
    assert_eq!(ask("2", "1").await, "200 1 (hit)", "x-a does not matter any more");
    let told = ask("2", "2").await;
    assert!(told.starts_with("200 2"), "x-b does: {told}");
}

#[tokio::test(start_paused = true)]
async fn a_200_may_drop_vary() {
    let w = world();
    w.origin.says("/", ok("en").max_age(10).vary("accept-language"));
    w.origin.says("/", ok("de").max_age(10).vary("accept-language"));
    w.origin.says("/", ok("all").max_age(60));
    let ask = async |language| w.get("/").header("accept-language", language).told().await;
    assert_eq!(ask("en").await, "200 en (uri-miss)");
    assert_eq!(ask("de").await, "200 de (vary-miss)");
    pass(10).await;
    assert_eq!(ask("en").await, "200 all (stale)");
    for language in ["en", "de", "fr"] {
        assert_eq!(ask(language).await, "200 all (hit)");
    }
    assert_eq!(w.store.len(), 1, "the variants are gone");
}

#[tokio::test(start_paused = true)]
async fn a_200_may_begin_to_vary() {
    let w = world();
    w.origin.says("/", ok("all").max_age(10));
    w.origin.always("/", by_language);
    let ask = async |language| w.get("/").header("accept-language", language).told().await;
    assert_eq!(ask("en").await, "200 all (uri-miss)");
    pass(10).await;
    assert_eq!(ask("en").await, "200 en (stale)");
    assert_eq!(ask("de").await, "200 de (vary-miss)");
    assert_eq!(ask("en").await, "200 en (hit)");
    assert_eq!(ask("de").await, "200 de (hit)");
}

#[tokio::test(start_paused = true)]
async fn s4_3_4_a_304_may_change_vary() {
    let w = world();
    w.origin.says("/", ok("en").max_age(10).etag("\"a\""));
    w.origin.says(
        "/",
        answer(304).max_age(60).etag("\"a\"").vary("accept-language").header("date", w.date(10)),
    );
    w.origin.says("/", ok("de").max_age(60).etag("\"b\"").vary("accept-language"));
    let ask = async |language| w.get("/").header("accept-language", language).told().await;
    assert_eq!(ask("en").await, "200 en (uri-miss)");
    pass(10).await;
    assert_eq!(ask("en").await, "200 en (stale)");
    assert_eq!(ask("en").await, "200 en (hit)", "it has moved to its new place");
    assert_eq!(ask("de").await, "200 de (vary-miss)", "and answers nobody else");
    assert_eq!(ask("en").await, "200 en (hit)");
}

#[tokio::test(start_paused = true)]
async fn s4_3_4_a_304_may_change_vary_from_one_field_to_another() {
    let w = world();
    w.origin.says("/", ok("1").max_age(10).etag("\"a\"").vary("x-a"));
    w.origin
        .says("/", answer(304).max_age(60).etag("\"a\"").vary("x-b").header("date", w.date(10)));
    w.origin.says("/", ok("2").max_age(60).vary("x-b"));
    let ask = async |a, b| w.get("/").header("x-a", a).header("x-b", b).told().await;
    assert_eq!(ask("1", "1").await, "200 1 (uri-miss)");
    pass(10).await;
    assert_eq!(ask("1", "1").await, "200 1 (stale)");
    assert_eq!(ask("2", "1").await, "200 1 (hit)");
    assert_eq!(ask("1", "2").await, "200 2 (vary-miss)", "it lies no more where it was");
}

#[tokio::test(start_paused = true)]
async fn s4_1_a_variant_is_validated_by_its_own_tag() {
    let w = world();
    w.origin.always("/", |seen| match seen.field("if-none-match") {
        Some(tag) => answer(304).etag(tag).vary("accept-language"),
        None => {
            let language = seen.field("accept-language").unwrap_or_default().to_owned();
            ok(language.clone())
                .max_age(10)
                .etag(&format!("\"{language}\""))
                .vary("accept-language")
        }
    });
    let ask = async |language| w.get("/").header("accept-language", language).told().await;
    for language in ["en", "de"] {
        assert!(ask(language).await.starts_with(&format!("200 {language}")));
    }
    pass(10).await;
    for language in ["de", "en"] {
        assert_eq!(ask(language).await, format!("200 {language} (stale)"));
        assert_eq!(
            w.origin.last().field("if-none-match"),
            Some(format!("\"{language}\"").as_str())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn at_most_16_variants_and_the_least_recently_used_goes_first() {
    let w = world();
    w.origin.always("/", by_language);
    let ask = async |n: usize| w.get("/").header("accept-language", format!("l{n}")).await.how();
    for n in 0..16 {
        ask(n).await;
        settle().await;
    }
    assert_eq!(w.store.len(), 17, "all of them and their list");
    assert_eq!(ask(0).await, "hit", "used again");
    assert_eq!(ask(16).await, "vary-miss");
    settle().await;
    assert_eq!(w.store.len(), 17);
    for n in (2..=16).chain([0]) {
        assert_eq!(ask(n).await, "hit", "{n}");
    }
    assert_eq!(ask(1).await, "vary-miss", "it was the least recently used");
}

#[tokio::test(start_paused = true)]
async fn the_most_variants_are_the_operators_choice() {
    let w = world_of(CachePolicy::default().max_variants(2));
    w.origin.always("/", by_language);
    for language in ["a", "b", "c"] {
        w.get("/").header("accept-language", language).told().await;
    }
    assert_eq!(w.store.len(), 3);
    assert_eq!(w.get("/").header("accept-language", "c").await.how(), "hit");
    assert_eq!(w.get("/").header("accept-language", "b").await.how(), "hit");
    assert_eq!(w.get("/").header("accept-language", "a").await.how(), "vary-miss");
}

#[tokio::test(start_paused = true)]
async fn followers_of_another_variant_get_their_own() {
    let w = world();
    w.origin.always("/", by_language);
    let mut asked = Vec::new();
    for n in 0..30 {
        let language = ["en", "de", "fr"][n % 3];
        asked.push((language, w.get("/").header("accept-language", language).start()));
    }
    for (language, reply) in asked {
        assert_eq!(reply.await.unwrap().text().await, language);
    }
    settle().await;
    assert_eq!(w.origin.count(), 3, "one fetch for each variant");
    for language in ["en", "de", "fr"] {
        assert_eq!(w.get("/").header("accept-language", language).await.how(), "hit", "{language}");
    }
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn variants_that_arrive_at_once_are_all_stored() {
    let w = world();
    let (en, feed_en) = ok("").max_age(60).vary("accept-language").fed();
    let (de, feed_de) = ok("").max_age(60).vary("accept-language").fed();
    w.origin.says("/", en);
    w.origin.says("/", de);
    let ask = |language| w.get("/").header("accept-language", language);
    let first = ask("en").start_told();
    settle().await;
    let second = ask("de").start_told();
    settle().await;
    assert_eq!(w.origin.count(), 2, "the body that is arriving tells that this is another variant");
    feed_en.chunk("en");
    feed_de.chunk("de");
    feed_en.end();
    settle().await;
    feed_de.end();
    assert_eq!(first.await.unwrap(), "200 en (uri-miss)");
    assert!(second.await.unwrap().starts_with("200 de"));
    settle().await;
    assert_eq!(ask("en").told().await, "200 en (hit)");
    assert_eq!(ask("de").told().await, "200 de (hit)");
}

#[tokio::test(start_paused = true)]
async fn never_across_variants_also_when_the_origin_fails() {
    let w = world();
    w.origin.says("/", ok("en").says("max-age=10, stale-if-error=1000").vary("accept-language"));
    w.origin.always("/", |_| answer(503));
    assert_eq!(w.get("/").header("accept-language", "en").told().await, "200 en (uri-miss)");
    pass(10).await;
    assert_eq!(w.get("/").header("accept-language", "de").told().await, "503  (vary-miss)");
    assert_eq!(w.get("/").header("accept-language", "en").told().await, "200 en (stale)");
}
