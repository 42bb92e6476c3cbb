//! What can be a token, and where its page is.

use std::ops::RangeInclusive;

/// What the names of tokens' pages end with.
const SUFFIX: &str = ".html";

/// How long a token may be. Shorter ones can be guessed, and names of other files are like them.
const LENGTH: RangeInclusive<usize> = 16..=128;

/// Where the page of a token is, below the address of the public page: `u/TOKEN.html`, live and static
/// alike. None where `token` cannot be one: 16 to 128 characters of `A-Z a-z 0-9 - _`.
#[must_use]
pub fn path_of(token: &str) -> Option<String> {
    file_of(token).map(|file| format!("u/{file}"))
}

/// The name of the file with a token's page.
pub(super) fn file_of(token: &str) -> Option<String> {
    is_token(token).then(|| format!("{token}{SUFFIX}"))
}

/// The token whose page has this file name, with or without its ending.
pub(super) fn of_file(name: &str) -> Option<&str> {
    let token = name.strip_suffix(SUFFIX).unwrap_or(name);
    is_token(token).then_some(token)
}

/// The token whose page has exactly this file name.
pub(super) fn of_page(name: &str) -> Option<&str> {
    name.strip_suffix(SUFFIX).filter(|token| is_token(token))
}

fn is_token(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    LENGTH.contains(&text.len()) && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_lead_out_of_the_directory_is_no_token() {
        let long = "a".repeat(129);
        let others = ["", "short", "../../../etc/passwd", "0123456789abcde/", "0123456789abcdef\0"];
        for text in others.into_iter().chain([".0123456789abcdef", "0123456789abcdé", &long]) {
            assert_eq!(path_of(text), None, "{text:?}");
            assert_eq!(of_file(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_token_is_found_again_in_the_name_of_its_page() {
        let token = "kT4vJ0wYq2-N7_R5";
        assert_eq!(path_of(token).as_deref(), Some("u/kT4vJ0wYq2-N7_R5.html"));
        assert_eq!(file_of(token).as_deref().and_then(of_file), Some(token));
        assert_eq!(of_file(token), Some(token));
    }
}
