//! The configuration: lines of `key=integer`, blank lines, and comments that begin with `#`.

use crate::log::{self, Line};
use crate::memory;

/// The value of `key`, or `default` when the configuration does not have it.
///
/// The keys that a policy reads are those it names in `policy! { config: [...] }`; a configuration with another one, or with
/// a value that is not an integer, is refused before it is ever used. Reading scans the text, so read once per decision.
pub fn int(key: &str, default: i64) -> i64 {
    int_of(memory::config(), key, default)
}

fn int_of(text: &[u8], key: &str, default: i64) -> i64 {
    let mut value = default;
    for line in text.split(|&b| b == b'\n') {
        if let Some((k, v)) = entry(line) {
            if k == key.as_bytes() {
                value = parse(v).unwrap_or(default); // The last one counts.
            }
        }
    }
    value
}

/// `mesh_configure`: whether each line is one of `keys` and an integer. What is wrong is logged.
pub fn check(keys: &[&str]) -> bool {
    memory::config().split(|&b| b == b'\n').all(|line| {
        let line = trim(line);
        if line.is_empty() || line[0] == b'#' {
            return true;
        }
        match entry(line) {
            Some((key, _)) if !keys.iter().any(|k| k.as_bytes() == key) => refuse("unknown key in: ", line),
            Some((_, value)) if parse(value).is_some() => true,
            _ => refuse("not key=integer: ", line),
        }
    })
}

fn refuse(why: &str, line: &[u8]) -> bool {
    Line::<160>::new().text("configuration: ").text(why).bytes(line).log(log::Level::Error);
    false
}

fn entry(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = trim(line);
    let at = line.iter().position(|&b| b == b'=')?;
    if line[0] == b'#' {
        return None;
    }
    Some((trim(&line[..at]), trim(&line[at + 1..])))
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r', rest @ ..] | [rest @ .., b' ' | b'\t' | b'\r'] = text {
        text = rest;
    }
    text
}

fn parse(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: i64 = 0; // Below zero, whose range is the larger one.
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_sub(i64::from(digit - b'0'))?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_integers_by_key() {
        let text = b"# weights\n free = 4\r\nbusy=-2\n\nfree=7\nbig=9223372036854775808\nmin=-9223372036854775808";
        assert_eq!(int_of(text, "free", 1), 7);
        assert_eq!(int_of(text, "busy", 1), -2);
        assert_eq!(int_of(text, "none", 1), 1);
        assert_eq!(int_of(text, "big", 1), 1);
        assert_eq!(int_of(text, "min", 1), i64::MIN);
    }
}
