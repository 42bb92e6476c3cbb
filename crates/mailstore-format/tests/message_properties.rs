//! Any bytes are a message, and on simple ones another parser agrees.

use std::fmt::Write;

use mailstore_format::message::{CacheDialect, MessageReader};
use proptest::prelude::*;

/// The items of a cache record.
fn items(record: &[u8]) -> Vec<Vec<u8>> {
    let mut items = Vec::new();
    let mut rest = record;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).expect("it fits");
        let (item, _) = after.split_at_checked(length).expect("an item lies in its record");
        let (padded, after) =
            after.split_at_checked(length.next_multiple_of(4)).expect("an item is padded");
        assert!(padded[length..].iter().all(|&byte| byte == 0), "padding is NULs");
        items.push(item.to_vec());
        rest = after;
    }
    assert!(rest.is_empty(), "nothing follows the last item");
    items
}

fn check_any(message: &[u8]) {
    for dialect in CacheDialect::ALL {
        let mut cache = Vec::new();
        let fields = MessageReader::default().with_dialect(dialect).read(message, &mut cache);
        assert_eq!(fields.size, message.len() as u64);
        assert_eq!(fields.cache_len, cache.len());
        assert_eq!(items(&cache).len(), 10);
    }
}

/// Pieces that matter to the parser, so that random messages reach its corners.
const PIECES: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    "\"",
    "\\",
    "(",
    ")",
    ";",
    ",",
    ":",
    "<",
    ">",
    "@",
    "=",
    "?",
    "*",
    "--B",
    "--B--",
    "--",
    "=?utf-8?Q?=C3=A9?=",
    "=?gb2312?B?xOM=?=",
    "=?iso-2022-jp?B?GyRC?=",
    "Content-Type: multipart/mixed; boundary=B\r\n",
    "Content-Type: message/rfc822\r\n",
    "Content-Type: message/global\r\n",
    "Content-Type: multipart/digest; boundary*0=B; boundary*1*=\r\n",
    "Subject: ",
    "From: ",
    "Date: ",
    "Content-Transfer-Encoding: base64\r\n",
    "Content-Transfer-Encoding: quoted-printable\r\n",
    "Content-Language: en,",
    "Content-Disposition: attachment; filename*0=a; filename*1*=b\r\n",
    "1 Jan 2020 10:00 +0100",
    "YWJj",
    "=41",
    "x",
    "\u{e9}",
];

proptest! {
    #[test]
    fn any_bytes_are_read(message in proptest::collection::vec(any::<u8>(), 0..600)) {
        check_any(&message);
    }

    #[test]
    fn any_sequence_of_meaningful_pieces_is_read(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..60),
    ) {
        check_any(pieces.concat().as_bytes());
    }

    #[test]
    fn any_cut_of_a_message_is_read(cut in 0_usize..1200) {
        let message = include_bytes!("../testdata/messages/message_in_multipart.eml");
        check_any(&message[..cut.min(message.len())]);
        check_any(&message[cut.min(message.len())..]);
    }

    #[test]
    fn another_parser_reads_the_same_subject_and_senders(
        subject in "[A-Za-z0-9][A-Za-z0-9 .,!-]{0,30}[A-Za-z0-9]",
        senders in proptest::collection::vec(("[A-Z][a-z]{1,8}", "[a-z]{1,8}", "[a-z]{1,8}\\.org"), 1..4),
        body in "[a-z\r\n]{0,40}",
    ) {
        let list: Vec<_> =
            senders.iter().map(|(name, user, host)| format!("{name} <{user}@{host}>")).collect();
        let message = format!("From: {}\r\nSubject: {subject}\r\n\r\n{body}", list.join(", "));
        let mut cache = Vec::new();
        MessageReader::default().read(message.as_bytes(), &mut cache);
        let items = items(&cache);

        let parsed = mail_parser::MessageParser::default().parse(message.as_bytes()).unwrap();
        let theirs: Vec<_> = parsed
            .from()
            .unwrap()
            .iter()
            .map(|one| format!("{} <{}>", one.name().unwrap_or_default(), one.address().unwrap_or_default()))
            .collect();
        prop_assert_eq!(String::from_utf8_lossy(&items[5]), theirs.join(","));
        let subject = format!("\"{}\"", parsed.subject().unwrap_or_default());
        prop_assert_eq!(String::from_utf8_lossy(&items[9]), subject);
    }
}

/// Deep nesting costs no stack, and time in proportion.
#[test]
fn very_deep_nesting_is_read() {
    let mut message = String::new();
    for depth in 0..20_000 {
        write!(message, "Content-Type: multipart/mixed; boundary=B{depth}\r\n\r\n--B{depth}\r\n")
            .expect("a String takes all");
    }
    check_any(message.as_bytes());
    check_any("Content-Type: message/rfc822\r\n\r\n".repeat(20_000).as_bytes());
}

/// Each of these makes a naive reader take time with the square of their length.
#[test]
fn repetition_costs_no_more_than_its_length() {
    let repeated = |piece: &str, times| piece.repeat(times);
    check_any(format!("Content-Type: a/b{}\r\n\r\n", repeated("; a*0=x", 50_000)).as_bytes());
    check_any(
        format!("Content-Type: a/b; x*0=y{}\r\n\r\n", repeated("; x*1=z", 50_000)).as_bytes(),
    );
    check_any(format!("Subject: {}\r\n\r\n", repeated("=?utf-8?Q?", 50_000)).as_bytes());
    check_any(format!("From: {}\r\n\r\n", repeated("((", 50_000)).as_bytes());
    check_any(repeated("To:\n", 50_000).as_bytes());
}
