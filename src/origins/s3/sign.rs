//! AWS Signature Version 4 in a request's fields.
use super::S3Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign as signature,
    },
    sign::v4,
};
use http::{
    HeaderName, HeaderValue,
    header::{AUTHORIZATION, HOST},
    request::Parts,
};
use std::time::SystemTime;

/// Signs a request whose URI is absolute and encoded as S3 expects it. Only `Host` is signed beside what is added: what stands between may change the rest.
/// `None` if what is to be added cannot stand in a field.
pub(super) fn sign(
    head: &mut Parts,
    has_body: bool,
    credentials: &S3Credentials,
    region: &str,
    now: SystemTime,
) -> Option<()> {
    sign_with(head, &[HOST], has_body, credentials, region, now)
}

fn sign_with(
    head: &mut Parts,
    signed: &[HeaderName],
    has_body: bool,
    credentials: &S3Credentials,
    region: &str,
    now: SystemTime,
) -> Option<()> {
    let identity = credentials.0.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("s3")
        .time(now)
        .settings(settings())
        .build()
        .ok()?;
    let fields = signed
        .iter()
        .filter_map(|name| Some((name.as_str(), head.headers.get(name)?.to_str().ok()?)));
    // What a body of unknown content hashes to is not known before it is sent.
    let body = if has_body {
        SignableBody::UnsignedPayload
    } else {
        SignableBody::Bytes(Default::default())
    };
    let uri = head.uri.to_string();
    let request = SignableRequest::new(head.method.as_str(), uri, fields, body).ok()?;
    let (instructions, _) = signature(request, &params.into()).ok()?.into_parts();
    for field in instructions.into_parts().0 {
        let mut value = HeaderValue::from_str(field.value()).ok()?;
        // So that no log has it.
        value.set_sensitive(field.sensitive() || field.name() == AUTHORIZATION.as_str());
        head.headers.insert(field.name(), value);
    }
    Some(())
}

/// What S3 does differently from the other services: paths are encoded once and not normalised, and the hash of the content is a field.
fn settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, header::RANGE};
    use std::time::{Duration, UNIX_EPOCH};

    /// 24 May 2013, the day of the examples of the manual.
    const DAY: Duration = Duration::from_secs(1_369_353_600);
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn credentials() -> S3Credentials {
        S3Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    }

    fn signed(uri: &str, fields: &[(HeaderName, &str)]) -> Parts {
        let uri = format!("https://examplebucket.s3.amazonaws.com{uri}");
        let request = Request::get(uri).header(HOST, "examplebucket.s3.amazonaws.com");
        let request =
            fields.iter().fold(request, |request, (name, value)| request.header(name, *value));
        let (mut head, ()) = request.body(()).expect("a request").into_parts();
        let names = [HOST].into_iter().chain(fields.iter().map(|(name, _)| name.clone()));
        let names: Vec<_> = names.collect();
        sign_with(&mut head, &names, false, &credentials(), "us-east-1", UNIX_EPOCH + DAY)
            .expect("it can be signed");
        head
    }

    /// "Authenticating Requests: Using the Authorization Header" in the API reference of Amazon S3.
    #[test]
    fn the_examples_of_the_manual() {
        let scope = "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";
        let names = "host;x-amz-content-sha256;x-amz-date";
        for (uri, fields, names, signature) in [
            (
                "/test.txt",
                &[(RANGE, "bytes=0-9")][..],
                "host;range;x-amz-content-sha256;x-amz-date",
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                "/?lifecycle",
                &[],
                names,
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                "/?max-keys=2&prefix=J",
                &[],
                names,
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ] {
            let head = signed(uri, fields);
            let expected =
                format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders={names}, Signature={signature}");
            assert_eq!(head.headers["authorization"], expected, "{uri}");
            assert_eq!(head.headers["x-amz-date"], "20130524T000000Z");
            assert_eq!(head.headers["x-amz-content-sha256"], EMPTY);
            assert!(head.headers["authorization"].is_sensitive());
        }
    }

    #[test]
    fn a_session_is_signed_and_a_body_is_not() {
        let credentials = credentials().session_token("a session");
        let request = Request::get("http://b/a").header(HOST, "b").body(()).expect("a request");
        let (mut head, ()) = request.into_parts();
        sign(&mut head, true, &credentials, "r", UNIX_EPOCH + DAY).expect("it can be signed");
        assert_eq!(head.headers["x-amz-security-token"], "a session");
        assert_eq!(head.headers["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
        let authorization = head.headers["authorization"].to_str().expect("text");
        let names = "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,";
        assert!(authorization.contains(names), "{authorization}");
    }

    #[test]
    fn a_token_that_is_no_field_value_does_not_panic() {
        let credentials = credentials().session_token("a\nb");
        let request = Request::get("http://b/a").header(HOST, "b").body(()).expect("a request");
        let (mut head, ()) = request.into_parts();
        assert!(sign(&mut head, false, &credentials, "r", UNIX_EPOCH + DAY).is_none());
    }
}
