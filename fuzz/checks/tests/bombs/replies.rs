//! What a server says over IMAP, made to be expensive.

use imap_client::{Reply, Value};

use crate::cost::{assert_linear, assert_peak};

/// A reply of so many of these.
fn repeated(what: &[u8]) -> impl Fn(usize) -> Vec<u8> {
    move |count| [b"* X ".as_slice(), &what.repeat(count)].concat()
}

fn understood(reply: &[u8]) {
    let _ = Reply::parse(reply);
}

#[test]
fn replies_cost_in_proportion_and_take_no_more_memory_than_their_length_explains() {
    const PARTS: [&[u8]; 8] =
        [b"a ", b"(", b"() ", b"(a) ", b"\"", b"\"\" ", b"{0}\r\n ", b"BODY["];
    for part in PARTS {
        let name = part.escape_ascii().to_string();
        assert_linear(&name, 100_000, repeated(part), understood);
        // A byte can be a value, and a vector that grows is there twice, once with room for as many more.
        let times = 4 * size_of::<Value>();
        assert_peak(&name, &repeated(part)(100_000), times, 1 << 16, understood);
    }
    let lines = |count| b"* OK [X ".iter().copied().chain((0..count).map(|_| b'(')).collect();
    assert_linear("a code without an end", 100_000, lines, understood);
}
