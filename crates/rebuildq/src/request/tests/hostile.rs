//! Messages that are made to do harm, and any bytes at all.

use std::io::{self, Cursor};

use proptest::prelude::*;

use super::*;

const HEADER: &str = "From: alice@example.org\nSubject: Priority rebuild\n";

/// Reads any bytes, decides, and checks the bounds of all that is kept.
fn check(message: &[u8]) -> Decision {
    let request = read(message);
    assert!(request.subject.len() <= MAX_SUBJECT && request.text.len() <= MAX_TEXT);
    assert!(!request.subject.contains(char::is_control));
    assert!(!request.text.contains(|each: char| each.is_control() && !"\n\t".contains(each)));
    assert!(request.envelope.as_ref().is_none_or(|path| path.len() <= 254));
    if let Some(Sender { address, name }) = &request.sender {
        assert!(address.len() <= 254 && name.len() <= 254);
        assert_eq!(address.matches('@').count(), 1);
        assert!(!format!("{address}{name}").contains(char::is_control));
        assert!(!address.contains(char::is_whitespace));
    }
    let asked = std::cell::Cell::new(0);
    let is_account = |_: &str| {
        asked.set(asked.get() + 1);
        asked.get() % 7 == 0
    };
    assert!(request.accounts_named(&is_account).len() <= 257);
    assert!(asked.get() <= 2 * 257);
    let operators = request.sender.iter().map(|sender| sender.address.clone()).collect();
    let decision = decide(&request, &is_account, &Policy { operators, domains: Vec::new() });
    match &decision {
        Decision::Ignored => assert!(request.is_automatic),
        Decision::Raise(raise) => assert!((1..=10).contains(&raise.accounts.len())),
        Decision::Unclear(unclear) => assert!(unclear.text.len() <= 2048),
    }
    decision
}

/// Counts what is read of an endless message.
struct Counted<R>(R, u64);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.0.read(buffer)?;
        self.1 += len as u64;
        Ok(len)
    }
}

#[test]
fn a_message_of_100_mb_is_read_to_its_end_and_its_beginning_counts() {
    const SIZE: u64 = 100_000_000;
    for (beginning, filling) in
        [(format!("{HEADER}\naccount: bob\n"), b'x'), (format!("{HEADER}X: "), b'y')]
    {
        let mut reader = Counted(Cursor::new(beginning).chain(io::repeat(filling).take(SIZE)), 0);
        let request = Request::read(&mut reader).unwrap();
        assert!(reader.1 > SIZE);
        assert_eq!(
            (address(&request), request.subject.as_str()),
            (Some("alice@example.org"), "Priority rebuild")
        );
    }
}

#[test]
fn of_a_header_without_end_no_sender_is_believed() {
    let fields = "X: y\n".repeat(20_000);
    let request = read(format!("{HEADER}{fields}From: bob@example.org\n\ntext"));
    assert_eq!((request.sender, request.text.as_str()), (None, "text"));
    let long_field = format!("{HEADER}X: {}\nList-Id: x\n\n", "y".repeat(100_000));
    assert!(read(long_field).is_automatic);
}

#[test]
fn a_reader_that_fails_is_an_error_and_one_that_is_interrupted_is_not() {
    struct Failing(Vec<io::Result<&'static [u8]>>);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.pop().unwrap_or(Ok(b"")).map(|mut bytes| bytes.read(buffer).unwrap())
        }
    }
    let interrupted = || Err(io::ErrorKind::Interrupted.into());
    let mut reader = Failing(vec![Ok(b"a@b\n\nx"), interrupted(), Ok(b"From: ")]);
    assert_eq!(address(&Request::read(&mut reader).unwrap()), Some("a@b"));
    let mut reader = Failing(vec![Err(io::ErrorKind::BrokenPipe.into()), Ok(b"From: ")]);
    assert!(Request::read(&mut reader).is_err());
}

#[test]
fn made_up_structures_of_any_depth_are_read() {
    let numbered = |form: &str| {
        (0..1500).map(|each| form.replace('#', &each.to_string())).collect::<Vec<_>>().concat()
    };
    for body in [
        numbered("Content-Type:multipart/mixed;boundary=b#\n\n--b#\n"),
        "Content-Type:message/rfc822\n\n".repeat(2500),
        format!("Content-Type:multipart/digest;boundary=b\n\n{}", "--b\n\n\n".repeat(10_000)),
        format!("Content-Type:text/plain;{}\n\nx", numbered("a*#*=utf-8''%41;")),
        format!("Content-Type:text/html\n\n{}", "<!--".repeat(15_000)),
        format!("Subject: {}\n\n", "=?aaaa?Q?a\n ".repeat(6000)),
        format!("From: {}\n\n", "(".repeat(60_000)),
        format!("\n{}", "\0\u{85}".repeat(20_000)),
        format!("\n{}", "a@b\n".repeat(16_000)),
        "\n\r\n\r".repeat(16_000),
        ":".repeat(64_000),
        String::new(),
    ] {
        check(format!("{HEADER}{body}").as_bytes());
        check(body.as_bytes());
    }
}

#[test]
fn a_quoted_printable_part_that_ends_in_an_equals_sign_is_read() {
    // mail-parser subtracts too much there: a panic where overflow is checked.
    let body = "Content-Type: multipart/mixed; boundary=b\n\n--b\n\
                Content-Transfer-Encoding: quoted-printable\n\n=\n--b--\n";
    check(format!("{HEADER}{body}").as_bytes());
}

#[rustfmt::skip]
const PIECES: &[&str] = &[
    "\n", "\r\n", "\r", "\0", " ", "\t", "\"", "\\", "(", ")", ";", ",", ":", "<", ">", "@", "=", "?",
    "--b", "--b--", "--", "\n\n--b\n", "-- \n", "> x\n", "x wrote:\n", "bob\n", "account: bob\n",
    "=?utf-8?Q?=C3=A9?=", "=?iso-2022-jp?b?GyRCJCIbKEI=?=", "=?utf-8?b?", "From: ", "From x\n",
    "Subject: Priority rebuild bob\n", "Return-Path: <>\n", "Auto-Submitted: ", "List-Id: x\n",
    "Content-Type: multipart/alternative; boundary=b\n\n--b\n", "Content-Type: message/rfc822\n\n",
    "Content-Type: text/html\n\n<b>", "Content-Type: text/plain; charset=", "utf-16", "iso-2022-jp",
    "Content-Transfer-Encoding: base64\n\n", "Content-Transfer-Encoding: quoted-printable\n\n",
    "boundary*0=", "name*=utf-8''%41", "Content-Disposition: attachment\n", "&amp;", "<br>", "\u{202e}",
];

/// Messages as they come.
const MESSAGES: &[&str] = &[
    "From: Alice <alice@example.org>\r\nSubject: Priority rebuild\r\n\r\nPlease.\r\n",
    "Return-Path: <a@b>\nFrom: \"Bob, B.\" <bob@example.org>\nSubject: =?utf-8?B?UHJpb3JpdHk=?=\n =?utf-8?Q?_rebuild_bob?=\n\
     Content-Type: multipart/alternative; boundary=\"b\"\n\n--b\nContent-Type: text/plain; charset=utf-8\n\
     Content-Transfer-Encoding: quoted-printable\n\nMine =\nplease\n\nOn Monday x wrote:\n> y\n--b\n\
     Content-Type: text/html\n\n<p>Mine</p>\n--b--\n",
    "From mailer Sat Nov 21\nFrom: g: a@b, c@d;\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\
     Content-Type: message/rfc822\n\nFrom: c@d\nSubject: x\n\naccount: bob, carol\n\n--b\n\
     Content-Transfer-Encoding: base64\n\nR0Vy\n--b--\n",
];

/// Where in a message how many bytes are replaced, and by what.
fn changes() -> impl Strategy<Value = Vec<(usize, usize, Vec<u8>)>> {
    let piece = prop_oneof![
        4 => prop::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec((0..1000_usize, 0..20_usize, piece), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn a_message_that_was_tampered_with_is_read(
        message in prop::sample::select(MESSAGES),
        changes in changes(),
    ) {
        let mut message = message.as_bytes().to_vec();
        for (at, len, piece) in changes {
            let at = at % (message.len() + 1);
            let end = message.len().min(at + len);
            message.splice(at..end, piece);
        }
        check(&message);
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check(&bytes);
    }

    #[test]
    fn any_pieces_are_read(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        check(pieces.concat().as_bytes());
    }
}
