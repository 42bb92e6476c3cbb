//! Parts in parts.

use super::{fields, soup};
use crate::generate::Random;

const BOUNDARIES: [&str; 16] = [
    "B", "BB", "B-", "B--", "-", "--", "", "=_x", "B B", "B ", "(b)", "'b'", "Bé", "a:b/c?d",
    "B\"q", "0",
];
const BODY: [&[u8]; 26] = [
    b"text",
    b"text\r\n",
    b"\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"--",
    b"--B",
    b"--B\r\n",
    b"\r\n--B--\r\n",
    b"-",
    b"YWJj",
    b"YWJjZGVm\r\n",
    b"====",
    b"=",
    b"=41",
    b"=\r\n",
    b"= \r\n",
    b"=4",
    b"=zz",
    b" \r\n",
    b"\t",
    b"\xc3\xa9",
    b"Subject: x\r\n",
    b"Y!W-J_j",
];

/// Deeper than this, parts have no parts.
const DEEPEST: usize = 5;

/// A maker of messages and their parts.
pub(super) struct Entities<'a> {
    random: &'a mut Random,
    /// Of the multiparts that are open.
    boundaries: Vec<String>,
}

impl<'a> Entities<'a> {
    pub(super) fn new(random: &'a mut Random) -> Self {
        Self { random, boundaries: Vec::new() }
    }

    /// Appends a message: fields of an envelope, then as any part.
    pub(super) fn message(&mut self, out: &mut Vec<u8>) {
        for name in [&b"From"[..], b"To", b"Subject", b"Date", b"Cc", b"Bcc"] {
            if self.random.one_in(2) {
                fields::one(self.random, name, out);
            }
        }
        self.entity(out);
    }

    fn entity(&mut self, out: &mut Vec<u8>) {
        fields::some(self.random, 4, out);
        let may_nest = self.boundaries.len() < DEEPEST;
        match self.random.below(6) {
            0..=2 if may_nest => self.multipart(out),
            3 if may_nest => self.nested_message(out),
            _ => {
                if self.random.one_in(2) {
                    fields::one(self.random, b"Content-Type", out);
                }
                fields::some(self.random, 2, out);
                self.end_header(out);
                soup::cook(self.random, &BODY, 12, out);
            }
        }
    }

    fn end_header(&mut self, out: &mut Vec<u8>) {
        match self.random.below(25) {
            0 => {}
            1 => out.extend_from_slice(b" \r\n"),
            2 => out.push(b'\n'),
            3 => self.delimiter(out),
            _ => out.extend_from_slice(b"\r\n"),
        }
    }

    fn nested_message(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"Content-Type: message/rfc822");
        if self.random.one_in(4) {
            fields::parameters(self.random, out);
        }
        out.extend_from_slice(b"\r\n");
        if self.random.one_in(4) {
            fields::one(self.random, b"Content-Transfer-Encoding", out);
        }
        self.end_header(out);
        // Not a multipart, but as deep.
        self.boundaries.push("no boundary".into());
        self.message(out);
        self.boundaries.pop();
    }

    fn multipart(&mut self, out: &mut Vec<u8>) {
        let boundary = match self.boundaries.last() {
            Some(outer) if self.random.one_in(4) => outer.clone(),
            Some(outer) if self.random.one_in(4) => format!("{outer}x"),
            _ => format!("{}{}", self.random.pick(&BOUNDARIES), self.random.below(3)),
        };
        let subtype =
            self.random.pick(&["mixed", "alternative", "digest", "report", "Digest", "x"]);
        out.extend_from_slice(format!("Content-Type: multipart/{subtype}").as_bytes());
        if self.random.one_in(8) {
            fields::parameters(self.random, out);
        }
        out.extend_from_slice(self.named(&boundary).as_bytes());
        if self.random.one_in(8) {
            fields::parameters(self.random, out);
        }
        fields::end_line(self.random, out);
        fields::some(self.random, 1, out);
        self.end_header(out);
        self.boundaries.push(boundary);
        soup::cook(self.random, &BODY, 3, out);
        for _ in 0..self.random.below(4) {
            self.delimiter(out);
            self.entity(out);
        }
        if !self.random.one_in(4) {
            self.delimiter(out);
        }
        self.boundaries.pop();
        soup::cook(self.random, &BODY, 3, out);
    }

    /// The parameter that names a boundary, in one of its forms.
    fn named(&mut self, boundary: &str) -> String {
        let percent: Vec<String> = boundary.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let percent = percent.concat();
        let (head, tail) =
            boundary.split_at(boundary.char_indices().nth(1).map_or(0, |(at, _)| at));
        match self.random.below(10) {
            0 => format!("; boundary={boundary}"),
            1 => format!("; boundary*=utf-8''{percent}"),
            2 => format!("; boundary*=iso-8859-1'en'{percent}"),
            3 => format!("; boundary*0={head}; boundary*1=\"{tail}\""),
            4 => format!("; boundary*0*=us-ascii''{percent}; boundary*1=\"\""),
            5 => format!("; boundary=\"{boundary}\"; boundary=other"),
            6 => format!(";\r\n\tBoundary = \"{boundary}\""),
            _ => format!("; boundary=\"{boundary}\""),
        }
    }

    /// Appends a delimiter of one of the open multiparts, mostly the innermost, mostly a good one.
    fn delimiter(&mut self, out: &mut Vec<u8>) {
        let open = self.boundaries.len();
        let which =
            if self.random.one_in(6) { self.random.below(open) } else { open.saturating_sub(1) };
        let boundary = self.boundaries.get(which).map_or("B", String::as_str);
        soup::add(self.random, &["\r\n", "\r\n", "\r\n", "\r\n", "\n", "", "\r", "\r\n\r\n"], out);
        out.extend_from_slice(b"--");
        out.extend_from_slice(boundary.as_bytes());
        let after = [
            &b""[..],
            b"",
            b"",
            b"",
            b"",
            b"",
            b"",
            b"--",
            b"--",
            b" ",
            b"\t",
            b"-",
            b"x",
            b"xy",
            b"--x",
            b"\0",
            b" x",
        ];
        out.extend_from_slice(self.random.pick(&after));
        soup::add(self.random, &["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", ""], out);
    }
}
