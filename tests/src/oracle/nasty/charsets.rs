//! Encoded words, in all character sets that Cyrus or ICU has a name for.

use super::soup;
use crate::generate::Random;

/// The names that Cyrus and ICU know, as the reader under test has them too: they are facts that
/// were asked of both.
const LISTS: [&str; 2] = [
    include_str!("../../../../crates/mailstore-format/src/message/charsets/data/cyrus-names.txt"),
    include_str!("../../../../crates/mailstore-format/src/message/charsets/data/icu-names.txt"),
];

/// Converters of ICU's (how their names begin) whose text the reader knows not to decode; their names
/// are known (`docs/fidelity.md`).
const NOT_DECODED: [&str; 24] = [
    "BOCU-1",
    "CESU-8",
    "IMAP-mailbox-name",
    "ISCII",
    "ISO_2022,locale=zh",
    "LMBCS",
    "SCSU",
    "euc-tw",
    "ibm-930",
    "ibm-933",
    "ibm-935",
    "ibm-937",
    "ibm-939",
    "ibm-964",
    "ibm-971",
    "ibm-1364",
    "ibm-1371",
    "ibm-1388",
    "ibm-1390",
    "ibm-1399",
    "ibm-16684",
    "x11",
    "imap-utf-7",
    "imap-mailbox-name",
];

const COMMON: [&str; 14] = [
    "utf-8",
    "UTF-8",
    "iso-8859-1",
    "us-ascii",
    "windows-1252",
    "iso-8859-15",
    "koi8-r",
    "gb2312",
    "big5",
    "shift_jis",
    "iso-2022-jp",
    "euc-kr",
    "utf-7",
    "iso-2022-kr",
];

const TOKENS: [&[u8]; 22] = [
    b"=?",
    b"?=",
    b"?",
    b"=",
    b"_",
    b"Q",
    b"B",
    b"q",
    b"b",
    b"=?utf-8?",
    b"=?utf-8?Q?",
    b"=?utf-8?B?",
    b"=C3=A9",
    b"w6k=",
    b"plain",
    b" ",
    b"\r\n ",
    b"*en",
    b"=?utf-8*en?Q?x?=",
    b"=?x-none?Q?=41?=",
    b"=?utf-8?x?abc?=",
    b"=\r\n",
];

/// What switches character sets inside a text (ISO 2022, HZ, SCSU), and what begins characters of
/// several bytes.
const CODES: [&[u8]; 30] = [
    b"\x1b$B",
    b"\x1b$@",
    b"\x1b(B",
    b"\x1b(J",
    b"\x1b(I",
    b"\x1b$(D",
    b"\x1b$A",
    b"\x1b$)C",
    b"\x1b$)A",
    b"\x1b$*H",
    b"\x1b-A",
    b"\x1b.A",
    b"\x1bN",
    b"\x1bO",
    b"\x0e",
    b"\x0f",
    b"~{",
    b"~}",
    b"~~",
    b"+AOk-",
    b"+",
    b"-",
    b"\xff\xfe",
    b"\xfe\xff",
    b"\xef\xbb\xbf",
    b"\xa4\xa2",
    b"\x82\xa0",
    b"\x81\x30\x81\x30",
    b"\x8e\xa2\xa1\xa1",
    b"\xe3\x81\x82",
];

/// A name of a character set, now and then one that nobody knows.
pub(super) fn name(random: &mut Random) -> String {
    let mut name = match random.below(4) {
        0 => some_listed_name(random),
        _ => random.pick(&COMMON).to_string(),
    };
    match random.below(24) {
        0 => name = name.to_uppercase(),
        1 => name.insert(random.below(name.len()), '-'),
        2 => name.push_str(random.pick(&["-x", "0", "*en", " ", "_"])),
        3 => name = name.replace('-', "_"),
        _ => {}
    }
    name
}

fn some_listed_name(random: &mut Random) -> String {
    let is_decoded = |line: &&str| {
        let mut names = line.split(' ').take(2);
        !names.any(|name| NOT_DECODED.iter().any(|known| name.starts_with(known)))
    };
    let lines: Vec<&str> = random.pick(&LISTS).lines().filter(is_decoded).collect();
    // What follows a comma are options.
    let names: Vec<&str> =
        random.pick(&lines).split(' ').filter(|name| !name.contains(',')).collect();
    random.pick(&names).to_string()
}

/// Appends encoded words, or what looks like some.
pub(super) fn words(random: &mut Random, out: &mut Vec<u8>) {
    for _ in 0..=random.below(3) {
        match random.below(8) {
            0 => soup::cook(random, &TOKENS, 8, out),
            1 => out.extend_from_slice(b"some words"),
            _ => word(random, out),
        }
        soup::add(random, &[" ", " ", "", "\r\n ", "\t", "x", "\r\n\t "], out);
    }
}

fn word(random: &mut Random, out: &mut Vec<u8>) {
    let payload = payload(random);
    out.extend_from_slice(b"=?");
    out.extend_from_slice(name(random).as_bytes());
    if random.one_in(2) {
        out.extend_from_slice(b"?Q?");
        for &byte in &payload {
            if byte.is_ascii_alphanumeric() || random.one_in(20) {
                out.push(byte);
            } else {
                out.extend_from_slice(format!("={byte:02X}").as_bytes());
            }
        }
    } else {
        out.extend_from_slice(b"?B?");
        base64(&payload, out);
    }
    out.extend_from_slice(b"?=");
}

/// Text in some character set: bytes of all kinds.
fn payload(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=random.below(10) {
        match random.below(5) {
            0 => bytes.extend_from_slice(random.pick(&CODES)),
            1 => bytes.extend_from_slice(b"ab"),
            2 => bytes.push(random.bits().to_be_bytes()[0]),
            3 => bytes.extend(random.bits().to_be_bytes().iter().take(2).map(|byte| byte | 0x80)),
            _ => bytes.extend_from_slice(
                random.pick(&["é", "ß", "日本", "Ж", "\u{1f600}", " ", "A"]).as_bytes(),
            ),
        }
    }
    bytes
}

fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let bits =
            (0..3).fold(0_usize, |bits, at| bits << 8 | usize::from(*chunk.get(at).unwrap_or(&0)));
        for place in 0..4 {
            let digit = alphabet[bits >> (18 - 6 * place) & 63];
            out.push(if place <= chunk.len() { digit } else { b'=' });
        }
    }
}
