//! What somebody has meant who wrote something else.

/// The known word that differs least from this one, if it differs little.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = word.chars().count() / 3 + 1;
    let with_distance = known.into_iter().map(|known| (distance(word, known), known));
    with_distance.filter(|(distance, _)| *distance <= most).min().map(|(_, known)| known)
}

/// As a question behind a message.
pub(super) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map(|known| format!(": is it `{known}`?")).unwrap_or_default()
}

/// How many characters have to be added, removed, changed or moved by one.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, from) in one.iter().enumerate() {
        let mut line = vec![i + 1];
        for (j, to) in other.iter().enumerate() {
            let changed = last[j] + usize::from(from != to);
            let mut least = changed.min(last[j + 1] + 1).min(line[j] + 1);
            let is_moved = i > 0 && j > 0 && one[i - 1] == *to && *from == other[j - 1];
            if is_moved {
                least = least.min(before[j - 1] + 1);
            }
            line.push(least);
        }
        before = std::mem::replace(&mut last, line);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant() {
        let known = ["max_ttl", "min_ttl", "connect_timeout", "origin"];
        for (word, meant) in [
            ("maxttl", Some("max_ttl")),
            ("min-ttl", Some("min_ttl")),
            ("conect_timeout", Some("connect_timeout")),
            ("orgiin", Some("origin")),
            ("listen", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }
}
