//! Messages made to be expensive.

use std::fmt::Write as _;

use mailstore_format::message::{CacheDialect, MessageReader};

use crate::cost::{assert_linear, assert_peak};

/// In every manner, one after the other.
fn read(message: &[u8]) {
    for dialect in CacheDialect::ALL {
        let mut reader = MessageReader::default().with_dialect(dialect);
        reader.read(message, &mut Vec::new());
    }
}

/// `front`, then `piece` so many times.
fn repeated(front: &str, piece: &str, times: usize) -> Vec<u8> {
    [front, &piece.repeat(times)].concat().into_bytes()
}

fn nested_multiparts(depth: usize) -> Vec<u8> {
    let mut message = String::new();
    for level in 0..depth {
        write!(message, "Content-Type: multipart/mixed; boundary=B{level}\r\n\r\n--B{level}\r\n")
            .expect("a String takes all");
    }
    message.into_bytes()
}

const MULTIPART: &str = "Content-Type: multipart/mixed; boundary=B\r\n\r\n";

/// What is repeated, after what, and how often it takes to be measured.
const REPEATED: &[(&str, &str, &str, usize)] = &[
    ("empty parts", MULTIPART, "--B\r\n\r\n", 20_000),
    ("parts without a header", MULTIPART, "--B\n", 20_000),
    ("parts with addresses", MULTIPART, "--B\nContent-Type: message/rfc822\n\nTo: a,b\n\n", 5_000),
    // Each looked through the parameters of all parts before it.
    ("parts with continued parameters", MULTIPART, "--B\nContent-Type: a/b; c*0=d\n\n", 5_000),
    ("parts in a digest", "Content-Type: multipart/digest; boundary=B\n\n", "--B\n\n\n", 10_000),
    ("a header of fields", "", "X-Filler: 0123456789\r\n", 200_000),
    ("a header of one field", "", "Subject: 1\r\n", 200_000),
    ("a header of cached fields", "", "Received: x; y\r\n", 200_000),
    ("a folded subject", "Subject: x", "\r\n y", 200_000),
    ("a folded type", "Content-Type: a/b", "\r\n ", 200_000),
    ("delimiters in a header", "", "--B\r\n", 200_000),
    ("addresses", "To: ", "a@b,", 50_000),
    ("names", "From: ", "\"a b\" <c@d>, ", 20_000),
    ("groups", "From: ", ":", 50_000),
    ("ends of groups", "From: a:", ";", 50_000),
    ("angles", "Cc: ", "<", 200_000),
    ("empty angles", "Cc: ", "<>", 50_000),
    ("routes", "Cc: ", "<@a,", 100_000),
    ("dots of a domain", "Cc: a@", ".", 200_000),
    ("comments in a domain", "Cc: a@", "(x)", 100_000),
    ("open comments", "From: ", "(", 200_000),
    ("open comments of a type", "Content-Type: ", "(", 200_000),
    ("open quotes", "From: ", "\"", 200_000),
    ("parameters", "Content-Type: a/b", "; c=d", 50_000),
    ("parameters to be continued", "Content-Type: a/b", "; c*0=d", 30_000),
    ("continuations", "Content-Type: a/b; c*0=d", "; c*1=e", 30_000),
    ("parameters that cannot be read", "Content-Type: a/b", "; ==", 100_000),
    ("languages", "Content-Language: ", "en,", 100_000),
    ("encoded words", "Subject: ", "=?utf-8?Q?=C3=A9?= ", 30_000),
    ("encoded words in base64", "Subject: ", "=?utf-8?B?w6k=?=\r\n ", 30_000),
    ("words in a Japanese set", "Subject: ", "=?iso-2022-jp?B?GyRC?= ", 30_000),
    ("words in unknown sets", "Subject: ", "=?x?Q?y?= ", 50_000),
    ("open encoded words", "Subject: ", "=?utf-8?Q?", 100_000),
    ("half an encoded word", "Subject: ", "=?", 200_000),
    (
        "a type in encoded words",
        "Content-Type: =?utf-8?Q?a/b?=",
        " =?utf-8?Q?;c=3D=C3=A9?=",
        20_000,
    ),
    ("8-bit text", "Subject: ", "\u{e9}", 100_000),
    ("open comments of a date", "Date: ", "(", 200_000),
    ("dates without an end", "Received: ", ";", 200_000),
    ("soft line ends", "Content-Transfer-Encoding: quoted-printable\n\n", "=\n", 200_000),
    ("blanks", "Content-Transfer-Encoding: quoted-printable\n\n", " ", 500_000),
    ("returns", "Content-Transfer-Encoding: quoted-printable\n\n", "\r", 500_000),
    ("padding", "Content-Transfer-Encoding: base64\n\n", "=", 500_000),
    ("nearly delimiters", MULTIPART, "\n--A", 200_000),
    ("NULs", "", "\0", 500_000),
];

#[test]
fn what_is_repeated_costs_in_proportion() {
    for &(name, front, piece, times) in REPEATED {
        assert_linear(name, times, |times| repeated(front, piece, times), read);
    }
}

#[test]
fn nesting_costs_in_proportion() {
    // From the thousandth level on nothing is nested any more.
    assert_linear("multiparts", 2_000, nested_multiparts, read);
    let messages = |depth| repeated("", "Content-Type: message/rfc822\r\n\r\n", depth);
    assert_linear("messages", 2_000, messages, read);
}

#[test]
fn lines_that_might_be_delimiters_of_a_thousand_multiparts_cost_in_proportion() {
    let lines = |count| [nested_multiparts(999), repeated("", "--\n", count)].concat();
    assert_linear("lines", 2_000, lines, read);
}

#[test]
fn content_within_a_thousand_messages_costs_in_proportion() {
    let front = "Content-Type: message/rfc822\r\n\r\n".repeat(999);
    assert_linear("content", 10_000, |count| repeated(&front, "body\r\n", count), read);
}

#[test]
fn a_million_parts_take_memory_in_proportion() {
    assert_peak("parts", &repeated(MULTIPART, "--B\r\n\r\n", 1_000_000), 130, 1 << 20, read);
}

#[test]
fn a_hundred_thousand_nested_parts_take_memory_in_proportion() {
    assert_peak("multiparts", &nested_multiparts(100_000), 0, 2 << 20, read);
    let messages = repeated("", "Content-Type: message/rfc822\r\n\r\n", 100_000);
    assert_peak("messages", &messages, 0, 2 << 20, read);
}

#[test]
fn a_header_of_200_megabytes_takes_memory_in_proportion() {
    let fields = repeated("", "X-Filler: 0123456789\r\n", 200_000_000 / 22);
    assert_peak("fields", &fields, 0, 1 << 12, read);
    assert_peak("a subject", &repeated("Subject: ", "x", 200_000_000), 9, 1 << 12, read);
}

#[test]
fn a_million_addresses_take_memory_in_proportion() {
    assert_peak("addresses", &repeated("From: ", "a@b,", 1_000_000), 45, 1 << 20, read);
    assert_peak("groups", &repeated("From: ", ":", 1_000_000), 16, 1 << 20, read);
}

#[test]
fn a_million_parameters_take_memory_in_proportion() {
    let parameters = repeated("Content-Type: a/b", "; c=d", 1_000_000);
    assert_peak("parameters", &parameters, 20, 1 << 20, read);
    let continued = repeated("Content-Type: a/b", "; c*0=d", 1_000_000);
    assert_peak("continued parameters", &continued, 16, 1 << 20, read);
}

#[test]
fn megabytes_of_encoded_words_take_memory_in_proportion() {
    let words = repeated("Subject: ", "=?utf-8?B?w6k=?= ", 1_000_000);
    assert_peak("words", &words, 5, 1 << 20, read);
    let names = repeated("From: ", "=?utf-8?B?w6k=?= <a@b>, ", 500_000);
    assert_peak("names", &names, 15, 1 << 20, read);
}
