use super::*;
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::time::Instant;
use tower_cdn::CdnCacheLayer;

fn admin() -> Admin {
    let token = Token::find(None, Some("0123456789abcdef".into())).expect("a token");
    let handle = CdnCacheLayer::in_memory(1 << 20).handle();
    Admin::new(token, handle, Regions::new(Vec::new(), None))
}

fn request(path: &str) -> hyper::http::request::Builder {
    Request::post(path)
        .header("authorization", "Bearer 0123456789abcdef")
        .header("content-type", "application/json")
}

async fn asked(admin: &Admin, path: &str, body: &str) -> (u16, Value) {
    let body = Full::from(Bytes::copy_from_slice(body.as_bytes()));
    let response = admin.clone().answer(request(path).body(body).expect("a request")).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, serde_json::from_slice(&body).expect("JSON"))
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let body = StreamBody::new(stream::pending::<Result<Frame<Bytes>, BoxError>>());
    let before = Instant::now();
    let response = admin().answer(request("/invalidate").body(body).expect("a request")).await;
    assert_eq!(response.status(), 408);
    assert_eq!(before.elapsed(), BODY_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_or_grows_too_large_does_nothing() {
    let part = |text: &'static [u8]| Ok::<_, BoxError>(Frame::data(Bytes::from_static(text)));
    let broken = StreamBody::new(stream::iter([part(b"{\"all\":true}"), Err("broken".into())]));
    let huge = StreamBody::new(stream::repeat_with(move || part(&[b' '; 4096])));
    let admin = admin();
    let response = admin.clone().answer(request("/invalidate").body(broken).expect("one")).await;
    assert_eq!(response.status(), 400);
    let response = admin.clone().answer(request("/invalidate").body(huge).expect("one")).await;
    assert_eq!(response.status(), 413);
    assert_eq!(admin.0.handle.stats().invalidations, 0);
}

#[tokio::test]
async fn what_is_wrong_is_told_and_nothing_is_done() {
    let admin = admin();
    for (path, body, says) in [
        ("/invalidate", "", "no JSON"),
        ("/invalidate", "{", "no JSON"),
        ("/invalidate", "[]", "no JSON object"),
        ("/invalidate", "{}", "nothing is named"),
        ("/invalidate", r#"{"all": false, "soft": true}"#, "nothing is named"),
        ("/invalidate", r#"{"path": ["/a"]}"#, "unknown member \"path\""),
        ("/invalidate", r#"{"paths": "/a"}"#, "paths: it has to be a list"),
        ("/invalidate", r#"{"paths": [1]}"#, "paths: 1 is no string"),
        ("/invalidate", r#"{"all": 1}"#, "all: it has to be true or false"),
        ("/invalidate", r#"{"all": true, "host": 1}"#, "host: 1 is no string"),
        ("/invalidate", r#"{"all": true, "host": "a b"}"#, "host: "),
        ("/invalidate", r#"{"paths": ["/a", "b"]}"#, "path pattern: "),
        ("/invalidate", r#"{"paths": ["/a"], "tags": [""]}"#, "tag: "),
        ("/invalidate", r#"{"all": true, "uris": ["/a"]}"#, "URI: "),
        ("/invalidate", r#"{"host": "a", "uris": ["http://a/"]}"#, "names its host itself"),
        ("/changed", r#"{"groups": ["a"]}"#, "no URI"),
        ("/changed", r#"{"uris": ["a b"]}"#, "uris: "),
        ("/changed", r#"{"uris": ["http://a/"], "all": true}"#, "unknown member \"all\""),
    ] {
        let (status, answer) = asked(&admin, path, body).await;
        let why = answer["error"].as_str().expect("a reason");
        assert_eq!(status, 400, "{body}: {why}");
        assert!(why.contains(says), "{body}: {why}");
    }
    let many = json!({ "paths": vec!["/a"; 1001] }).to_string();
    assert_eq!(asked(&admin, "/invalidate", &many).await.0, 400);
    assert_eq!(admin.0.handle.stats().invalidations, 0);
}

#[tokio::test]
async fn what_is_asked_for_is_done_and_told() {
    let admin = admin();
    let body =
        r#"{"uris": ["http://a/b"], "paths": ["/c*", "/d"], "tags": ["e", "f"], "all": true}"#;
    let (status, answer) = asked(&admin, "/invalidate", body).await;
    assert_eq!(status, 200, "{answer}");
    let receipts = answer["receipts"].as_array().expect("receipts");
    assert_eq!(receipts.len(), 5);
    assert_eq!(receipts[0]["uri"], "http://a/b");
    assert_eq!((&receipts[1]["path"], &receipts[2]["path"]), (&json!("/c*"), &json!("/d")));
    assert_eq!((&receipts[3]["tags"], &receipts[4]["all"]), (&json!(["e", "f"]), &json!(true)));
    for receipt in receipts {
        assert!(receipt["number"].is_u64() && receipt["durable"] == true, "{receipt}");
        assert!(receipt["time"].as_str().is_some_and(|time| time.ends_with("GMT")), "{receipt}");
    }
    assert!(answer.get("regional").is_none());
    let soft = r#"{"paths": ["/a"], "host": "example.com", "soft": true}"#;
    assert_eq!(asked(&admin, "/invalidate", soft).await.0, 200);
    let changed = r#"{"uris": ["http://a/b", "http://a/c"], "groups": ["d"]}"#;
    assert_eq!(asked(&admin, "/changed", changed).await, (200, json!({ "receipts": [] })));
    assert_eq!(admin.0.handle.stats().invalidations, 7);
}
