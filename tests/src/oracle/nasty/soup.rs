//! Tokens thrown together.

use crate::generate::Random;

/// Line ends and blanks, most of them folds as they should be.
pub(super) const BLANKS: [&[u8]; 12] = [
    b" ",
    b" ",
    b" ",
    b"\t",
    b"\r\n ",
    b"\r\n\t",
    b"\n ",
    b"\r",
    b"  ",
    b"\x0b",
    b"\r\n \r\n ",
    b"\x0c",
];

/// Appends up to `most` of `tokens`, in any order.
pub(super) fn cook(random: &mut Random, tokens: &[&[u8]], most: usize, out: &mut Vec<u8>) {
    for _ in 0..random.below(most + 1) {
        match random.below(160) {
            0 => {
                let token = random.pick(tokens);
                repeat(random, token, out);
            }
            4..8 => out.push(random.bits().to_be_bytes()[0]),
            8..12 => out.extend_from_slice(random.pick(&BLANKS)),
            12..16 => out.extend_from_slice(b"\xc3\xa9"),
            _ => out.extend_from_slice(random.pick(tokens)),
        }
    }
}

/// Appends a token again and again: up to about the lengths at which a parser may cut a line.
fn repeat(random: &mut Random, token: &[u8], out: &mut Vec<u8>) {
    const LENGTHS: [usize; 8] = [20, 31, 33, 76, 250, 996, 1000, 4090];
    let length = LENGTHS[random.below(LENGTHS.len())] + random.below(8);
    for _ in 0..=length / token.len().max(1) {
        out.extend_from_slice(token);
    }
}

/// Appends one of `choices`.
pub(super) fn add(random: &mut Random, choices: &[&str], out: &mut Vec<u8>) {
    out.extend_from_slice(random.pick(choices).as_bytes());
}

/// Appends blanks, or none.
pub(super) fn blank(random: &mut Random, out: &mut Vec<u8>) {
    if random.one_in(3) {
        out.extend_from_slice(random.pick(&BLANKS));
    }
}

/// Takes bytes out, repeats some or puts others in.
pub(super) fn spoil(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        let length = random.below(20).min(bytes.len() - at);
        match random.below(4) {
            0 => drop(bytes.drain(at..at + length)),
            1 => {
                let piece = bytes[at..at + length].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            2 => bytes.insert(
                at,
                *random.pick(&[b"\0", b"\r", b"\n", b"\x80", b"-", b"\""]).first().unwrap_or(&0),
            ),
            _ => bytes.truncate(at),
        }
    }
}
