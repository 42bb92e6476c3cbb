//! Reading an INBOX by POP3. For as long as a session lasts, pop3d holds INBOX's name lock shared.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail, ensure};

use crate::line_connection::LineConnection;

/// A session with pop3d.
#[derive(Debug)]
pub struct Pop3Client {
    connection: LineConnection,
}

impl Pop3Client {
    /// A session, logged in.
    pub fn login(address: SocketAddr, user: &str, password: &str) -> Result<Self> {
        let mut client = Self { connection: LineConnection::open(address)? };
        client.status_line()?;
        client.command(&format!("USER {user}"))?;
        client.command(&format!("PASS {password}"))?;
        Ok(client)
    }

    /// STAT: how many messages there are, and their bytes.
    pub fn stat(&mut self) -> Result<(u32, u64)> {
        let line = self.command("STAT")?;
        let mut words = line.split(' ');
        let mut next = || words.next().context("STAT said too little");
        Ok((next()?.parse()?, next()?.parse()?))
    }

    /// LIST: number and bytes of each message.
    pub fn list(&mut self) -> Result<Vec<(u32, u64)>> {
        self.numbered("LIST")
    }

    /// UIDL: number and unique id of each message.
    pub fn uidl(&mut self) -> Result<Vec<(u32, String)>> {
        self.numbered("UIDL")
    }

    /// RETR: a message's bytes.
    pub fn retr(&mut self, number: u32) -> Result<Vec<u8>> {
        self.command(&format!("RETR {number}"))?;
        let lines = self.lines_to_dot()?;
        Ok(lines.iter().flat_map(|line| line.iter().chain(b"\r\n")).copied().collect())
    }

    /// DELE: the message goes when the session ends with QUIT.
    pub fn dele(&mut self, number: u32) -> Result<()> {
        self.command(&format!("DELE {number}")).map(drop)
    }

    /// QUIT.
    pub fn quit(mut self) -> Result<()> {
        self.command("QUIT").map(drop)
    }

    fn numbered<T: std::str::FromStr>(&mut self, command: &str) -> Result<Vec<(u32, T)>> {
        self.command(command)?;
        let mut pairs = Vec::new();
        for line in self.lines_to_dot()? {
            let line = String::from_utf8_lossy(&line).into_owned();
            let (number, value) = line.split_once(' ').context("a line of one word")?;
            let Ok(value) = value.parse() else { bail!("{command} said {line}") };
            pairs.push((number.parse()?, value));
        }
        Ok(pairs)
    }

    fn command(&mut self, command: &str) -> Result<String> {
        self.connection.send(format!("{command}\r\n").as_bytes())?;
        self.status_line()
    }

    /// What follows `+OK`.
    fn status_line(&mut self) -> Result<String> {
        let line = String::from_utf8_lossy(&self.connection.line()?).into_owned();
        ensure!(line.starts_with("+OK"), "pop3d said {line}");
        Ok(line.trim_start_matches("+OK").trim().to_string())
    }

    fn lines_to_dot(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut lines = Vec::new();
        loop {
            let line = self.connection.line()?;
            match line.as_slice() {
                b"." => return Ok(lines),
                [b'.', rest @ ..] => lines.push(rest.to_vec()),
                _ => lines.push(line),
            }
        }
    }
}
