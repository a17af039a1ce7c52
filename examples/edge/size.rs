//! Amounts of memory as people write them: `256MiB`, `1GB`, `65536`.
//!
//! A unit that ends in `iB`, or a bare letter as in GNU tools, counts by 1024; one that ends in `B`
//! counts by 1000. No unit means bytes. Case does not matter.

/// Bytes in `text`, or a sentence that says what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    if digits.is_empty() {
        return Err(format!(
            "'{text}' is not a size: write a whole number and a unit, as in 256MiB"
        ));
    }
    let factor = factor(unit.trim()).ok_or_else(|| {
        format!("'{text}' has no known unit: use B, KiB, MiB, GiB, TiB (or KB, MB, GB, TB)")
    })?;
    // All digits, so the one thing that can go wrong is a number too large.
    let number: Option<u64> = digits.parse().ok();
    number
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| format!("'{text}' is too large: at most {} bytes", u64::MAX))
}

fn factor(unit: &str) -> Option<u64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1000_u64.pow(2),
        "gb" => 1000_u64.pow(3),
        "tb" => 1000_u64.pow(4),
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn units_are_decimal_or_binary_as_written() {
        for (text, bytes) in [
            ("0", 0),
            ("65536", 65_536),
            ("512B", 512),
            ("1KB", 1000),
            ("1KiB", 1024),
            ("1k", 1024),
            ("256MiB", 268_435_456),
            ("256 MiB", 268_435_456),
            ("3mb", 3_000_000),
            ("2GiB", 2_147_483_648),
            ("2GB", 2_000_000_000),
            ("1T", 1_099_511_627_776),
            ("1TB", 1_000_000_000_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for text in ["", "MiB", "-1", "+1", "1.5GiB", "12 parsecs", "1MiBs", "１MiB", "0x10"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn overflow_is_refused() {
        for text in ["18446744073709551616", "18446744073709551615KiB", "16777216TiB"] {
            let message = parse(text).expect_err("more than u64 holds");
            assert!(message.contains("too large"), "{message}");
        }
    }
}
