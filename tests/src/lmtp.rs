//! Delivery by LMTP (RFC 2033).

use std::net::SocketAddr;

use anyhow::{Result, ensure};

use crate::line_connection::LineConnection;

/// A session with lmtpd.
#[derive(Debug)]
pub struct LmtpClient {
    connection: LineConnection,
}

impl LmtpClient {
    /// A session, greeted.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let mut client = Self { connection: LineConnection::open(address)? };
        client.expect(220)?;
        client.send("LHLO localhost")?;
        client.expect(250)?;
        Ok(client)
    }

    /// Delivers a message (with CRLF line ends) to one recipient (`alice`, `alice+Sent`); the
    /// server's last word on it, as `(250, "2.1.5 Ok …")`. A refusal is an answer, not an error.
    pub fn deliver(&mut self, recipient: &str, message: &[u8]) -> Result<(u16, String)> {
        self.send("MAIL FROM:<sender@example.com>")?;
        self.expect(250)?;
        self.send(&format!("RCPT TO:<{recipient}>"))?;
        let reply = self.reply()?;
        if reply.0 != 250 {
            self.send("RSET")?;
            self.expect(250)?;
            return Ok(reply);
        }
        self.send("DATA")?;
        self.expect(354)?;
        self.connection.send(&dot_stuffed(message))?;
        self.reply()
    }

    fn send(&mut self, command: &str) -> Result<()> {
        self.connection.send(format!("{command}\r\n").as_bytes())
    }

    fn expect(&mut self, code: u16) -> Result<()> {
        let reply = self.reply()?;
        ensure!(reply.0 == code, "lmtpd said {} {}", reply.0, reply.1);
        Ok(())
    }

    /// The last line of a reply.
    fn reply(&mut self) -> Result<(u16, String)> {
        loop {
            let line = String::from_utf8_lossy(&self.connection.line()?).into_owned();
            let (code, text) = line.split_at_checked(3).unwrap_or((&line, ""));
            if !text.starts_with('-') {
                return Ok((code.parse()?, text.trim().to_string()));
            }
        }
    }
}

fn dot_stuffed(message: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(message.len() + 8);
    for line in message.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b".") {
            stuffed.push(b'.');
        }
        stuffed.extend(line);
    }
    if !stuffed.ends_with(b"\r\n") {
        stuffed.extend(b"\r\n");
    }
    stuffed.extend(b".\r\n");
    stuffed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_begin_with_a_dot_are_stuffed_and_the_end_is_marked() {
        assert_eq!(dot_stuffed(b".a\r\nb.\r\n..c"), b"..a\r\nb.\r\n...c\r\n.\r\n");
    }
}
