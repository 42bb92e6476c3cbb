//! Messages as clients write them, and as nobody should.

mod hostile;
mod rules;

use super::*;

/// Reads a message.
fn read(message: impl AsRef<[u8]>) -> Request {
    Request::read(&mut message.as_ref()).unwrap()
}

/// A message of Alice with these further fields and this text.
fn of_alice(fields: &str, text: &str) -> Request {
    read(format!("From: Alice Adams <alice@example.org>\n{fields}\n{text}"))
}

fn address(request: &Request) -> Option<&str> {
    request.sender.as_ref().map(|sender| sender.address.as_str())
}

#[test]
fn an_ordinary_mail_tells_its_sender_subject_and_text() {
    let lf = "Return-Path: <bounce@example.net>\nFrom: =?utf-8?Q?Andr=C3=A9?= <a.b@example.org>\n\
              To: rebuild@example.org\nSubject: Priority rebuild\nMIME-Version: 1.0\n\
              Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n\
              Bitte schnell, ich brauche die Post f\u{fc}r morgen.\n";
    for message in [lf.to_owned(), lf.replace('\n', "\r\n")] {
        let request = read(message);
        let sender = Sender { address: "a.b@example.org".into(), name: "Andr\u{e9}".into() };
        assert_eq!(request.sender, Some(sender));
        assert_eq!(request.envelope.as_deref(), Some("bounce@example.net"));
        assert_eq!(request.subject, "Priority rebuild");
        assert_eq!(request.text, "Bitte schnell, ich brauche die Post f\u{fc}r morgen.");
        assert!(!request.is_automatic);
    }
}

#[test]
fn a_subject_is_decoded_and_stands_in_one_line() {
    for (subject, decoded) in [
        ("=?UTF-8?Q?Priority_rebuild_f=C3=BCr_mich?=", "Priority rebuild f\u{fc}r mich"),
        ("=?utf-8?B?UHJpb3JpdHkgcmVidWlsZA==?=", "Priority rebuild"),
        ("=?utf-8?Q?Priority?=\n =?utf-8?Q?_rebuild?=", "Priority rebuild"),
        (
            "=?ISO-2022-JP?B?GyRCO2o1XhsoQg==?= Priority\n\trebuild",
            "\u{81f3}\u{6025} Priority rebuild",
        ),
        ("=?utf-8?Q?a=0Ab=00c=1B[31m=E2=80=AEd?=", "a bc[31md"),
        ("=?nonsense?X?abc?=", "=?nonsense?X?abc?="),
        ("", ""),
    ] {
        assert_eq!(of_alice(&format!("Subject: {subject}\n"), "").subject, decoded, "{subject}");
    }
}

#[test]
fn a_sender_is_exactly_one_plain_address() {
    for (from, expected) in [
        ("From: alice@example.org\n", Some("alice@example.org")),
        ("From: \"Adams, Alice\" <Alice@Example.org>\n", Some("Alice@Example.org")),
        ("From: alice@example.org (Alice)\n", Some("alice@example.org")),
        ("From: \"bob@example.org\" <alice@example.org>\n", Some("alice@example.org")),
        ("From: =?utf-8?Q?bob=40example.org?= <alice@example.org>\n", Some("alice@example.org")),
        ("From: Alice\n <alice@example.org>\n", Some("alice@example.org")),
        ("From:alice@example.org\n", Some("alice@example.org")),
        ("From: er(x)in@example.org\n", None),
        ("From: alice@example.org(x)ample\n", None),
        ("From: alice@example.org, bob@example.org\n", None),
        ("From: alice@example.org\nFrom: bob@example.org\n", None),
        ("From: Team: alice@example.org, bob@example.org;\n", None),
        ("From: Team: alice@example.org;\n", None),
        ("From: undisclosed-recipients:;\n", None),
        ("From: =?utf-8?Q?alice=40example.org?=\n", None),
        ("From: <alice@@example.org>\n", None),
        ("From: <-oalice@example.org>\n", None),
        ("From: <\"a b\"@example.org>\n", None),
        ("From: Alice\n", None),
        ("From:\n", None),
        ("", None),
    ] {
        assert_eq!(address(&read(format!("{from}Subject: x\n\n"))), expected, "{from}");
    }
    // So long that another address could have been cut off.
    let long = format!("From: alice@example.org ({}), bob@example.org\n\n", "x".repeat(5000));
    assert_eq!(address(&read(long)), None);
}

#[test]
fn the_line_that_begins_a_message_in_an_mbox_tells_where_it_came_from() {
    let mail = "From: alice@example.org\nSubject: Priority rebuild\n\nx\n";
    for (line, envelope) in [
        ("From carol@example.net Sat Nov 21 10:00:00 2026\n", Some("carol@example.net")),
        ("From MAILER-DAEMON Sat Nov 21 10:00:00 2026\r\n", Some("")),
        ("Return-Path: <>\n", Some("")),
        ("Return-Path: <carol@example.net>\n", Some("carol@example.net")),
        ("From x Sat\nReturn-Path: <carol@example.net>\n", Some("carol@example.net")),
        ("", None),
    ] {
        let request = read(format!("{line}{mail}"));
        assert_eq!(request.envelope.as_deref(), envelope, "{line}");
        assert_eq!(address(&request), Some("alice@example.org"), "{line}");
        assert_eq!(request.subject, "Priority rebuild", "{line}");
        assert_eq!(request.is_automatic, envelope == Some(""), "{line}");
    }
}

#[test]
fn what_programs_and_lists_send_is_automatic() {
    for fields in [
        "Auto-Submitted: auto-replied\n",
        "auto-submitted: auto-generated; x=y\n",
        "Auto-Submitted:\n",
        "Precedence: BULK\n",
        "Precedence: list\n",
        "Precedence: junk\n",
        "List-Id: <x.example.org>\n",
        "X-Auto-Response-Suppress: All\n",
        "Return-Path: <>\n",
        "Return-Path: <MAILER-DAEMON@example.org>\n",
        "Auto-Submitted: no\nAuto-Submitted: auto-replied\n",
    ] {
        assert!(of_alice(fields, "").is_automatic, "{fields}");
    }
    for local in ["MAILER-DAEMON", "postmaster", "no-reply", "noreply+1", "do_not_reply"] {
        assert!(read(format!("From: {local}@example.org\n\n")).is_automatic, "{local}");
    }
    for fields in [
        "",
        "Auto-Submitted: no\n",
        "Auto-Submitted: No (comment)\n",
        "Precedence: first-class\n",
        "X-Auto-Response-Suppress: None\n",
        "Return-Path: <alice@example.org>\n",
    ] {
        assert!(!of_alice(fields, "List-Id: x\nPrecedence: bulk\n").is_automatic, "{fields}");
    }
}

#[test]
fn plain_text_is_taken_before_html_wherever_it_is() {
    let mail = "Content-Type: multipart/mixed; boundary=\"out\"\n\n--out\n\
         Content-Type: multipart/alternative; boundary=in\n\n--in\n\
         Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n\
         My mailbox =\nis f=FCll\n--in\nContent-Type: text/html\n\n<p>bold</p>\n--in--\n\n--out\n\
         Content-Type: text/plain; name=notes.txt\nContent-Disposition: attachment\n\nnot this\n--out--\n";
    let (fields, text) = mail.split_once("\n\n").unwrap();
    assert_eq!(of_alice(&format!("{fields}\n"), text).text, "My mailbox is f\u{fc}ll");
}

#[test]
fn html_before_plain_text_is_not_taken() {
    let text = "--b\nContent-Type: text/html\n\n<p>one</p>\n--b\n\ntwo\n--b--\n";
    let request = of_alice("Content-Type: multipart/mixed; boundary=b\n", text);
    assert_eq!(request.text, "two");
}

#[test]
fn base64_and_asian_text_is_decoded() {
    let fields =
        "Content-Type: text/plain; charset=iso-2022-jp\nContent-Transfer-Encoding: base64\n";
    assert_eq!(of_alice(fields, "GyRCO2o1XhsoQg==\n").text, "\u{81f3}\u{6025}");
}

#[test]
fn of_html_alone_the_text_is_left() {
    let html = "<html><head><style>p { color: red }</style></head><body><p>account: bob</p>\
                <p>Please &amp; thanks</p><script>alert(1)</script></body></html>";
    let text = of_alice("Content-Type: text/html; charset=utf-8\n", html).text;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    assert_eq!(lines, ["account: bob", "Please & thanks"]);
}

#[test]
fn quotes_their_introduction_and_the_signature_are_left_out() {
    for (text, own) in [
        (
            "Mine please.\n\nOn Monday Bob <bob@example.org> wrote:\n> account: carol\n> x\n",
            "Mine please.",
        ),
        ("Mine.\n\nAm Montag um 10:00, Bob B.\n<bob@example.org> schrieb:\n\n> carol\n", "Mine."),
        ("> carol\n\nMine.\n", "Mine."),
        ("Bob wrote:\n> one\nfirst\n> two\nsecond\n", "first\nsecond"),
        ("Mine.\n-- \ncarol\n", "Mine."),
        ("Mine.\n--\ncarol\n", "Mine."),
        ("Mine.\n--- \ncarol\n", "Mine.\n--- \ncarol"),
        ("  >> carol\n", ""),
        ("Two things\nand more\n\n\n\n\n> carol\nlast\n", "Two things\nand more\n\n\n\n\nlast"),
    ] {
        assert_eq!(of_alice("", text).text, own, "{text}");
    }
}

#[test]
fn what_is_forwarded_counts() {
    let text =
        "Please do.\n\n-------- Forwarded Message --------\nFrom: Bob <bob@example.org>\n\nHelp!\n";
    let named = of_alice("", text).accounts_named(&|name| name == "bob@example.org");
    assert_eq!(named, ["bob@example.org"]);
}
