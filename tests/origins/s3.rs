//! A bucket: requests as they are sent, and a server that checks their signatures.
use crate::{
    support::{Client, Origin, RequestBody, Seen, answer, ok, pass},
    told::told,
};
use axum::body::Body;
use http::{Request, Response};
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use s3s::{auth::SimpleAuth, host::SingleDomain, service::S3ServiceBuilder};
use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};
use tokio::net::TcpListener;
use tower::{BoxError, Layer, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_cdn::{
    CdnCacheLayer, Clock, MemoryStore,
    origins::{OriginGroup, S3Bucket, S3Credentials, S3Origin, SignRequests},
};

type Http = BoxCloneSyncService<Request<RequestBody>, Response<Body>, BoxError>;

fn bucket() -> S3Bucket {
    S3Bucket::new("assets", "eu-central-1").credentials(S3Credentials::new("id", "secret"))
}

/// A scripted origin, of whose answers the heads count. Its bodies have an empty value.
fn scripted(origin: &Origin) -> Http {
    let origin = origin.clone();
    let service = service_fn(move |request: Request<RequestBody>| origin.clone().oneshot(request));
    let head = service.map_response(|response| response.map(|_| Body::empty()));
    BoxCloneSyncService::new(head.map_err(Into::into))
}

/// What the bucket is asked if the client asks that.
async fn asked(bucket: S3Bucket, target: &str) -> Seen {
    let origin = Origin::new();
    let client = Client::new(S3Origin::new(scripted(&origin), bucket).unwrap());
    drop(client.get(target).await);
    origin.last()
}

#[tokio::test(start_paused = true)]
async fn where_requests_go() {
    let seen = asked(bucket(), "/a%20b+c/d").await;
    assert_eq!(seen.target(), "https://assets.s3.eu-central-1.amazonaws.com/a%20b%2Bc/d");
    assert_eq!(seen.field("host"), Some("assets.s3.eu-central-1.amazonaws.com"));
    let seen = asked(bucket().virtual_host(false), "/a").await;
    assert_eq!(seen.target(), "https://s3.eu-central-1.amazonaws.com/assets/a");
    let server = || "http://minio:9000".parse().unwrap();
    let seen = asked(bucket().endpoint(server()).prefix("site/"), "/a").await;
    assert_eq!(seen.target(), "http://minio:9000/assets/site/a");
    assert_eq!(seen.field("host"), Some("minio:9000"));
    let seen = asked(bucket().endpoint(server()).virtual_host(true), "/a").await;
    assert_eq!(seen.target(), "http://assets.minio:9000/a");
    let dotted = S3Bucket::new("my.assets", "r").credentials(S3Credentials::new("a", "b"));
    assert_eq!(asked(dotted, "/a").await.target(), "https://s3.r.amazonaws.com/my.assets/a");
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_of_the_clients_request() {
    let origin = Origin::new();
    let client =
        Client::new(S3Origin::new(scripted(&origin), bucket().query(["versionId"])).unwrap());
    let ask = client
        .get("/a?acl&versionId=7&x-id=PutObject")
        .header("range", "bytes=0-1")
        .header("if-none-match", "\"a\"")
        .header("authorization", "Bearer of-the-client")
        .header("x-amz-copy-source", "/other/secret")
        .header("x-amz-security-token", "of-the-client")
        .header("connection", "x-amz-date")
        .header("accept", "*/*");
    drop(ask.await);
    let seen = origin.last();
    assert!(seen.target().ends_with("/a?versionId=7"));
    for (name, value) in [("range", "bytes=0-1"), ("if-none-match", "\"a\""), ("accept", "*/*")] {
        assert_eq!(seen.field(name), Some(value));
    }
    for name in ["x-amz-copy-source", "x-amz-security-token", "connection"] {
        assert_eq!(seen.field(name), None, "{name}");
    }
    let authorization = seen.field("authorization").unwrap();
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=id/"), "{authorization}");
    assert!(
        authorization.contains("/eu-central-1/s3/aws4_request, SignedHeaders=host;x-amz-content")
    );
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_signature_is_the_clocks() {
    let clock = Clock::from_fn(|| std::time::UNIX_EPOCH + Duration::from_secs(1_369_353_600));
    let seen = asked(bucket().clock(clock), "/a").await;
    assert_eq!(seen.field("x-amz-date"), Some("20130524T000000Z"));
}

#[tokio::test(start_paused = true)]
async fn which_requests_are_signed() {
    use SignRequests::{Always, Never, UnlessAuthorized};
    for (sign, own, expected) in [
        (Always, None, Some("AWS4")),
        (Always, Some("Basic"), Some("AWS4")),
        (Never, None, None),
        (Never, Some("Basic"), Some("Basic")),
        (UnlessAuthorized, None, Some("AWS4")),
        (UnlessAuthorized, Some("Basic"), Some("Basic")),
    ] {
        let origin = Origin::new();
        let client = Client::new(S3Origin::new(scripted(&origin), bucket().sign(sign)).unwrap());
        let ask = client.get("/a");
        let ask = match own {
            Some(own) => ask.header("authorization", own).header("x-amz-date", "mine"),
            None => ask,
        };
        drop(ask.await);
        let seen = origin.last();
        let is_own = expected == own && own.is_some();
        assert_eq!(
            seen.field("authorization").map(|a| &a[..expected.unwrap_or(a).len()]),
            expected
        );
        assert_eq!(seen.field("x-amz-date") == Some("mine"), is_own, "{sign:?} {own:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_question_for_an_object_is_not_sent() {
    let origin = Origin::new();
    let client = Client::new(S3Origin::new(scripted(&origin), bucket()).unwrap());
    for (method, target, status) in [
        ("PUT", "/a", 405),
        ("POST", "/a", 405),
        ("DELETE", "/a", 405),
        ("GET", "/", 404),
        ("GET", "/?list-type=2", 404),
        ("GET", "/../other", 400),
        ("HEAD", "/%2e%2e/other", 400),
        ("GET", "/%zz", 400),
    ] {
        let reply = client.ask(method, target).await;
        assert_eq!(reply.status, status, "{method} {target}");
        assert_eq!(reply.field("allow").is_some(), status == 405);
    }
    assert_eq!(origin.count(), 0);
    drop(client.ask("OPTIONS", "/a").header("origin", "https://example.com").await);
    assert_eq!(origin.last().field("authorization"), None, "without a signature");
}

#[test]
fn what_cannot_be_used_is_refused() {
    let new = |bucket| S3Origin::new((), bucket);
    assert!(new(bucket()).is_ok());
    assert!(new(S3Bucket::new("assets", "r")).is_err(), "no credentials");
    assert!(new(S3Bucket::new("assets", "r").sign(SignRequests::Never)).is_ok());
    let credentials = || S3Credentials::new("id", "secret");
    for name in ["", "a/b", "..", "a b", "a?b", "ä"] {
        assert!(new(S3Bucket::new(name, "r").credentials(credentials())).is_err(), "{name:?}");
    }
    assert!(new(bucket().endpoint("/a".parse().unwrap())).is_err());
    assert!(!format!("{:?}", bucket()).contains("secret"), "the secret is not shown");
}

#[tokio::test(start_paused = true)]
async fn signatures_are_made_behind_the_cache() {
    let origin = Origin::new();
    origin.always("/assets/a", |_| ok("").max_age(1000));
    let bucket = bucket().virtual_host(false);
    let layer = CdnCacheLayer::builder(MemoryStore::new(1 << 20)).clock(Clock::tokio()).build();
    let client = Client::new(layer.layer(S3Origin::new(scripted(&origin), bucket).unwrap()));
    assert_eq!(client.get("/a").told().await, "200  (uri-miss)");
    pass(100).await;
    assert_eq!(client.get("/a").told().await, "200  (hit)", "another second, the same key");
    assert_eq!(origin.count(), 1);
    assert!(origin.last().field("authorization").is_some());
}

/// Two buckets with the object `a`, of which the first one fails.
fn bucket_and_copy() -> ([Origin; 2], Client<OriginGroup<S3Origin<Http>>>) {
    let ([first, copy], [eu, us]) = buckets();
    ([first, copy], Client::new(OriginGroup::new([("eu", eu), ("us", us)])))
}

/// One that fails, and its copy.
fn buckets() -> ([Origin; 2], [S3Origin<Http>; 2]) {
    let [first, copy] = [Origin::new(), Origin::new()];
    first.always("/one/a", |_| answer(503));
    copy.always("/two/a", |_| ok(""));
    let of = |origin: &Origin, name, region| {
        let bucket = S3Bucket::new(name, region).virtual_host(false);
        let bucket = bucket.credentials(S3Credentials::new("id", "secret"));
        S3Origin::new(scripted(origin), bucket).unwrap()
    };
    let origins = [of(&first, "one", "eu"), of(&copy, "two", "us")];
    ([first, copy], origins)
}

#[tokio::test(start_paused = true)]
async fn a_bucket_and_its_copy() {
    let ([first, copy], client) = bucket_and_copy();
    assert_eq!(told(client.get("/a")).await, "200  (eu=503, us=200)");
    assert!(first.last().field("authorization").unwrap().contains("/eu/s3/"));
    assert!(copy.last().field("authorization").unwrap().contains("/us/s3/"));
}

#[tokio::test(start_paused = true)]
async fn what_the_bucket_is_not_asked_says_nothing_of_it() {
    let (_, client) = bucket_and_copy();
    for _ in 0..3 {
        assert_eq!(
            told(client.get("/%zz")).await,
            "400  (eu=400)",
            "failures in a row all the same"
        );
        assert_eq!(told(client.get("/a")).await, "200  (eu=503, us=200)");
    }
    assert_eq!(told(client.get("/a")).await, "200  (eu=skipped, us=200)", "three in a row");
    pass(5).await;
    assert_eq!(told(client.get("/")).await, "404  (eu=404)");
    assert_eq!(told(client.get("/a")).await, "200  (eu=503, us=200)", "the place is free to probe");
    assert_eq!(told(client.get("/a")).await, "200  (eu=skipped, us=200)", "it is not back");
}

#[tokio::test(start_paused = true)]
async fn nor_of_the_group_that_it_is_in() {
    let ([first, _copy], [eu, us]) = buckets();
    let [eu, us] = [("eu", eu), ("us", us)].map(|bucket| OriginGroup::new([bucket]));
    let client = Client::new(OriginGroup::new([("one", eu), ("two", us)]));
    for _ in 0..3 {
        assert_eq!(client.get("/%zz").await.status, 400);
        assert_eq!(client.get("/a").await.status, 200);
    }
    let before = first.count();
    assert_eq!(client.get("/a").await.status, 200);
    assert_eq!(first.count(), before, "three in a row, and the whole group is skipped");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_cannot_be_signed_for_is_skipped() {
    let ([first, copy], [_, us]) = buckets();
    let bucket = S3Bucket::new("one", "eu").virtual_host(false);
    let bucket = bucket.credentials(S3Credentials::new("id\n", "secret"));
    let eu = S3Origin::new(scripted(&first), bucket).unwrap();
    let client = Client::new(OriginGroup::new([("eu", eu), ("us", us)]));
    for _ in 0..3 {
        assert_eq!(told(client.get("/a")).await, "200  (eu=502, us=200)");
    }
    assert_eq!(told(client.get("/a")).await, "200  (eu=skipped, us=200)");
    assert_eq!((first.count(), copy.count()), (0, 4));
}

/// A server with a bucket of these objects, which takes requests of `id` only. It ends with the runtime of the test.
struct Server {
    address: SocketAddr,
    folder: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.folder);
    }
}

impl Server {
    async fn start(test: &str, objects: &[(&str, &str)]) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("s3-{test}"));
        _ = fs::remove_dir_all(&folder);
        for (name, content) in objects {
            let file = folder.join("assets").join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(&folder).unwrap());
        builder.set_auth(SimpleAuth::from_single("id", "secret"));
        builder.set_host(SingleDomain::new("s3.local").unwrap());
        let service = builder.build().into_shared();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    _ = server.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { address, folder }
    }

    fn bucket(&self) -> S3Bucket {
        bucket().endpoint(format!("http://{}", self.address).parse().unwrap())
    }

    fn ask(&self, bucket: S3Bucket) -> Client<S3Origin<Http>> {
        Client::new(S3Origin::new(self.http(), bucket).unwrap())
    }

    /// Connects to the server, whatever the URI says.
    fn http(&self) -> Http {
        let address = self.address;
        let mut connector = legacy::connect::HttpConnector::new_with_resolver(service_fn(
            move |_: legacy::connect::dns::Name| async move {
                Ok::<_, std::io::Error>(std::iter::once(address))
            },
        ));
        connector.set_nodelay(true);
        let client = legacy::Client::builder(TokioExecutor::new()).build(connector);
        let with_host = |mut request: Request<RequestBody>| {
            // The URI says where to connect to, and `Host` what is asked.
            let host = request.headers()["host"].to_str().unwrap_or_default().to_owned();
            assert_eq!(request.uri().authority().map(|a| a.as_str()), Some(host.as_str()));
            if host.starts_with("assets.") {
                let path = request.uri().path_and_query().unwrap().clone();
                *request.uri_mut() = format!("http://server{path}").parse().unwrap();
            }
            request
        };
        let http = client.map_request(with_host).map_response(|r| r.map(Body::new));
        BoxCloneSyncService::new(http.map_err(Into::into))
    }
}

const OBJECTS: [(&str, &str); 8] = [
    ("a.txt", "0123456789"),
    ("with space.txt", "space"),
    ("a+b.txt", "plus"),
    ("über/ä.txt", "umlaut"),
    ("deep/er/file", "deep"),
    ("50%.txt", "percent"),
    ("a=b&c;d.txt", "signs"),
    ("index/index.html", "index"),
];

#[tokio::test]
async fn a_real_server_takes_the_signatures() {
    let server = Server::start("objects", &OBJECTS).await;
    for bucket in [
        server.bucket(),
        server.bucket().endpoint("http://s3.local".parse().unwrap()).virtual_host(true),
    ] {
        let client = server.ask(bucket.index("index.html"));
        for (target, content) in [
            ("/a.txt", "0123456789"),
            ("/with%20space.txt", "space"),
            ("/a+b.txt", "plus"),
            ("/a%2Bb.txt", "plus"),
            ("/%C3%BCber/%c3%a4.txt", "umlaut"),
            ("/deep/er/file", "deep"),
            ("/deep%2Fer%2ffile", "deep"),
            ("/50%25.txt", "percent"),
            ("/a=b&c;d.txt", "signs"),
            ("/a%3Db%26c%3Bd.txt", "signs"),
            ("/index/", "index"),
        ] {
            let reply = client.get(target).await;
            assert_eq!((reply.status, reply.text().await.as_str()), (200, content), "{target}");
        }
        assert_eq!(client.ask("HEAD", "/a.txt").await.field("content-length"), Some("10"));
    }
}

#[tokio::test]
async fn a_real_server_takes_the_signature_of_any_path() {
    let server = Server::start("paths", &OBJECTS).await;
    let client = server.ask(server.bucket());
    // A wrong signature is 403 before the object is looked for.
    for target in
        ["/missing", "/a//b", "//a", "/a/../b", "/a/./b", "/~!*'()", "/%F0%9F%A6%80", "/%22%3C%3E"]
    {
        let reply = client.get(target).await;
        let (status, text) = (reply.status, reply.text().await);
        assert!(!text.contains("SignatureDoesNotMatch"), "{target}: {status} {text}");
        assert_ne!(status, 403, "{target}: {text}");
    }
}

#[tokio::test]
async fn a_real_server_answers_ranges_and_takes_conditions() {
    let server = Server::start("ranges", &OBJECTS).await;
    let client = server.ask(server.bucket());
    let reply = client.get("/a.txt").header("range", "bytes=2-4").await;
    assert_eq!((reply.status, reply.field("content-range")), (206, Some("bytes 2-4/10")));
    assert_eq!(reply.text().await, "234");
    let whole = client.get("/a.txt").await;
    let tag = whole.field("etag").expect("an entity tag").to_owned();
    drop(whole);
    let tagged = server.ask(server.bucket()).get("/a.txt").header("if-none-match", &tag).await;
    // The signature is good with a condition. This server evaluates none.
    assert_eq!((tagged.status, tagged.text().await.as_str()), (200, "0123456789"));
}

#[tokio::test]
async fn a_real_server_refuses_others() {
    let server = Server::start("others", &OBJECTS).await;
    let of = |id, secret| server.bucket().credentials(S3Credentials::new(id, secret));
    assert_eq!(server.ask(of("id", "secret")).get("/a.txt").await.status, 200);
    assert_eq!(server.ask(of("id", "wrong")).get("/a.txt").await.status, 403);
    assert_eq!(server.ask(of("nobody", "secret")).get("/a.txt").await.status, 403);
    let unsigned = server.bucket().sign(SignRequests::Never);
    assert_eq!(server.ask(unsigned).get("/a.txt").await.status, 403);
}

#[tokio::test]
async fn a_private_bucket_behind_the_cache() {
    let server = Server::start("cached", &OBJECTS).await;
    let policy = tower_cdn::CachePolicy::default();
    let layer = CdnCacheLayer::builder(MemoryStore::new(1 << 20)).policy(policy).build();
    let aged = tower_http::set_header::SetResponseHeaderLayer::overriding(
        http::header::CACHE_CONTROL,
        http::HeaderValue::from_static("max-age=60"),
    );
    let origin = S3Origin::new(server.http(), server.bucket()).unwrap();
    let client = Client::new(layer.layer(aged.layer(origin)));
    assert_eq!(client.get("/a+b.txt").told().await, "200 plus (uri-miss)");
    assert_eq!(client.get("/a+b.txt").told().await, "200 plus (hit)");
    let part = client.get("/a+b.txt").header("range", "bytes=1-2").await;
    assert_eq!((part.status, part.how().as_str()), (206, "hit"));
    assert_eq!(part.text().await, "lu");
}
