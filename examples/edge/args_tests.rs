use super::*;
use hyper::http::uri::Scheme;

fn run(args: &[&str]) -> Args {
    match parse(args) {
        Ok(Command::Run(args)) => *args,
        other => panic!("{args:?} gave {other:?}"),
    }
}

fn refused(args: &[&str]) -> String {
    match parse(args) {
        Err(message) => message,
        Ok(other) => panic!("{args:?} gave {other:?}"),
    }
}

#[test]
fn nothing_means_the_documented_defaults() {
    let args = run(&[]);
    assert_eq!(args.listen, None);
    assert_eq!(args.origin, None);
    assert_eq!(args.memory, 268_435_456);
    assert_eq!((args.disk, args.disk_size), (None, 10_737_418_240));
    assert_eq!(args.max_object, 67_108_864);
    assert_eq!(args.preset, Preset::Default);
    assert_eq!((args.workers, args.client_timeout.as_secs()), (None, 60));
    assert!(!args.rewrite_host && !args.log);
    assert_eq!((args.admin, args.admin_token), (None, None));
    assert!(args.regional.is_empty() && args.regional_admin.is_empty());
}

#[test]
fn every_option_is_read() {
    let args = run(&[
        "--listen=[::1]:9000",
        "--origin",
        "https://example.com:8443/",
        "--memory",
        "1GB",
        "--max-object=10MiB",
        "--preset",
        "cloudfront",
        "--workers",
        "4",
        "--client-timeout=1500ms",
        "--rewrite-host",
        "--log",
    ]);
    assert_eq!(args.listen.map(|address| address.to_string()).as_deref(), Some("[::1]:9000"));
    let origin = args.origin.expect("an origin");
    assert_eq!(origin.scheme, Scheme::HTTPS);
    assert_eq!(origin.authority.as_str(), "example.com:8443");
    assert_eq!((args.memory, args.max_object), (1_000_000_000, 10_485_760));
    assert_eq!((args.preset, args.workers), (Preset::CloudFront, Some(4)));
    assert_eq!(args.client_timeout.as_millis(), 1500);
    assert!(args.rewrite_host && args.log);
}

#[test]
fn the_last_of_two_counts() {
    assert_eq!(run(&["--preset", "cloudfront", "--preset", "rfc9111"]).preset, Preset::Rfc9111);
}

#[test]
fn help_and_version_are_commands() {
    assert!(matches!(parse(["--help"]), Ok(Command::Help)));
    assert!(matches!(parse(["-h"]), Ok(Command::Help)));
    assert!(matches!(parse(["--version"]), Ok(Command::Version)));
    assert!(matches!(parse(["-V"]), Ok(Command::Version)));
}

#[test]
fn help_tells_of_every_option() {
    for option in [
        "--config",
        "--check",
        "--listen",
        "--origin",
        "--memory",
        "--max-object",
        "--preset",
        "--workers",
        "--client-timeout",
        "--log",
    ] {
        assert!(HELP.contains(option), "{option}");
    }
}

#[test]
fn wrong_arguments_are_refused_with_the_option_and_the_value() {
    for (args, says) in [
        (&["--frobnicate"][..], "--frobnicate"),
        (&["http://example.com"], "http://example.com"),
        (&["--origin"], "--origin"),
        (&["--log=yes"], "--log"),
        (&["--listen", "8080"], "'8080'"),
        (&["--listen", "127.0.0.1:99999"], "'127.0.0.1:99999'"),
        (&["--memory", "lots"], "--memory: 'lots'"),
        (&["--max-object", "1.5GiB"], "--max-object"),
        (&["--preset", "akamai"], "unknown preset 'akamai'"),
        (&["--workers", "0"], "--workers: '0'"),
        (&["--workers", "-3"], "--workers: '-3'"),
        (&["--client-timeout", "60"], "--client-timeout: '60' is not a time"),
        (&["--client-timeout", "0s"], "--client-timeout: '0s'"),
    ] {
        let message = refused(args);
        assert!(message.contains(says), "{args:?}: {message}");
    }
}

#[cfg(feature = "origins")]
#[test]
fn regional_caches_may_be_several() {
    let args = run(&[
        "--regional",
        "http://a:1",
        "--regional=https://b",
        "--regional-by=sharded",
        "--regional-admin",
        "http://a:2",
        "--admin=127.0.0.1:9000",
        "--admin-token-file=secret",
    ]);
    let hosts: Vec<_> = args.regional.iter().map(|url| url.authority.as_str()).collect();
    assert_eq!((hosts, args.regional_by), (vec!["a:1", "b"], By::Sharded));
    assert_eq!((args.regional_admin.len(), args.admin.map(|a| a.port())), (1, Some(9000)));
    assert_eq!(args.admin_token.expect("a file").to_str(), Some("secret"));
    assert!(refused(&["--regional", "a"]).contains("no scheme"));
    assert!(refused(&["--regional-by", "chance"]).contains("chance"));
}

#[test]
fn a_region_that_is_told_is_one_that_is_asked() {
    assert!(refused(&["--regional-admin", "http://a"]).contains("--regional"));
}

#[cfg(feature = "origins")]
#[test]
fn a_file_says_all_but_where_to_listen_and_the_log() {
    let args = run(&["--config", "edge.toml", "--listen", "[::1]:9000", "--log"]);
    assert_eq!(args.config.as_deref(), Some("edge.toml".as_ref()));
    assert!(args.listen.is_some() && args.log);
    for (others, says) in [
        (&["--origin", "http://a"][..], "--origin"),
        (&["--preset", "default"], "--preset"),
        (&["--memory", "1GiB", "--log"], "--memory"),
        (&["--log", "--rewrite-host"], "--rewrite-host"),
    ] {
        let message = refused(&[&["--config", "edge.toml"], others].concat());
        assert_eq!(message, format!("{says}: not together with --config"));
    }
    let check = parse(["--check", "edge.toml"]);
    assert!(matches!(check, Ok(Command::Check(file)) if file.as_os_str() == "edge.toml"));
    assert_eq!(refused(&["--check", "a", "--log"]), "--log: not together with --check");
}

#[cfg(not(feature = "origins"))]
#[test]
fn files_need_a_feature() {
    for option in ["--config", "--check"] {
        let message = refused(&[option, "edge.toml"]);
        assert!(message.starts_with(option) && message.contains("--features"), "{message}");
    }
}
