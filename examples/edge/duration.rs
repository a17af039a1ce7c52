//! Times as people write them: `250ms`, `10s`, `5m`.

use std::time::Duration;

/// The time in `text`, or a sentence that says what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let factor = match unit.trim() {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => 0,
    };
    if digits.is_empty() || factor == 0 {
        return Err(format!(
            "'{text}' is not a time: write a whole number and ms, s, m, h or d, as in 10s"
        ));
    }
    let number: Option<u64> = digits.parse().ok();
    let time = number.and_then(|number| number.checked_mul(factor)).map(Duration::from_millis);
    time.filter(|time| *time <= LONGEST)
        .ok_or_else(|| format!("'{text}' is too long: at most 36500d"))
}

/// A hundred years, as good as for ever, and nothing overflows.
const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, milliseconds) in [
            ("0s", 0),
            ("250ms", 250),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("365d", 31_536_000_000),
            (" 10 s ", 10_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "10", "s", "1.5s", "-1s", "10 parsecs", "1h30m", "10S", "1y"] {
            assert!(parse(text).expect_err(text).contains("not a time"), "{text}");
        }
        for text in ["36501d", "99999999999999999999s", "18446744073709551615h"] {
            assert!(parse(text).expect_err(text).contains("too long"), "{text}");
        }
    }
}
