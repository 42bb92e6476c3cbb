//! Entries of databases as one run of bytes: key, line feed, value.

/// Key and value of an entry. Without a line feed all of it is the key.
pub(crate) fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}
