//! A session: from the greeting to a user who is logged in, and its commands.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::address::Address;
use crate::error::Error;
use crate::login::Login;
use crate::reply::{Condition, Data, Reply, Status};
use crate::text::quoted;
use crate::tls::Trust;
use crate::value::Value;
use crate::wire::Wire;

/// The longest reply that is read, where no message is in it: a list of a million UIDs.
const LONGEST: usize = 12 * 1024 * 1024;
/// So much a server may say in all to one command, besides messages.
const MOST: usize = 256 * 1024 * 1024;

/// A server, and how it is spoken to.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where it is.
    pub address: Address,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// Whether a password may be sent in the clear to other machines.
    pub allow_plaintext: bool,
    /// How long it may take to answer.
    pub patience: Duration,
}

/// Where a user's own mailboxes are (RFC 2342).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Namespace {
    /// What their names begin with, `INBOX` apart.
    pub prefix: Vec<u8>,
    /// What separates levels.
    pub separator: Option<u8>,
}

/// A mailbox as EXAMINE or SELECT shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Examined {
    /// The generation of its UIDs.
    pub uidvalidity: Option<u32>,
    /// The UID that the next message will get, or a lower one.
    pub uidnext: Option<u32>,
    /// How many messages it has.
    pub messages: Option<u32>,
    /// Its lasting name (RFC 8474).
    pub mailbox_id: Option<String>,
}

/// How much a server may say to a command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// In one reply.
    pub(crate) reply: usize,
    /// In all.
    pub(crate) total: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { reply: LONGEST, total: MOST }
    }
}

/// A session of a user.
#[derive(Debug)]
pub struct Session {
    wire: Wire,
    commands: u32,
    capabilities: HashSet<String>,
    namespace: Namespace,
    software: Option<String>,
}

impl Session {
    /// Connects, sees to it that nobody listens, and logs in.
    pub fn open(server: &Server, login: &Login) -> Result<Self, Error> {
        let Server { address, trust, .. } = server;
        let mut wire = Wire::open(address, server.patience)?;
        if address.tls {
            wire.secure(trust, address)?;
        }
        let (capabilities, namespace) = (HashSet::new(), Namespace::default());
        let mut session = Self { wire, commands: 0, capabilities, namespace, software: None };
        session.greeted()?;
        session.learn_capabilities()?;
        if !session.wire.is_secure() && session.offers("STARTTLS") && !server.allow_plaintext {
            session.must("STARTTLS", "STARTTLS", &mut |_| Ok(()))?;
            session.wire.secure(trust, address)?;
            // What it offered in the clear anybody may have said.
            session.learn_capabilities()?;
        }
        let is_secure = session.wire.is_secure() || server.allow_plaintext;
        let peer = session.wire.peer();
        require_no_listener(is_secure, peer)?;
        session.log_in(login)?;
        session.learn_capabilities()?;
        session.learn_namespace()?;
        session.learn_software()?;
        Ok(session)
    }

    /// Whether the server offers this.
    #[must_use]
    pub fn offers(&self, capability: &str) -> bool {
        self.capabilities.contains(capability)
    }

    /// Where the user's own mailboxes are.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// What the server calls itself (RFC 2971), where it says so.
    #[must_use]
    pub fn software(&self) -> Option<&str> {
        self.software.as_deref()
    }

    /// EXAMINE: opens a mailbox; nothing in it changes by that.
    pub fn examine(&mut self, mailbox: &[u8]) -> Result<Examined, Error> {
        self.open_mailbox("EXAMINE", mailbox)
    }

    /// SELECT: opens a mailbox in which flags are to be changed.
    pub fn select(&mut self, mailbox: &[u8]) -> Result<Examined, Error> {
        self.open_mailbox("SELECT", mailbox)
    }

    fn open_mailbox(&mut self, command: &'static str, mailbox: &[u8]) -> Result<Examined, Error> {
        let name = mailbox_name(mailbox)?;
        let mut examined = Examined::default();
        let tag = self.start(&format!("{command} {name}\r\n"))?;
        let ended = self.finish_with(&tag, Bounds::default(), &mut |told| {
            if let Told::Data(Data { number, name, .. }) = told
                && name == "EXISTS"
            {
                examined.messages = *number;
            }
            if let Told::Status(Status { code: Some(code), .. }) = told {
                let number = || code.number().and_then(|number| u32::try_from(number).ok());
                match code.name.as_str() {
                    "UIDVALIDITY" => examined.uidvalidity = number(),
                    "UIDNEXT" => examined.uidnext = number(),
                    "MAILBOXID" => {
                        let values = code.values().unwrap_or_default();
                        let id = values.first().and_then(Value::list).and_then(<[_]>::first);
                        examined.mailbox_id = id.and_then(Value::text).map(str::to_owned);
                    }
                    _ => {}
                }
            }
            Ok(())
        })?;
        if ended.condition == Condition::Ok {
            return Ok(examined);
        }
        Err(Error::Refused { command, said: ended })
    }

    /// NOOP: from now on what came meanwhile can be fetched.
    pub fn noop(&mut self) -> Result<(), Error> {
        self.must("NOOP", "NOOP", &mut |_| Ok(()))
    }

    /// LOGOUT, as far as the server takes it.
    pub fn log_out(mut self) {
        let _ = self.start("LOGOUT\r\n").and_then(|tag| self.finish(&tag, &mut |_| Ok(())));
    }

    /// Sends a command that has to end with OK.
    pub(crate) fn must(
        &mut self,
        command: &'static str,
        line: &str,
        each: &mut dyn FnMut(&Data) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let tag = self.start(&format!("{line}\r\n"))?;
        let said = self.finish(&tag, each)?;
        if said.condition == Condition::Ok { Ok(()) } else { Err(Error::Refused { command, said }) }
    }

    /// Sends a command and waits for its end, whatever that is.
    pub(crate) fn run(&mut self, line: &str) -> Result<Status, Error> {
        let tag = self.start(&format!("{line}\r\n"))?;
        self.finish(&tag, &mut |_| Ok(()))
    }

    /// Sends a command, or what of it comes before its first literal; its tag.
    pub(crate) fn start(&mut self, line: &str) -> Result<String, Error> {
        let tag = self.next_tag();
        self.wire.send(format!("{tag} {line}").as_bytes())?;
        Ok(tag)
    }

    pub(crate) fn next_tag(&mut self) -> String {
        self.commands = self.commands.wrapping_add(1);
        format!("r{}", self.commands)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.wire.send(bytes)
    }

    /// Waits until the server wants the rest of a command; else how the command ended.
    pub(crate) fn go_on(&mut self, tag: &str) -> Result<Option<Status>, Error> {
        let mut left = MOST;
        loop {
            match self.next_reply(LONGEST, &mut left)? {
                Reply::GoOn(_) => return Ok(None),
                Reply::End(of, status) if of == tag.as_bytes() => return Ok(Some(status)),
                Reply::Status(status) if status.condition == Condition::Bye => {
                    return Err(bye(&status));
                }
                _ => {}
            }
        }
    }

    /// Waits for the end of a command, and hands each of the server's data to `each`.
    pub(crate) fn finish(
        &mut self,
        tag: &str,
        each: &mut dyn FnMut(&Data) -> Result<(), Error>,
    ) -> Result<Status, Error> {
        self.finish_with(tag, Bounds::default(), &mut |told| match told {
            Told::Data(data) => each(data),
            Told::Status(_) => Ok(()),
        })
    }

    /// The same within other bounds, untagged status replies too.
    pub(crate) fn finish_with(
        &mut self,
        tag: &str,
        bounds: Bounds,
        each: &mut dyn FnMut(Told<'_>) -> Result<(), Error>,
    ) -> Result<Status, Error> {
        let mut left = bounds.total;
        loop {
            match self.next_reply(bounds.reply, &mut left)? {
                Reply::End(of, status) if of == tag.as_bytes() => return Ok(status),
                Reply::Status(status) if status.condition == Condition::Bye => {
                    return Err(bye(&status));
                }
                Reply::Status(status) => each(Told::Status(&status))?,
                Reply::Data(data) => each(Told::Data(&data))?,
                Reply::GoOn(_) | Reply::End(..) | Reply::Unknown => {}
            }
        }
    }

    fn next_reply(&mut self, longest: usize, left: &mut usize) -> Result<Reply, Error> {
        let reply = self.wire.reply(longest.min(*left))?;
        // An empty line is something too: no number of them goes on for ever.
        *left = left.saturating_sub(reply.len().saturating_add(2));
        Ok(Reply::parse(&reply))
    }

    fn greeted(&mut self) -> Result<(), Error> {
        match self.next_reply(LONGEST, &mut { MOST })? {
            Reply::Status(Status { condition: Condition::Ok, .. }) => Ok(()),
            Reply::Status(status) if status.condition == Condition::PreAuth => {
                Err(Error::Protocol("it lets anybody in: nobody can act as a user".to_owned()))
            }
            Reply::Status(status) => Err(bye(&status)),
            _ => Err(Error::Protocol("it does not greet as an IMAP server does".to_owned())),
        }
    }

    fn learn_capabilities(&mut self) -> Result<(), Error> {
        let mut capabilities = HashSet::new();
        self.must("CAPABILITY", "CAPABILITY", &mut |data| {
            if data.name == "CAPABILITY" {
                let words = data.values.iter().filter_map(Value::text);
                capabilities.extend(words.map(str::to_ascii_uppercase));
            }
            Ok(())
        })?;
        self.capabilities = capabilities;
        Ok(())
    }

    fn learn_namespace(&mut self) -> Result<(), Error> {
        let mut namespace = Namespace::default();
        let separator = |value: &Value| value.bytes().and_then(<[_]>::first).copied();
        if self.offers("NAMESPACE") {
            self.must("NAMESPACE", "NAMESPACE", &mut |data| {
                let personal = data.values.first().and_then(Value::list).and_then(<[_]>::first);
                let personal = personal.filter(|_| data.name == "NAMESPACE");
                if let Some([prefix, between, ..]) = personal.and_then(Value::list) {
                    namespace.prefix = prefix.bytes().unwrap_or_default().to_vec();
                    namespace.separator = separator(between);
                }
                Ok(())
            })?;
        } else {
            self.must("LIST", "LIST \"\" \"\"", &mut |data| {
                if let ("LIST", [_, between, ..]) = (data.name.as_str(), data.values.as_slice()) {
                    namespace.separator = separator(between);
                }
                Ok(())
            })?;
        }
        self.namespace = namespace;
        Ok(())
    }

    fn learn_software(&mut self) -> Result<(), Error> {
        if !self.offers("ID") {
            return Ok(());
        }
        let mut software = None;
        let tag = self.start("ID NIL\r\n")?;
        self.finish(&tag, &mut |data| {
            let fields = data.values.first().and_then(Value::list).unwrap_or_default();
            let is_name =
                |field: &Value| field.text().is_some_and(|it| it.eq_ignore_ascii_case("name"));
            let name = fields.chunks_exact(2).find_map(|pair| match pair {
                [field, value] if is_name(field) => value.text().map(str::to_owned),
                _ => None,
            });
            software = software.take().or(name.filter(|_| data.name == "ID"));
            Ok(())
        })?;
        self.software = software;
        Ok(())
    }
}

/// What a server tells before the end of a command.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Told<'a> {
    Status(&'a Status),
    Data(&'a Data),
}

/// Whether a password may be sent to `peer`.
fn require_no_listener(is_secure: bool, peer: IpAddr) -> Result<(), Error> {
    if is_secure || peer.is_loopback() { Ok(()) } else { Err(Error::Plaintext { peer }) }
}

/// A mailbox's name as commands take it.
pub(crate) fn mailbox_name(mailbox: &[u8]) -> Result<String, Error> {
    quoted(mailbox).ok_or_else(|| {
        let shown = mailbox.escape_ascii();
        Error::Protocol(format!("'{shown}' cannot be said in IMAP's modified UTF-7"))
    })
}

fn bye(status: &Status) -> Error {
    Error::Lost(format!("the server says {status}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_goes_in_the_clear_to_this_machine_only() {
        for (peer, may) in [("127.0.0.1", true), ("127.9.9.9", true), ("::1", true)] {
            assert_eq!(require_no_listener(false, peer.parse().unwrap()).is_ok(), may);
        }
        for peer in ["192.0.2.7", "10.0.0.1", "2001:db8::1", "0.0.0.0"] {
            let peer = peer.parse().unwrap();
            let error = require_no_listener(false, peer).unwrap_err();
            assert!(error.to_string().contains("--allow-plaintext"), "{error}");
            assert!(require_no_listener(true, peer).is_ok());
        }
    }
}
