use super::*;

fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

fn request(lines: &[(&'static str, &'static str)]) -> (HeaderMap, bool) {
    let mut headers = fields(lines);
    let upgrade = clean_request(&mut headers, Version::HTTP_11);
    (headers, upgrade)
}

fn response(status: u16, lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = fields(lines);
    clean_response(&mut headers, StatusCode::from_u16(status).expect("a status"));
    headers
}

#[test]
fn each_field_of_the_connection_alone_is_removed() {
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
        assert_eq!(request(&[(name, "a")]).0, HeaderMap::new(), "{name}");
        assert_eq!(response(200, &[(name, "a")]), HeaderMap::new(), "{name}");
    }
    for name in ["te", "http2-settings"] {
        assert_eq!(request(&[(name, "a")]).0, HeaderMap::new(), "{name}");
    }
}

#[test]
fn fields_of_the_connection_do_not_pass() {
    let (headers, upgrade) = request(&[
        ("connection", "close, X-One"),
        ("connection", "x-two ,, bad name"),
        ("x-one", "1"),
        ("x-two", "2"),
        ("x-three", "3"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("te", "gzip;q=0.5"),
    ]);
    assert_eq!(headers, fields(&[("x-three", "3")]));
    assert!(!upgrade);
}

#[test]
fn connection_cannot_cut_out_what_is_for_everyone() {
    let kept = [
        ("host", "example.com"),
        ("content-length", "3"),
        ("authorization", "Basic eDp5"),
        ("cookie", "a=b"),
        ("cache-control", "no-store"),
        ("range", "bytes=0-1"),
        // Without it, loops would not be seen.
        ("cdn-loop", "edge"),
    ];
    let mut sent = kept.to_vec();
    sent.push((
        "connection",
        "host, content-length, authorization, cookie, cache-control, range, CDN-Loop, x",
    ));
    assert_eq!(request(&sent).0, fields(&kept));
}

#[test]
fn the_crate_has_the_same_list() {
    let lines = |text: &str| -> Vec<String> {
        let text = text.split("END_TO_END: [HeaderName;").nth(1).expect("the list");
        let text = text.split("];").next().expect("its end");
        text.lines().skip(1).map(|line| line.trim().to_owned()).collect()
    };
    let own = lines(include_str!("hop.rs"));
    assert_eq!(own.len(), END_TO_END.len());
    assert_eq!(own, lines(include_str!("../../src/semantics/fields.rs")));
}

#[test]
fn trailers_is_the_one_te_that_passes() {
    let (headers, _) = request(&[("te", "gzip, Trailers"), ("connection", "TE")]);
    assert_eq!(headers, fields(&[("te", "trailers"), ("connection", "te")]));
}

#[test]
fn an_upgrade_passes_when_connection_names_it() {
    let (headers, upgrade) =
        request(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
    assert!(upgrade);
    assert_eq!(headers, fields(&[("upgrade", "websocket"), ("connection", "upgrade")]));

    let (headers, upgrade) = request(&[("upgrade", "websocket")]);
    assert!(!upgrade && headers.is_empty());
    let (headers, upgrade) = request(&[("connection", "upgrade")]);
    assert!(!upgrade && headers.is_empty());
}

#[test]
fn an_upgrade_needs_http_1_1() {
    for version in [Version::HTTP_10, Version::HTTP_2] {
        let mut headers = fields(&[("connection", "upgrade"), ("upgrade", "websocket")]);
        assert!(!clean_request(&mut headers, version));
        assert!(headers.is_empty());
    }
}

#[test]
fn the_upgrade_to_h2c_does_not_pass() {
    let (headers, upgrade) = request(&[
        ("connection", "Upgrade, HTTP2-Settings"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
    ]);
    assert!(!upgrade && headers.is_empty());

    let (headers, upgrade) = request(&[("connection", "upgrade"), ("upgrade", "H2C, websocket")]);
    assert!(upgrade);
    assert_eq!(headers[header::UPGRADE], "websocket");
}

#[test]
fn responses_are_cleaned_too() {
    let headers = response(
        200,
        &[
            ("connection", "close, x-one, set-cookie"),
            ("x-one", "1"),
            ("keep-alive", "timeout=5"),
            ("upgrade", "h2"),
            ("set-cookie", "a=b"),
        ],
    );
    assert_eq!(headers, fields(&[("set-cookie", "a=b")]));
}

#[test]
fn an_upgrade_is_told_to_the_client() {
    for status in [101, 426] {
        let headers = response(
            status,
            &[("connection", "Upgrade, close"), ("upgrade", "websocket"), ("keep-alive", "x")],
        );
        assert_eq!(headers, fields(&[("upgrade", "websocket"), ("connection", "upgrade")]));
    }
}
