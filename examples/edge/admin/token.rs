//! The secret that an operator shares with the program (RFC 6750).

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::Path;

use hyper::header::{self, HeaderMap, HeaderValue};
use subtle::ConstantTimeEq;

/// The variable that has it. An argument would be seen by everybody on the machine.
pub(crate) const VARIABLE: &str = "EDGE_ADMIN_TOKEN";

/// A shorter one could be guessed; a longer one is something else.
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=512;

/// Not shown by `Debug`.
#[derive(Clone)]
pub(crate) struct Token(HeaderValue);

impl Token {
    /// From a file, or else from the variable.
    pub(crate) fn find(file: Option<&Path>, variable: Option<OsString>) -> Result<Self, String> {
        let (text, from) = match (file, variable) {
            (Some(file), _) => {
                let text = fs::read_to_string(file);
                let from = file.display().to_string();
                (text.map_err(|error| format!("{from}: {error}"))?, from)
            }
            (None, Some(text)) => {
                let text = text.into_string().map_err(|_| format!("{VARIABLE} is not UTF-8"))?;
                (text, VARIABLE.to_owned())
            }
            (None, None) => {
                return Err(format!("it needs a token: set {VARIABLE} or --admin-token-file"));
            }
        };
        Self::new(text.trim_end()).map_err(|why| format!("{from}: {why}"))
    }

    fn new(text: &str) -> Result<Self, String> {
        let is_of_token = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
        if !text.chars().all(is_of_token) {
            return Err("a token has only letters, digits and -._~+/=".to_owned());
        }
        if !LENGTHS.contains(&text.len()) {
            return Err(format!(
                "a token has from {} to {} characters",
                LENGTHS.start(),
                LENGTHS.end()
            ));
        }
        let mut value = HeaderValue::try_from(format!("Bearer {text}"))
            .map_err(|_| "no field can have it".to_owned())?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// The value of `Authorization`.
    pub(crate) fn credentials(&self) -> HeaderValue {
        self.0.clone()
    }

    /// Does a request have it? That takes the same time wherever two of one length differ.
    pub(crate) fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut lines = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return false };
        let Some((scheme, token)) = line.as_bytes().split_at_checked(7) else { return false };
        let Some(own) = self.0.as_bytes().get(7..) else { return false };
        scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(token.trim_ascii().ct_eq(own))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "0123456789abcdef";

    #[test]
    fn a_token_comes_from_a_file_or_a_variable() {
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join("token");
        fs::write(&file, format!("{TEXT}\n")).expect("a file");
        let of_file = Token::find(Some(&file), Some("another".into())).expect("a token");
        let of_variable = Token::find(None, Some(TEXT.into())).expect("a token");
        assert_eq!(of_file.0, of_variable.0);
        assert_eq!(format!("{of_file:?}"), "Token");
        let missing = folder.path().join("missing");
        for (file, variable, says) in [
            (None, None, VARIABLE),
            (None, Some("too-short"), "from 16 to 512"),
            (None, Some(""), "from 16 to 512"),
            (None, Some("with a space in the middle"), "only letters"),
            (None, Some("with-\u{e4}-in-the-middle"), "only letters"),
            (Some(missing.as_path()), Some(TEXT), "missing"),
        ] {
            let message = Token::find(file, variable.map(Into::into)).expect_err(says);
            assert!(message.contains(says), "{message}");
            assert!(!variable.is_some_and(|secret| secret.len() > 3 && message.contains(secret)));
        }
    }

    #[test]
    fn only_the_whole_token_is_it() {
        let token = Token::new(TEXT).expect("a token");
        let with = |lines: &[&str]| {
            let line = |text: &&str| {
                (header::AUTHORIZATION, HeaderValue::from_str(text).expect("a value"))
            };
            token.is_in(&lines.iter().map(line).collect())
        };
        assert!(with(&["Bearer 0123456789abcdef"]));
        assert!(with(&["bearer  0123456789abcdef "]));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "0123456789abcdef",
            "Basic 0123456789abcdef",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdeg",
            "Bearer 0123456789abcdef0",
            "Bearer 0123456789ABCDEF",
        ] {
            assert!(!with(&[wrong]), "{wrong}");
        }
        assert!(!with(&[]));
        assert!(!with(&["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"]));
    }
}
