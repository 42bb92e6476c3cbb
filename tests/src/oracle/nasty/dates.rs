//! Values of Date fields.

use super::soup;
use crate::generate::Random;

const DAYS: [&[u8]; 8] = [b"Mon", b"tue", b"Mo", b"Xyz", b"Monday", b"mon.", b"3", b""];
const MONTHS: [&[u8]; 12] =
    [b"Jan", b"feb", b"MAR", b"Sept", b"Foo", b"10", b"May", b"June", b"1", b"", b"De", b"Dec"];
const YEARS: [&[u8]; 16] = [
    b"2020", b"1999", b"99", b"49", b"50", b"070", b"100", b"1970", b"1969", b"2038", b"2107",
    b"9999", b"10000", b"0", b"20 20", b"1900",
];
const TIMES: [&[u8]; 14] = [
    b"10:11:12",
    b"10:11",
    b"1:2:3",
    b"24:00:00",
    b"23:59:60",
    b"10:61:00",
    b"10.11.12",
    b"101112",
    b"10:11:12.5",
    b"10:",
    b"10",
    b"10:11:",
    b"::",
    b"99:99:99",
];
const ZONES: [&[u8]; 26] = [
    b"+0100",
    b"-0830",
    b"+0000",
    b"-0000",
    b"GMT",
    b"EST",
    b"edt",
    b"Z",
    b"A",
    b"z",
    b"J",
    b"UT",
    b"UTC",
    b"CEST",
    b"+100",
    b"0100",
    b"+01:00",
    b"-2500",
    b"+99999",
    b"PDT (comment)",
    b"(GMT)",
    b"\"GMT\"",
    b"+",
    b"-01",
    b"G",
    b"GM",
];
const TOKENS: [&[u8]; 34] = [
    b" ", b" ", b" ", b":", b":", b",", b"-", b"+", b".", b"/", b"1", b"02", b"31", b"2020", b"99",
    b"Jan", b"Feb", b"Mon", b"GMT", b"EST", b"10:00", b"0", b"x", b"(", b")", b"\"", b"T", b"Z",
    b"\r\n ", b"\xe9", b"\xff", b"60", b"AM", b"PM",
];

/// Appends a date.
pub(super) fn date(random: &mut Random, out: &mut Vec<u8>) {
    if random.one_in(6) {
        soup::cook(random, &TOKENS, 14, out);
        return;
    }
    if random.one_in(2) {
        out.extend_from_slice(random.pick(&DAYS));
        soup::add(random, &[",", ", ", " ", " ,", ",\t", ""], out);
    }
    let separator = random.pick(&[" ", " ", " ", "-", "/", "  ", "\r\n ", "", "\t"]).as_bytes();
    let day = random.below(40).to_string();
    let year = random.below(3000).to_string();
    let year = if random.one_in(2) { year.as_bytes() } else { random.pick(&YEARS) };
    let month = random.pick(&MONTHS);
    for piece in [day.as_bytes(), separator, month, separator, year, b" "] {
        out.extend_from_slice(piece);
        if random.one_in(30) {
            soup::cook(random, &TOKENS, 2, out);
        }
    }
    out.extend_from_slice(random.pick(&TIMES));
    soup::add(random, &[" ", " ", " ", "", "  ", "\r\n\t", "."], out);
    out.extend_from_slice(random.pick(&ZONES));
    if random.one_in(20) {
        soup::cook(random, &TOKENS, 3, out);
    }
}
