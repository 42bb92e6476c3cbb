//! Mail as it lies in ordinary mailboxes: long headers, HTML beside plain text, and in a third of
//! the messages attachments, which make up most of the bytes.

use mailstore_tests::generate::{Random, WORDS};

/// How much of each kind of body is made beforehand, to be cut into messages.
const POOL: usize = 1 << 20;

/// Makes messages, the same ones for the same seed.
pub(crate) struct Mail {
    random: Random,
    text: Pool,
    html: Pool,
    base64: Pool,
    made: u64,
}

impl Mail {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            text: Pool::of_lines(|| text_line(&mut random)),
            html: Pool::of_lines(|| html_line(&mut random)),
            base64: Pool::of_lines(|| base64_line(&mut random)),
            random,
            made: 0,
        }
    }

    /// The next message.
    pub(crate) fn message(&mut self) -> Vec<u8> {
        self.made += 1;
        let mut out = Vec::with_capacity(16 << 10);
        self.header(&mut out);
        match self.made % 6 {
            0 => self.plain(&mut out),
            1 | 4 => self.with_attachments(&mut out),
            _ => self.alternative(&mut out, 0),
        }
        out
    }

    /// When the message came, in seconds since 1970: some minutes after the one before.
    pub(crate) fn received(&self) -> u64 {
        1_500_000_000 + self.made * 977
    }

    fn header(&mut self, out: &mut Vec<u8>) {
        let number = self.made;
        let random = &mut self.random;
        let (from, to) = (random.pick(&WORDS), random.pick(&WORDS));
        let id = format!("{:016x}.{number}", random.bits());
        let (day, hour, minute) = (1 + random.below(28), random.below(24), random.below(60));
        let month = random.pick(&["Jan", "Mar", "May", "Jul", "Aug", "Oct", "Dec"]);
        let date = format!("{day} {month} 2024 {hour:02}:{minute:02}:07 +0100");
        let mut add = |text: &str| {
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(b"\r\n");
        };
        add(&format!("Return-Path: <{from}@mail.example.com>"));
        for hop in ["store.example.org", "mx2.example.org", "relay.example.com"] {
            add(&format!("Received: from {from}.{hop} ({from}.{hop} [192.0.2.{}])", hop.len()));
            add(&format!("\tby {hop} (Postfix) with ESMTPS id {:012X}", random.bits() >> 16));
            add(&format!("\tfor <{to}@example.org>; Mon, {date}"));
        }
        add("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=mail;");
        add("\th=from:to:subject:date:message-id:mime-version:content-type;");
        for tag in ["bh", "b"] {
            let signature = self.base64.cut(random, 240);
            add(&format!("\t{tag}={}", String::from_utf8_lossy(signature).replace('\n', "\n\t")));
        }
        add("Authentication-Results: mx2.example.org; dkim=pass header.d=example.com;");
        add("\tspf=pass smtp.mailfrom=example.com; dmarc=pass header.from=example.com");
        add(&format!("Message-ID: <{id}@mail.example.com>"));
        if random.one_in(2) {
            add(&format!("In-Reply-To: <{:x}@mail.example.com>", random.bits()));
            let earlier = [random.bits(), random.bits(), random.bits()];
            let earlier = earlier.map(|id| format!("<{id:x}@mail.example.com>"));
            add(&format!("References: {}", earlier.join("\r\n\t")));
        }
        add(&format!("Date: Mon, {date}"));
        add(&format!("From: \"{from} of {}\" <{from}@mail.example.com>", random.pick(&WORDS)));
        add(&format!("To: {to} <{to}@example.org>, {from}@example.net"));
        if random.one_in(4) {
            add("Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe_aus_K=C3=B6ln=2C_und_ein?=");
            add(" =?utf-8?B?IFBhYXIgRnJhZ2Vu?=");
        } else {
            let words: Vec<&str> = (0..6).map(|_| random.pick(&WORDS)).collect();
            add(&format!("Subject: {}", words.join(" ")));
        }
        add("User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:102.0) Gecko/20100101 Thunderbird");
        add("MIME-Version: 1.0");
    }

    fn plain(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"Content-Type: text/plain; charset=utf-8; format=flowed\r\n");
        out.extend_from_slice(b"Content-Transfer-Encoding: 8bit\r\n\r\n");
        let size = 400 + self.random.below(5000);
        out.extend_from_slice(self.text.cut(&mut self.random, size));
    }

    fn alternative(&mut self, out: &mut Vec<u8>, level: u8) {
        let boundary = format!("=_{level}_{:016x}", self.random.bits());
        let text = 300 + self.random.below(2500);
        let html = 1500 + self.random.below(9000);
        out.extend_from_slice(
            format!(
                "Content-Type: multipart/alternative;\r\n boundary=\"{boundary}\"\r\n\r\n\
                 --{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
                 Content-Transfer-Encoding: 8bit\r\n\r\n"
            )
            .as_bytes(),
        );
        out.extend_from_slice(self.text.cut(&mut self.random, text));
        out.extend_from_slice(
            format!(
                "\r\n--{boundary}\r\nContent-Type: text/html; charset=utf-8\r\n\
                 Content-Transfer-Encoding: quoted-printable\r\n\r\n"
            )
            .as_bytes(),
        );
        out.extend_from_slice(self.html.cut(&mut self.random, html));
        out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    }

    fn with_attachments(&mut self, out: &mut Vec<u8>) {
        let boundary = format!("=_mixed_{:016x}", self.random.bits());
        out.extend_from_slice(
            format!(
                "Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n\
                 This is a multi-part message in MIME format.\r\n--{boundary}\r\n"
            )
            .as_bytes(),
        );
        self.alternative(out, 1);
        for number in 0..=usize::from(self.random.one_in(8)) {
            // 3 to 48 KB, small ones as often as large ones.
            let class = (3 << 10) << self.random.below(4);
            let size = class + self.random.below(class);
            out.extend_from_slice(
                format!(
                    "\r\n--{boundary}\r\nContent-Type: application/pdf; name=\"scan{number}.pdf\"\r\n\
                     Content-Disposition: attachment;\r\n filename=\"scan{number}.pdf\"\r\n\
                     Content-Transfer-Encoding: base64\r\n\r\n"
                )
                .as_bytes(),
            );
            out.extend_from_slice(self.base64.cut(&mut self.random, size));
        }
        out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    }
}

fn text_line(random: &mut Random) -> String {
    let words: Vec<&str> = (0..4 + random.below(8)).map(|_| random.pick(&WORDS)).collect();
    let umlauts = if random.one_in(9) { " für Grüße" } else { "" };
    format!("{}{umlauts}", words.join(" "))
}

fn html_line(random: &mut Random) -> String {
    let (word, next) = (random.pick(&WORDS), random.pick(&WORDS));
    format!("<td class=3D\"{word}\" style=3D\"padding:0\"><p>{next} gr=C3=BC=C3=9Fe {word}</p>=")
}

fn base64_line(random: &mut Random) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (0..76).map(|_| char::from(alphabet[random.below(64)])).collect()
}

/// Lines of one kind, with CRLF ends.
struct Pool {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl Pool {
    fn of_lines(mut line: impl FnMut() -> String) -> Self {
        let mut pool = Self { bytes: Vec::with_capacity(POOL + 100), starts: Vec::new() };
        while pool.bytes.len() < POOL {
            pool.starts.push(pool.bytes.len());
            pool.bytes.extend_from_slice(line().as_bytes());
            pool.bytes.extend_from_slice(b"\r\n");
        }
        pool
    }

    /// Whole lines from anywhere, `size` bytes or up to a line more; no more than the pool has.
    fn cut(&self, random: &mut Random, size: usize) -> &[u8] {
        let latest = self.bytes.len().saturating_sub(size);
        let choices = self.starts.partition_point(|&start| start <= latest);
        let start = self.starts[random.below(choices)];
        let next = self.starts.partition_point(|&line| line < start + size);
        let end = self.starts.get(next).copied().unwrap_or(self.bytes.len());
        &self.bytes[start..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_average_about_fifteen_kilobytes_and_a_third_has_attachments() {
        let mut mail = Mail::new(1);
        let messages: Vec<_> = (0..3000).map(|_| mail.message()).collect();
        let bytes: usize = messages.iter().map(Vec::len).sum();
        let average = bytes / messages.len();
        assert!((14_000..16_500).contains(&average), "{average}");
        let has_attachment =
            |message: &&Vec<u8>| String::from_utf8_lossy(message).contains("attachment");
        assert_eq!(messages.iter().filter(has_attachment).count(), 1000);
    }

    #[test]
    fn every_line_ends_with_crlf() {
        let mut mail = Mail::new(2);
        for _ in 0..60 {
            let message = mail.message();
            let lines = message.split_inclusive(|&byte| byte == b'\n');
            assert!(lines.into_iter().all(|line| line.ends_with(b"\r\n")));
        }
    }
}
