//! Messages of many shapes, the same ones for the same seed.

use std::fmt::Write as _;

/// A small generator of pseudo-random numbers (`SplitMix64`), whose sequence will not change with a
/// dependency's version.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence that `seed` stands for.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 where that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let number = usize::try_from(self.bits() >> 32).unwrap_or_default();
        number.checked_rem(bound).unwrap_or_default()
    }

    /// True once in `n` times on average.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of `choices`, of which there is at least one.
    pub fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    /// Some of `choices` (each with the chance of 1 in `n`), in their order.
    pub fn some_of(&mut self, choices: &[&str], n: usize) -> Vec<String> {
        let mut chosen: Vec<String> = choices.iter().map(ToString::to_string).collect();
        chosen.retain(|_| self.one_in(n));
        chosen
    }
}

/// How many shapes of messages there are; [`Messages::message`] goes round them.
pub const SHAPES: usize = 16;

/// What texts are made of.
pub const WORDS: [&str; 16] = [
    "invoice",
    "meeting",
    "harbour",
    "notes",
    "about",
    "the",
    "winter",
    "schedule",
    "please",
    "find",
    "attached",
    "lighthouse",
    "budget",
    "reply",
    "tomorrow",
    "draft",
];

/// The generator of messages.
#[derive(Debug)]
pub struct Messages {
    random: Random,
    made: usize,
}

impl Messages {
    /// The messages that `seed` stands for.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed ^ 0x006d_6573_7361_6765), made: 0 }
    }

    /// The next message, with CRLF line ends. The shapes take turns.
    pub fn message(&mut self) -> Vec<u8> {
        let shape = self.made % SHAPES;
        self.message_of_shape(shape)
    }

    /// The next message, of one of the [`SHAPES`].
    pub fn message_of_shape(&mut self, shape: usize) -> Vec<u8> {
        self.made += 1;
        let lf = match shape % SHAPES {
            0 => self.plain(),
            1 => self.alternative(),
            2 => self.with_attachment(),
            3 => self.forward(),
            4 => self.eight_bit(),
            5 => self.encoded_words(),
            6 => self.groups(),
            7 => self.without_date(),
            8 => self.list_mail(),
            9 => self.nested(),
            10 => self.old_date(),
            11 => self.described_parts(),
            12 => self.strange_addresses(),
            13 => self.header_only(),
            14 => self.digest(),
            _ => self.eight_bit_header(),
        };
        with_crlf(&lf)
    }

    /// An INTERNALDATE for APPEND, in the three years before November 2026.
    pub fn internaldate(&mut self) -> String {
        let (day, month, year, time, zone) = self.date();
        format!("{day:2}-{month}-{year} {time} {zone}")
    }

    fn date(&mut self) -> (usize, &'static str, usize, String, &'static str) {
        let months =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let r = &mut self.random;
        let time = format!("{:02}:{:02}:{:02}", r.below(24), r.below(60), r.below(60));
        let zone = r.pick(&["+0000", "+0100", "-0500", "+0530", "-0930"]);
        (1 + r.below(28), r.pick(&months), 2023 + r.below(3), time, zone)
    }

    fn words(&mut self, count: usize) -> String {
        let words: Vec<&str> = (0..count).map(|_| self.random.pick(&WORDS)).collect();
        words.join(" ")
    }

    fn text(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..=self.random.below(12) {
            let words = 1 + self.random.below(11);
            text.push_str(&self.words(words));
            text.push('\n');
        }
        text
    }

    fn message_id(&mut self) -> String {
        format!("<{:016x}.{}@generated.example.com>", self.random.bits(), self.made)
    }

    /// From, To, Subject, Message-ID.
    fn addressed(&mut self) -> String {
        let from = self.random.pick(&["erin", "frank", "gina.dot", "no-reply"]);
        let subject = self.words(4);
        let id = self.message_id();
        format!(
            "From: {from} <{from}@example.com>\nTo: Alice <alice@example.org>\n\
             Subject: {subject}\nMessage-ID: {id}\n"
        )
    }

    /// Date, From, To, Subject, Message-ID.
    fn head(&mut self) -> String {
        let (day, month, year, time, zone) = self.date();
        format!("Date: {day} {month} {year} {time} {zone}\n{}", self.addressed())
    }

    fn base64(&mut self, bytes: usize) -> String {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for group in 0..bytes.div_ceil(3) {
            if group > 0 && group % 19 == 0 {
                text.push('\n');
            }
            for _ in 0..4 {
                text.push(char::from(alphabet[self.random.below(64)]));
            }
        }
        text.push('\n');
        text
    }

    fn plain(&mut self) -> Vec<u8> {
        format!("{}\n{}", self.head(), self.text()).into()
    }

    fn alternative(&mut self) -> Vec<u8> {
        let (head, text) = (self.head(), self.text());
        format!(
            "{head}MIME-Version: 1.0\nContent-Type: multipart/alternative;\n boundary=\"=_alt\"\n\n\
             This is a preamble.\n--=_alt\nContent-Type: text/plain; charset=utf-8\n\
             Content-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=C3=9Fe, {text}a soft =\n\
             line break\n--=_alt\nContent-Type: text/html; charset=\"utf-8\"\n\
             Content-Transfer-Encoding: 8bit\n\n<p>Grüße, {text}</p>\n--=_alt--\nAn epilogue.\n"
        )
        .into()
    }

    fn with_attachment(&mut self) -> Vec<u8> {
        let (head, text) = (self.head(), self.text());
        let bytes = 200 + self.random.below(6000);
        let attachment = self.base64(bytes);
        format!(
            "{head}Mime-Version: 1.0\nContent-Type: multipart/mixed; boundary=mixed-{}\n\n\
             --mixed-{0}\n\n{text}\n--mixed-{0}\nContent-Type: application/pdf; name=\"bill.pdf\"\n\
             Content-Disposition: attachment; filename*=utf-8''Rechnung%20%C3%BC.pdf;\n\
             \tsize={bytes}\nContent-Transfer-Encoding: base64\n\n{attachment}--mixed-{0}--\n",
            self.made
        )
        .into()
    }

    fn forward(&mut self) -> Vec<u8> {
        let (head, text, made) = (self.head(), self.text(), self.made);
        let inner = if self.random.one_in(2) { self.plain() } else { self.with_attachment() };
        let inner = String::from_utf8_lossy(&inner).into_owned();
        format!(
            "{head}MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"fwd {made}\"\n\n\
             --fwd {made}\nContent-Type: text/plain\n\n{text}\n--fwd {made}\n\
             Content-Type: message/rfc822\nContent-Description: the message\n\n{inner}\n\
             --fwd {made}--\n"
        )
        .into()
    }

    fn eight_bit(&mut self) -> Vec<u8> {
        let head = self.head();
        let (charset, body): (_, &[u8]) = if self.random.one_in(2) {
            ("iso-8859-1", b"caf\xe9 cr\xe8me\n")
        } else {
            ("utf-8", "smørrebrød, żółć, 漢字\n".as_bytes())
        };
        let mut message = format!(
            "{head}MIME-Version: 1.0\nContent-Type: text/plain; charset={charset}\n\
             Content-Transfer-Encoding: 8bit\n\n"
        )
        .into_bytes();
        message.extend(body);
        message.extend(self.text().bytes());
        message
    }

    fn encoded_words(&mut self) -> Vec<u8> {
        let (day, month, year, time, zone) = self.date();
        let (id, text, word) = (self.message_id(), self.text(), self.words(2));
        format!(
            "Date: Mon, {day:02} {month} {year} {time} {zone} (a comment)\n\
             From: =?utf-8?B?SsO8cmdlbg==?= <juergen@example.com>\n\
             To: \"=?not decoded?=\" <a@example.com>,\n =?iso-8859-1?q?Andr=E9?= Gide <g@example.fr>\n\
             Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= =?utf-8?q?_aus_K=C3=B6ln?=\n  {word}\n\
             Message-Id: {id}\n\n{text}"
        )
        .into()
    }

    fn groups(&mut self) -> Vec<u8> {
        let (head, text) = (self.head(), self.text());
        let head = head.replace("To: Alice <alice@example.org>\n", "");
        format!(
            "{head}To: Friends: erin@example.com, Frank F <frank@example.com>;\n\
             Cc: undisclosed-recipients:;\nBcc: hidden@example.net\n\
             Reply-To: \"Last, First\" <last@example.com>\nSender: desk@example.com\n\n{text}"
        )
        .into()
    }

    fn without_date(&mut self) -> Vec<u8> {
        format!("{}\n{}", self.addressed(), self.text()).into()
    }

    fn list_mail(&mut self) -> Vec<u8> {
        let (head, text) = (self.head(), self.text());
        let mut traces = String::new();
        for hop in 0..=self.random.below(4) {
            let (day, month, year, time, zone) = self.date();
            let _ = write!(
                traces,
                "Received: from relay{hop}.example.com ([192.0.2.{hop}])\n\tby mx.example.org \
                 with ESMTP id {hop}ABC\n\tfor <alice@example.org>;\n\t{day} {month} {year} {time} \
                 {zone}\n"
            );
        }
        let mut references = String::from("References:");
        for _ in 0..=self.random.below(12) {
            let id = self.message_id();
            let _ = write!(references, "\n {id}");
        }
        let parent = self.message_id();
        format!(
            "Return-Path: <list-bounces@example.net>\n{traces}{head}In-Reply-To: {parent}\n\
             {references}\nList-Id: A list <list.example.net>\n\
             List-Unsubscribe: <mailto:leave@example.net>\nPrecedence: list\nX-Priority: 3\n\
             X-Spam-Score: 0.{}\nOrganization: Example\nUser-Agent: generator/1\n\n{text}",
            self.made
        )
        .into()
    }

    fn nested(&mut self) -> Vec<u8> {
        let (head, text) = (self.head(), self.text());
        let image = self.base64(700);
        format!(
            "{head}MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=outer\n\n--outer\n\
             Content-Type: multipart/related; boundary=\"inner\"; type=\"multipart/alternative\"\n\n\
             --inner\nContent-Type: multipart/alternative; boundary=innermost\n\n--innermost\n\n\
             {text}\n--innermost\nContent-Type: text/html; charset=us-ascii\n\n\
             <img src=\"cid:i@example\">\n--innermost--\n\n--inner\nContent-Type: image/png\n\
             Content-ID: <i@example>\nContent-Transfer-Encoding: BASE64\n\
             Content-Disposition: inline; filename=\"i.png\"\n\n{image}\n--inner--\n\n--outer\n\
             Content-Type: text/x-log; charset=utf-8\n\n{text}\n--outer--\n"
        )
        .into()
    }

    fn old_date(&mut self) -> Vec<u8> {
        let (addressed, text) = (self.addressed(), self.text());
        let date = self.random.pick(&[
            "Fri, 21 Nov 97 09:55:06 EST",
            "1 Jan 2001 00:00 GMT",
            "Tuesday, 3 Mar 2015 04:05:06 -0800 (PST)",
            "not a date at all",
        ]);
        format!("Date: {date}\n{addressed}\n{text}").into()
    }

    fn described_parts(&mut self) -> Vec<u8> {
        let (head, text) = (self.head(), self.text());
        format!(
            "{head}MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=p\n\n--p\n\
             Content-Type: text/plain; charset=us-ascii; format=flowed; delsp=yes\n\
             Content-Language: en, de-CH\nContent-Location: http://example.com/a\n\
             Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\nContent-Description: =?utf-8?q?=C3=BCber?=\n\
             \n{text}\n--p\nContent-Type: text/calendar; method=REQUEST; charset=utf-8\n\n\
             BEGIN:VCALENDAR\nEND:VCALENDAR\n--p\nContent-Type: application/octet-stream\n\
             Content-Transfer-Encoding: x-unknown\n\nopaque\n--p--\n"
        )
        .into()
    }

    fn strange_addresses(&mut self) -> Vec<u8> {
        let (head, text) = (self.head(), self.text());
        let head = head.replace("To: Alice <alice@example.org>\n", "");
        format!(
            "{head}To: <@relay.example,@other.example:routed@example.com>, \"q\\\"uoted\"@example.com\n\
             Cc: plain@example.com (The Comment), local-only, <>,\n\
             \tDot.In.Name <dot@example.com>, literal@[192.0.2.1]\nCc: twice@example.com\n\n{text}"
        )
        .into()
    }

    fn header_only(&mut self) -> Vec<u8> {
        let head = self.head().replace("Subject: ", "X-Not-Subject: ");
        // With the empty line that ends a header, and without it.
        if self.random.one_in(2) { head } else { head + "\n" }.into()
    }

    fn digest(&mut self) -> Vec<u8> {
        let (head, first, second) = (self.head(), self.plain(), self.without_date());
        let (first, second) = (String::from_utf8_lossy(&first), String::from_utf8_lossy(&second));
        format!(
            "{head}MIME-Version: 1.0\nContent-Type: multipart/digest; boundary=d\n\n\
             --d\n\n{first}\n--d\nContent-Type: message/rfc822\n\n{second}\n--d--\n"
        )
        .into()
    }

    fn eight_bit_header(&mut self) -> Vec<u8> {
        let (head, text) = (self.head(), self.text());
        let mut message = head.replace("Subject: ", "Subject: na\u{ef}ve ").into_bytes();
        message.extend(b"Comments: caf\xe9\n\n");
        message.extend(text.bytes());
        message
    }
}

fn with_crlf(lf: &[u8]) -> Vec<u8> {
    let mut crlf = Vec::with_capacity(lf.len() + lf.len() / 16);
    for &byte in lf {
        if byte == b'\n' {
            crlf.push(b'\r');
        }
        crlf.push(byte);
    }
    crlf
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_stands_for_its_messages_and_no_two_are_alike() {
        let made = |seed| {
            let mut messages = Messages::new(seed);
            (0..3 * SHAPES).map(|_| messages.message()).collect::<Vec<_>>()
        };
        let mut first = made(1);
        assert_eq!(first, made(1));
        assert_ne!(first, made(2));
        first.sort();
        first.dedup();
        assert_eq!(first.len(), 3 * SHAPES);
    }

    #[test]
    fn every_line_ends_with_crlf() {
        let mut messages = Messages::new(7);
        for _ in 0..SHAPES {
            let message = messages.message();
            let bare = message.split(|&b| b == b'\n').rev().skip(1).any(|l| !l.ends_with(b"\r"));
            assert!(!bare && message.ends_with(b"\n"), "{}", message.escape_ascii());
        }
    }
}
