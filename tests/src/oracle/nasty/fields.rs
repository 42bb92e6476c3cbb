//! Header fields.

use super::{charsets, dates, soup};
use crate::generate::Random;

const ADDRESS_TOKENS: [&[u8]; 46] = [
    b"a",
    b"bob",
    b"Bob Smith",
    b"\"Q, \\\"x\\\" y\"",
    b"\"",
    b"\\",
    b"<",
    b">",
    b"@",
    b",",
    b";",
    b":",
    b"(",
    b")",
    b"(comment)",
    b"(a (b) \\) c)",
    b".",
    b"..",
    b"-",
    b"_",
    b"[1.2.3.4]",
    b"x.org",
    b"EXAMPLE.Org",
    b"<a@b.c>",
    b"a@b.c",
    b"<@r,@s:a@b>",
    b"g:",
    b"undisclosed-recipients:;",
    b"!",
    b"%",
    b"=?utf-8?q?=C3=A9?=",
    b"\x01",
    b"\x7f",
    b" ",
    b" ",
    b" ",
    b", ",
    b", ",
    b"\"\"",
    b"<>",
    b"@b",
    b"a@",
    b"\\\r\n ",
    b"\"x\r\n y\"",
    b"\xe9",
    b"'",
];
const TYPES: [&[u8]; 22] = [
    b"text/plain",
    b"text/html",
    b"Text/Plain",
    b"application/octet-stream",
    b"image/gif",
    b"message/partial",
    b"message/external-body",
    b"message/delivery-status",
    b"application",
    b"text/",
    b"/plain",
    b"text/plain/x",
    b"text / plain",
    b"(c)text(c)/(c)plain(c)",
    b"text",
    b"multipart",
    b"\"text/plain\"",
    b"text/pl\xe9in",
    b"message/RFC822-x",
    b"text plain",
    b"x=y/z",
    b"=?utf-8?Q?text/plain=3B_name=3D=22=C3=A9.txt=22?=",
];
const VALUE_TOKENS: [&[u8]; 30] = [
    b"x",
    b"a.txt",
    b"\"a b.txt\"",
    b"\"\"",
    b"\"",
    b"\\",
    b";",
    b"=",
    b"; ",
    b" ",
    b"(c)",
    b"(",
    b"utf-8",
    b"utf-8''%C3%A9",
    b"''x",
    b"'",
    b"%41",
    b"%4",
    b"%",
    b"iso-8859-1'en'%E9",
    b"=?utf-8?Q?=C3=A9?=",
    b"\xc3\xa9",
    b"\xe9",
    b"*",
    b"<",
    b"@",
    b"\"a\\\"b\"",
    b"\"a\r\n b\"",
    b"?",
    b"\x01",
];
const NAMES: [&[u8]; 14] = [
    b"name",
    b"charset",
    b"filename",
    b"boundary",
    b"x",
    b"NAME",
    b"charset*",
    b"format",
    b"delsp",
    b"size",
    b"type",
    b"",
    b"na me",
    b"n\xe9",
];
const ENCODINGS: [&[u8]; 17] = [
    b"7bit",
    b"8bit",
    b"BINARY",
    b"base64",
    b"Base64",
    b"quoted-printable",
    b"Quoted-Printable",
    b"x-uuencode",
    b"",
    b"base64 (c)",
    b"(c) base64",
    b"base64;",
    b"\"base64\"",
    b"base64 x",
    b"7-bit",
    b"qp",
    b"q=?",
];
const UNSTRUCTURED: [&[u8]; 14] = [
    b"hello",
    b"hello world",
    b"<a.b@c>",
    b"\"",
    b"\\",
    b"x",
    b"",
    b"  ",
    b"\r\n ",
    b"\xc3\xa9",
    b"\x80",
    b"(c)",
    b"%s{5}",
    b"\x7f",
];
const FIELD_NAMES: [&[u8]; 30] = [
    b"From",
    b"To",
    b"Cc",
    b"Bcc",
    b"Sender",
    b"Reply-To",
    b"Subject",
    b"Date",
    b"Message-ID",
    b"In-Reply-To",
    b"References",
    b"Received",
    b"X-Mailer",
    b"X-Other",
    b"List-Id",
    b"MIME-Version",
    b"DKIM-Signature",
    b"X-Universally-Unique-Identifier",
    b"A-Name-Of-Exactly-Thirty-Two-Byt",
    b"A-Name-Of-Exactly-Thirty-One-By",
    b"Content-Type",
    b"Content-Disposition",
    b"Content-Transfer-Encoding",
    b"Content-ID",
    b"Content-MD5",
    b"Content-Language",
    b"Content-Location",
    b"Content-Description",
    b"X-Delivered-To",
    b"Return-Path",
];

/// Appends some fields of a message's or part's header.
pub(super) fn some(random: &mut Random, most: usize, out: &mut Vec<u8>) {
    for _ in 0..random.below(most + 1) {
        let name = random.pick(&FIELD_NAMES);
        one(random, name, out);
    }
}

/// Appends the field `name`.
pub(super) fn one(random: &mut Random, name: &[u8], out: &mut Vec<u8>) {
    match random.below(30) {
        0 => out.extend(name.iter().map(u8::to_ascii_uppercase)),
        1 => out.extend_from_slice(&[name, b" "].concat()),
        2 => out.extend_from_slice(&[b" ", name].concat()),
        3 => out.extend_from_slice(&[name, b"\xe9"].concat()),
        _ => out.extend_from_slice(name),
    }
    soup::add(random, &[": ", ": ", ": ", ": ", ":", ":\t", ":\r\n ", " : ", ":  "], out);
    value(random, name, out);
    end_line(random, out);
}

/// Appends a line end, nearly always a good one.
pub(super) fn end_line(random: &mut Random, out: &mut Vec<u8>) {
    match random.below(60) {
        0 => out.push(b'\n'),
        1 => out.push(b'\r'),
        2 => out.extend_from_slice(b"\r\r\n"),
        3 => out.extend_from_slice(b"\r\n \r\n"),
        _ => out.extend_from_slice(b"\r\n"),
    }
}

fn value(random: &mut Random, name: &[u8], out: &mut Vec<u8>) {
    match name {
        b"From" | b"To" | b"Cc" | b"Bcc" | b"Sender" | b"Reply-To" => addresses(random, out),
        b"Date" => dates::date(random, out),
        b"Subject" | b"Content-Description" => {
            charsets::words(random, out);
            soup::cook(random, &UNSTRUCTURED, 3, out);
        }
        b"Content-Type" => content_type(random, out),
        b"Content-Disposition" => {
            soup::add(random, &["attachment", "inline", "a ", "\"x\"", "", "x/y", "Att(c)"], out);
            parameters(random, out);
        }
        b"Content-Transfer-Encoding" => out.extend_from_slice(random.pick(&ENCODINGS)),
        b"Content-Language" => {
            let tokens: [&[u8]; 12] = [
                b"en", b"de", b",", b", ", b"-", b"x1", b"(c)", b"en-GB", b" ", b"\"en\"", b"*",
                b"e_n",
            ];
            soup::cook(random, &tokens, 6, out);
        }
        _ => soup::cook(random, &UNSTRUCTURED, 6, out),
    }
}

fn content_type(random: &mut Random, out: &mut Vec<u8>) {
    soup::blank(random, out);
    out.extend_from_slice(random.pick(&TYPES));
    if random.one_in(5) {
        out.extend_from_slice(b"; charset=");
        out.extend_from_slice(charsets::name(random).as_bytes());
    }
    parameters(random, out);
}

/// Appends parameters, with their semicolons.
pub(super) fn parameters(random: &mut Random, out: &mut Vec<u8>) {
    for _ in 0..random.below(5) {
        soup::blank(random, out);
        soup::add(random, &[";", ";", "; ", ";\r\n ", ";;", "", " ; (c)"], out);
        let base = random.pick(&NAMES);
        let suffix = match random.below(5) {
            0 => format!("*{}", random.below(4)),
            1 => format!("*{}*", random.below(4)),
            2 => random
                .pick(&["*", "*00", "*01", "*-1", "*a", "**", "*0**", "*10", "*4294967296"])
                .to_string(),
            _ => String::new(),
        };
        out.extend_from_slice(base);
        out.extend_from_slice(suffix.as_bytes());
        soup::add(random, &["=", "=", "=", " = ", "= ", "", "(c)=(c)", "=="], out);
        soup::cook(random, &VALUE_TOKENS, 2, out);
    }
}

fn addresses(random: &mut Random, out: &mut Vec<u8>) {
    if random.one_in(2) {
        soup::cook(random, &ADDRESS_TOKENS, 14, out);
        return;
    }
    for number in 0..=random.below(3) {
        if number > 0 {
            soup::add(random, &[", ", ",", ",\r\n ", " , ", ",,", "; ", " "], out);
        }
        match random.below(5) {
            0 => charsets::words(random, out),
            1 => soup::cook(random, &ADDRESS_TOKENS, 3, out),
            2 => out.extend_from_slice(b"\"Doe, John\" "),
            3 => out.extend_from_slice(b"Group: "),
            _ => {}
        }
        soup::add(
            random,
            &["<a.b@c.org>", "a@", "<a@[1.2.3.4]>", "a@b (Real Name)", "x", "<A@B.>"],
            out,
        );
        if random.one_in(6) {
            soup::cook(random, &ADDRESS_TOKENS, 2, out);
        }
    }
}
