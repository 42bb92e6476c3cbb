//! Links by which users see how far their own mailboxes are.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::rand::{GetRandomFlags, getrandom};

/// Bytes of a token: too many to be guessed.
const BYTES: usize = 16;

/// A token that nobody had before.
///
/// # Errors
/// Where the system has no random numbers.
pub fn new_token() -> std::io::Result<String> {
    let mut bytes = [0; BYTES];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        filled += getrandom(rest, GetRandomFlags::empty())?;
    }
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::path_of;

    #[test]
    fn a_token_can_stand_in_an_address_and_comes_once() {
        let (one, other) = (new_token().unwrap(), new_token().unwrap());
        assert_ne!(one, other);
        assert_eq!(path_of(&one), Some(format!("u/{one}.html")));
    }
}
