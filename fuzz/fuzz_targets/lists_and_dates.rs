//! Lists, quoted strings, tokens, numbers and dates, against what the RFCs say written down without a thought of the work.
//!
//! The input: ten bytes that make a date, then text.
#![no_main]
use http::{HeaderValue, Method, header};
use libfuzzer_sys::fuzz_target;
use std::time::{Duration, SystemTime};
use tower_cdn::fuzzing;
use tower_cdn_fuzz::{Input, linear, lines, naive_closing, naive_members, naive_trim};

fuzz_target!(|input: &[u8]| {
    let mut input = Input::new(input);
    made_dates(&mut input);
    let text = input.rest();
    lists(text);
    quoted_strings(text);
    tokens_and_numbers(text);
    dates(text);
    lengths(text);
    linear(text, |text| {
        _ = fuzzing::members(text);
        _ = fuzzing::unquote(text);
        _ = fuzzing::unquote(&[b"\"", text, b"\""].concat());
        _ = HeaderValue::from_bytes(text).map(|value| fuzzing::http_date(&value));
        _ = fuzzing::content_length(&lines(&header::CONTENT_LENGTH, [text]));
    });
});

/// RFC 9110 section 5.6.1.
fn lists(line: &[u8]) {
    let members = fuzzing::members(line);
    let naive = naive_members(line).into_iter().filter(|member| !member.is_empty());
    assert_eq!(members, naive.collect::<Vec<_>>(), "{}", line.escape_ascii());
    let mut from = line.as_ptr().addr();
    for member in &members {
        let start = member.as_ptr().addr();
        assert!(start >= from && !member.is_empty(), "members stand one behind the other");
        assert_eq!(fuzzing::trim(member), *member);
        from = start + member.len();
    }
    assert!(from <= line.as_ptr().addr() + line.len());
    let joined = members.join(&b", "[..]);
    assert_eq!(fuzzing::members(&joined), members, "what was split and joined is the same list");
}

/// RFC 9110 section 5.6.4.
fn quoted_strings(text: &[u8]) {
    assert_eq!(fuzzing::trim(text), naive_trim(text));
    let mut quoted = vec![b'"'];
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(*byte);
    }
    quoted.push(b'"');
    assert_eq!(fuzzing::unquote(&quoted).as_deref(), Some(text));
    assert_eq!(fuzzing::members(&quoted), [&quoted[..]]);
    let is_quoted = text.len() > 1
        && text[0] == b'"'
        && naive_closing(&text[1..]).is_some_and(|length| length + 2 == text.len());
    match fuzzing::unquote(text) {
        Some(inner) => assert!(is_quoted && inner.len() + 2 <= text.len()),
        None => assert!(!is_quoted),
    }
}

fn tokens_and_numbers(text: &[u8]) {
    let length = fuzzing::token_len(text);
    // A method is a token.
    assert!(text[..length].iter().all(|byte| Method::from_bytes(&[*byte]).is_ok()));
    assert!(text.get(length).is_none_or(|byte| Method::from_bytes(&[*byte]).is_err()));

    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    for text in [text, &text[..digits]] {
        let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        let naive = is_number.then(|| {
            let text = std::str::from_utf8(text).expect("digits");
            // RFC 9111 section 1.2.2: the largest number where it does not fit.
            text.parse::<u128>().unwrap_or(u128::MAX).min(1 << 31)
        });
        let seconds = fuzzing::delta_seconds(text).map(|d| u128::from(d.as_secs()));
        assert_eq!(seconds, naive, "{}", text.escape_ascii());
    }
}

/// RFC 9110 section 5.6.7: any text that is a date.
fn dates(text: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(text) else { return };
    let date = fuzzing::http_date(&value);
    for text in [text.to_ascii_lowercase(), text.to_ascii_uppercase()] {
        let other = HeaderValue::from_bytes(&text).expect("as before");
        assert_eq!(fuzzing::http_date(&other), date, "{value:?} in another case");
    }
    if let Some(date) = date {
        let since = date.duration_since(SystemTime::UNIX_EPOCH).expect("not before 1970");
        assert_eq!(since.subsec_nanos(), 0);
        let written = fuzzing::date_of(date).expect("it can be told");
        assert_eq!(fuzzing::http_date(&written), Some(date));
    }
    let headers = |lines: &[&[u8]]| tower_cdn_fuzz::lines(&header::DATE, lines.iter().copied());
    let single = |lines: &[&[u8]]| fuzzing::single_date(&headers(lines), &header::DATE);
    assert_eq!(single(&[]), Ok(None));
    assert_eq!(single(&[text]), date.map(Some).ok_or(()));
    assert_eq!(single(&[text, text]), single(&[text]));
    assert_eq!(single(&[text, b"another"]), Err(()));
}

/// Any instant, in each of the three forms, in any case, with the name of any day.
fn made_dates(input: &mut Input<'_>) {
    const DAYS: [&str; 7] =
        ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = input.number() % 253_402_300_800;
    let (day, cases) = (input.pick(&DAYS), input.byte());
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let (year, month, date) = civil(seconds / 86_400);
    let month = MONTHS[month - 1];
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let clock = format!("{hour:02}:{minute:02}:{second:02}");
    let mut forms = vec![
        format!("{}, {date:02} {month} {year:04} {clock} GMT", &day[..3]),
        format!("{} {month} {date:2} {clock} {year:04}", &day[..3]),
    ];
    if (1970..2070).contains(&year) {
        forms.push(format!("{day}, {date:02}-{month}-{:02} {clock} GMT", year % 100));
    }
    for form in forms {
        let mut cases = cases;
        let change = |c: char| {
            cases = cases.rotate_left(1);
            if cases & 1 == 1 { c.to_ascii_lowercase() } else { c }
        };
        let form: String = form.chars().map(change).collect();
        let value = HeaderValue::from_str(&form).expect("a value");
        assert_eq!(fuzzing::http_date(&value), Some(time), "{form}");
    }
    let written = fuzzing::date_of(time).expect("it can be told");
    let weekday = DAYS[usize::try_from((seconds / 86_400 + 4) % 7).expect("small")];
    let expected = format!("{}, {date:02} {month} {year:04} {clock} GMT", &weekday[..3]);
    assert_eq!(written, expected);
}

/// Year, month and day of a day since 1970, counted off.
fn civil(mut days: u64) -> (u64, usize, u64) {
    let is_leap = |y: u64| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
    // 400 years always have as many days.
    let (mut year, mut month) = (1970 + days / 146_097 * 400, 1);
    days %= 146_097;
    while days >= if is_leap(year) { 366 } else { 365 } {
        days -= if is_leap(year) { 366 } else { 365 };
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

/// RFC 9112 section 6.3: one length, however often it is told.
fn lengths(text: &[u8]) {
    let values: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
    let mut headers = lines(&header::CONTENT_LENGTH, values);
    let values = tower_cdn_fuzz::values(&headers, &header::CONTENT_LENGTH);
    let told: Vec<&[u8]> = values.iter().flat_map(|value| fuzzing::members(value)).collect();
    let number = |text: &&[u8]| {
        let is_number = text.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(text).ok().filter(|_| is_number).and_then(|t| t.parse::<u64>().ok())
    };
    let numbers: Option<Vec<u64>> = told.iter().map(number).collect();
    let expected = match numbers.as_deref() {
        Some([]) if values.is_empty() => Ok(None),
        Some([first, rest @ ..]) if rest.iter().all(|other| other == first) => Ok(Some(*first)),
        _ => Err(()),
    };
    assert_eq!(fuzzing::content_length(&headers), expected);
    headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    let expected = expected.and_then(|length| if length.is_some() { Err(()) } else { Ok(None) });
    assert_eq!(fuzzing::content_length(&headers), expected);
}
