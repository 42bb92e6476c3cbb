//! A small blocking IMAP client.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::imap_value::{Fetched, Value};
use crate::line_connection::LineConnection;

/// How many APPENDs are on their way at once: enough to keep the server busy, few enough for their
/// answers to fit in the socket's buffers while we are still sending.
const APPENDS_IN_FLIGHT: usize = 64;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// `OK`
    Ok,
    /// `NO`
    No,
    /// `BAD`
    Bad,
}

/// All that the server said to one command.
#[derive(Debug, Clone)]
pub struct Reply {
    /// How it ended.
    pub status: Status,
    /// What follows the status: `[TRYCREATE] Mailbox does not exist`.
    pub text: String,
    /// The untagged replies before it, without `* `, with their literals.
    pub untagged: Vec<Vec<u8>>,
}

impl Reply {
    /// The arguments of a response code of the tagged or an untagged status reply:
    /// `code("UIDVALIDITY")` of `* OK [UIDVALIDITY 17] Ok` is `17`.
    #[must_use]
    pub fn code(&self, name: &str) -> Option<String> {
        let untagged = self.untagged.iter().map(|line| String::from_utf8_lossy(line).into_owned());
        untagged.chain([format!("OK {}", self.text)]).find_map(|line| {
            let (_, code) = line.split_once(" [")?;
            let (code, _) = code.split_once(']')?;
            let (found, arguments) = code.split_once(' ').unwrap_or((code, ""));
            found.eq_ignore_ascii_case(name).then(|| arguments.to_string())
        })
    }

    /// The values of each untagged reply whose first or second word is `verb` (`LIST`, `EXISTS`).
    pub fn values_of(&self, verb: &str) -> Result<Vec<Vec<Value>>> {
        let of_verb = |line: &&Vec<u8>| {
            line.split(|&b| b == b' ').take(2).any(|w| w.eq_ignore_ascii_case(verb.as_bytes()))
        };
        self.untagged.iter().filter(of_verb).map(|line| Value::parse_all(line)).collect()
    }

    /// The FETCH replies.
    pub fn fetched(&self) -> Result<Vec<Fetched>> {
        Ok(self.values_of("FETCH")?.iter().filter_map(|v| Fetched::from_values(v)).collect())
    }
}

/// A mailbox as SELECT or EXAMINE shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// How many messages it has.
    pub exists: u32,
    /// The generation of its UIDs.
    pub uidvalidity: u32,
    /// The UID that the next message will get.
    pub uidnext: u32,
    /// Its highest modseq.
    pub highestmodseq: u64,
}

/// A message to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Its flags and keywords.
    pub flags: Vec<String>,
    /// Its INTERNALDATE (` 7-Nov-2026 10:00:00 +0100`); now, if none.
    pub internaldate: Option<String>,
    /// Its bytes, with CRLF line ends.
    pub bytes: Vec<u8>,
}

/// A session.
#[derive(Debug)]
pub struct ImapClient {
    connection: LineConnection,
    commands: u32,
    idle: Option<String>,
}

impl ImapClient {
    /// A session that is not logged in. Every answer must come within 30 s.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let mut connection = LineConnection::open(address)?;
        let greeting = connection.line()?;
        ensure!(greeting.starts_with(b"* OK"), "greeted with {}", greeting.escape_ascii());
        Ok(Self { connection, commands: 0, idle: None })
    }

    /// Sends a command and waits for its end, whatever that is.
    pub fn command(&mut self, command: &str) -> Result<Reply> {
        let tag = self.start(command.as_bytes())?;
        self.finish(&tag)
    }

    /// Sends a command that has to end with OK.
    pub fn ok(&mut self, command: &str) -> Result<Reply> {
        let reply = self.command(command)?;
        let shown = command.lines().next().unwrap_or_default();
        ensure!(reply.status == Status::Ok, "{shown}: {:?} {}", reply.status, reply.text);
        Ok(reply)
    }

    /// LOGIN.
    pub fn login(&mut self, user: &str, password: &str) -> Result<()> {
        self.ok(&format!("LOGIN {} {}", quoted(user), quoted(password))).map(drop)
    }

    /// CAPABILITY.
    pub fn capability(&mut self) -> Result<Vec<String>> {
        let reply = self.ok("CAPABILITY")?;
        let values = reply.values_of("CAPABILITY")?.into_iter().flatten();
        Ok(values.skip(1).filter_map(|value| value.text()).collect())
    }

    /// NOOP: the server's chance to tell what others changed.
    pub fn noop(&mut self) -> Result<Reply> {
        self.ok("NOOP")
    }

    /// LOGOUT.
    pub fn logout(mut self) -> Result<()> {
        self.ok("LOGOUT").map(drop)
    }

    /// CREATE.
    pub fn create(&mut self, mailbox: &str) -> Result<()> {
        self.ok(&format!("CREATE {}", quoted(mailbox))).map(drop)
    }

    /// DELETE.
    pub fn delete(&mut self, mailbox: &str) -> Result<()> {
        self.ok(&format!("DELETE {}", quoted(mailbox))).map(drop)
    }

    /// RENAME.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        self.ok(&format!("RENAME {} {}", quoted(from), quoted(to))).map(drop)
    }

    /// SUBSCRIBE.
    pub fn subscribe(&mut self, mailbox: &str) -> Result<()> {
        self.ok(&format!("SUBSCRIBE {}", quoted(mailbox))).map(drop)
    }

    /// SETACL: gives `rights` (Cyrus's letters) on a mailbox to `user`.
    pub fn setacl(&mut self, mailbox: &str, user: &str, rights: &str) -> Result<()> {
        self.ok(&format!("SETACL {} {} {rights}", quoted(mailbox), quoted(user))).map(drop)
    }

    /// SELECT.
    pub fn select(&mut self, mailbox: &str) -> Result<Selected> {
        self.open("SELECT", mailbox)
    }

    /// EXAMINE: as SELECT, and nothing in the mailbox changes.
    pub fn examine(&mut self, mailbox: &str) -> Result<Selected> {
        self.open("EXAMINE", mailbox)
    }

    /// CLOSE's gentle sister: leaves the mailbox and expunges nothing.
    pub fn unselect(&mut self) -> Result<()> {
        self.ok("UNSELECT").map(drop)
    }

    /// LIST: the names of the mailboxes that match (`*` = all), as this user names them.
    pub fn list(&mut self, pattern: &str) -> Result<Vec<String>> {
        let reply = self.ok(&format!("LIST \"\" {}", quoted(pattern)))?;
        let mut names = Vec::new();
        for values in reply.values_of("LIST")? {
            let name =
                values.last().and_then(Value::text).context("a LIST reply without a name")?;
            names.push(name);
        }
        Ok(names)
    }

    /// STATUS: one number for each of `items` (`MESSAGES`, `UIDNEXT`), in that order.
    pub fn status(&mut self, mailbox: &str, items: &[&str]) -> Result<Vec<u64>> {
        let reply = self.ok(&format!("STATUS {} ({})", quoted(mailbox), items.join(" ")))?;
        let values = reply.values_of("STATUS")?.into_iter().flatten().last();
        let values = values.context("no STATUS reply")?;
        let pairs = values.list().context("a STATUS reply without a list")?;
        let number_of = |item: &&str| {
            let mut pairs = pairs.chunks_exact(2);
            let value = pairs.find_map(|pair| match pair {
                [name, value] if name.text().is_some_and(|n| n.eq_ignore_ascii_case(item)) => {
                    value.number()
                }
                _ => None,
            });
            value.with_context(|| format!("STATUS does not tell {item}"))
        };
        items.iter().map(number_of).collect()
    }

    /// APPEND; the new message's UID.
    pub fn append(
        &mut self,
        mailbox: &str,
        flags: &[&str],
        internaldate: Option<&str>,
        message: &[u8],
    ) -> Result<u32> {
        let message = NewMessage {
            flags: flags.iter().map(ToString::to_string).collect(),
            internaldate: internaldate.map(str::to_string),
            bytes: message.to_vec(),
        };
        let uids = self.append_all(mailbox, std::slice::from_ref(&message))?;
        uids.first().copied().context("no UID for an appended message")
    }

    /// APPENDs, several on their way at once; the new messages' UIDs.
    pub fn append_all(&mut self, mailbox: &str, messages: &[NewMessage]) -> Result<Vec<u32>> {
        let mut uids = Vec::new();
        for window in messages.chunks(APPENDS_IN_FLIGHT) {
            let mut tags = Vec::new();
            for message in window {
                let mut command =
                    format!("APPEND {} ({})", quoted(mailbox), message.flags.join(" "));
                if let Some(date) = &message.internaldate {
                    let _ = write!(command, " \"{date}\"");
                }
                // The plus: without waiting for the server's consent (LITERAL+).
                let _ = write!(command, " {{{}+}}\r\n", message.bytes.len());
                let command = [command.as_bytes(), &message.bytes].concat();
                tags.push(self.start(&command)?);
            }
            for tag in tags {
                let reply = self.finish(&tag)?;
                ensure!(reply.status == Status::Ok, "APPEND to {mailbox}: {}", reply.text);
                let code = reply.code("APPENDUID").context("no APPENDUID")?;
                let (_, uid) = code.split_once(' ').context("half an APPENDUID")?;
                uids.push(uid.parse()?);
            }
        }
        Ok(uids)
    }

    /// UID STORE: `change` is as `+FLAGS (\Seen)`.
    pub fn store(&mut self, uids: &str, change: &str) -> Result<Reply> {
        self.ok(&format!("UID STORE {uids} {change}"))
    }

    /// EXPUNGE: all messages that are `\Deleted`.
    pub fn expunge(&mut self) -> Result<Reply> {
        self.ok("EXPUNGE")
    }

    /// UID FETCH: `items` is as `(FLAGS BODY.PEEK[])`.
    pub fn fetch(&mut self, uids: &str, items: &str) -> Result<Vec<Fetched>> {
        self.ok(&format!("UID FETCH {uids} {items}"))?.fetched()
    }

    /// UID SEARCH: the UIDs of the messages that match.
    pub fn search(&mut self, criteria: &str) -> Result<Vec<u32>> {
        let values = self.ok(&format!("UID SEARCH {criteria}"))?.values_of("SEARCH")?;
        let numbers = values.into_iter().flatten().filter_map(|value| value.number());
        numbers.map(|number| Ok(u32::try_from(number)?)).collect()
    }

    /// UID COPY; the tagged reply has the code COPYUID.
    pub fn copy(&mut self, uids: &str, to: &str) -> Result<Reply> {
        self.ok(&format!("UID COPY {uids} {}", quoted(to)))
    }

    /// UID MOVE; an untagged OK has the code COPYUID.
    pub fn move_to(&mut self, uids: &str, to: &str) -> Result<Reply> {
        self.ok(&format!("UID MOVE {uids} {}", quoted(to)))
    }

    /// Starts IDLE. Until [`ImapClient::idle_done`] only [`ImapClient::idle_wait`] may be called.
    pub fn idle_start(&mut self) -> Result<()> {
        let tag = self.start(b"IDLE")?;
        let line = self.connection.line()?;
        ensure!(line.starts_with(b"+"), "IDLE: {}", line.escape_ascii());
        self.idle = Some(tag);
        Ok(())
    }

    /// The next untagged reply during IDLE (`3 EXISTS`), if one comes within `time`.
    pub fn idle_wait(&mut self, time: Duration) -> Result<Option<String>> {
        let Some(line) = self.connection.line_within(time)? else { return Ok(None) };
        let Some(reply) = line.strip_prefix(b"* ") else {
            bail!("IDLE ended by itself: {}", line.escape_ascii())
        };
        Ok(Some(String::from_utf8_lossy(reply).into_owned()))
    }

    /// Ends IDLE; what the server still said.
    pub fn idle_done(&mut self) -> Result<Reply> {
        let tag = self.idle.take().context("not in IDLE")?;
        self.connection.send(b"DONE\r\n")?;
        let reply = self.finish(&tag)?;
        ensure!(reply.status == Status::Ok, "IDLE: {}", reply.text);
        Ok(reply)
    }

    /// Sends a command and does not wait for its end; its tag.
    pub fn start(&mut self, command: &[u8]) -> Result<String> {
        ensure!(self.idle.is_none(), "a command during IDLE");
        self.commands += 1;
        let tag = format!("t{}", self.commands);
        self.connection.send(&[tag.as_bytes(), b" ", command, b"\r\n"].concat())?;
        Ok(tag)
    }

    /// Waits for the end of the command with `tag`. Ends are to be waited for in the order of starts.
    pub fn finish(&mut self, tag: &str) -> Result<Reply> {
        let mut untagged = Vec::new();
        loop {
            let line = self.response()?;
            if let Some(reply) = line.strip_prefix(b"* ") {
                if reply.starts_with(b"BYE") && !reply.starts_with(b"BYE LOGOUT") {
                    bail!("the server said {}", reply.escape_ascii());
                }
                untagged.push(reply.to_vec());
                continue;
            }
            let line = String::from_utf8_lossy(&line).into_owned();
            let (found, end) = line.split_once(' ').context("a reply of one word")?;
            ensure!(found == tag, "expected the end of {tag}: {line}");
            let (status, text) = end.split_once(' ').unwrap_or((end, ""));
            let status = match status {
                "OK" => Status::Ok,
                "NO" => Status::No,
                "BAD" => Status::Bad,
                _ => bail!("not a status: {line}"),
            };
            return Ok(Reply { status, text: text.to_string(), untagged });
        }
    }

    fn open(&mut self, verb: &str, mailbox: &str) -> Result<Selected> {
        let reply = self.ok(&format!("{verb} {}", quoted(mailbox)))?;
        let code = |name: &str| {
            let arguments = reply.code(name);
            arguments.with_context(|| format!("{verb} {mailbox} did not tell {name}"))
        };
        let exists = reply.values_of("EXISTS")?.into_iter().flatten().find_map(|v| v.number());
        Ok(Selected {
            exists: u32::try_from(exists.context("no EXISTS")?)?,
            uidvalidity: code("UIDVALIDITY")?.parse()?,
            uidnext: code("UIDNEXT")?.parse()?,
            highestmodseq: code("HIGHESTMODSEQ")?.parse()?,
        })
    }

    /// A line with all literals that it announces.
    fn response(&mut self) -> Result<Vec<u8>> {
        let mut response = Vec::new();
        loop {
            let line = self.connection.line()?;
            response.extend(&line);
            let Some(length) = announced_literal(&line) else { return Ok(response) };
            response.extend(b"\r\n");
            response.extend(self.connection.exactly(length)?);
        }
    }
}

/// The length in the `{12}` at the end of a line.
fn announced_literal(line: &[u8]) -> Option<usize> {
    let digits = line.strip_suffix(b"}")?.rsplit(|&byte| byte == b'{').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// `text` as a quoted string.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_codes_are_found_in_tagged_and_untagged_replies() {
        let reply = Reply {
            status: Status::Ok,
            text: "[APPENDUID 17 4] Completed".into(),
            untagged: vec![b"OK [UIDNEXT 5] Ok".to_vec(), b"3 EXISTS".to_vec()],
        };
        assert_eq!(reply.code("APPENDUID").as_deref(), Some("17 4"));
        assert_eq!(reply.code("uidnext").as_deref(), Some("5"));
        assert_eq!(reply.code("UIDVALIDITY"), None);
    }

    #[test]
    fn a_literal_is_announced_only_at_the_end_of_a_line() {
        assert_eq!(announced_literal(b"* 1 FETCH (BODY[] {12}"), Some(12));
        assert_eq!(announced_literal(b"* 1 FETCH (X {12} Y)"), None);
        assert_eq!(announced_literal(b"no braces"), None);
    }
}
