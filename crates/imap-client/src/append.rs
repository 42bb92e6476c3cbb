//! APPEND: MULTIAPPEND (RFC 3502), literals that wait for nobody (RFC 7888), UIDs (RFC 4315).

use crate::error::Error;
use crate::reply::{Condition, Status};
use crate::session::{Bounds, Session, mailbox_name};
use crate::text::date_time;

/// The largest literal that LITERAL- lets go without asking.
const SMALL_LITERAL: usize = 4096;
/// What is to be sent is gathered up to this size.
const GATHERED: usize = 128 * 1024;

/// A message to append.
#[derive(Debug, Clone, Copy)]
pub struct NewMessage<'a> {
    /// Its flags and keywords, which are atoms.
    pub flags: &'a [String],
    /// Its internal date in seconds since 1970; now, if none.
    pub date: Option<i64>,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// It is there, under this UID of this UIDVALIDITY where the server tells.
    There(Option<(u32, u32)>),
    /// The server did not take it, and says why.
    Refused(Status),
}

/// How messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Together {
    /// All or none, in one command, where the server can.
    Yes,
    /// Each for itself.
    No,
}

impl Session {
    /// Appends messages; what became of each, in their order. On an error nobody knows of any.
    pub fn append(
        &mut self,
        mailbox: &[u8],
        messages: &[NewMessage<'_>],
        together: Together,
    ) -> Result<Vec<Appended>, Error> {
        let name = mailbox_name(mailbox)?;
        if messages.len() > 1 && together == Together::Yes && self.offers("MULTIAPPEND") {
            return self.append_together(&name, messages);
        }
        let all_go = messages.iter().all(|message| self.goes_without_asking(message));
        if all_go {
            return self.append_in_a_row(&name, messages);
        }
        messages.iter().map(|message| self.append_one(&name, message)).collect()
    }

    fn append_together(
        &mut self,
        name: &str,
        messages: &[NewMessage<'_>],
    ) -> Result<Vec<Appended>, Error> {
        let tag = self.next_tag();
        let mut gathered = format!("{tag} APPEND {name}").into_bytes();
        let mut ended = None;
        for message in messages {
            ended = self.message(&tag, message, &mut gathered)?;
            if ended.is_some() {
                break;
            }
        }
        let ended = match ended {
            Some(ended) => ended,
            None => self.end_of(&tag, gathered)?,
        };
        Ok(shared_out(&ended, messages.len()))
    }

    /// One command a message, all sent before the first answer is waited for.
    fn append_in_a_row(
        &mut self,
        name: &str,
        messages: &[NewMessage<'_>],
    ) -> Result<Vec<Appended>, Error> {
        let mut gathered = Vec::new();
        let mut tags = Vec::with_capacity(messages.len());
        for message in messages {
            let tag = self.next_tag();
            gathered.extend_from_slice(format!("{tag} APPEND {name}").as_bytes());
            self.message(&tag, message, &mut gathered)?;
            gathered.extend_from_slice(b"\r\n");
            tags.push(tag);
        }
        self.send(&gathered)?;
        let mut appended = Vec::with_capacity(tags.len());
        for tag in &tags {
            let ended = self.finish_with(tag, Bounds::default(), &mut |_| Ok(()))?;
            appended.extend(shared_out(&ended, 1));
        }
        Ok(appended)
    }

    fn append_one(&mut self, name: &str, message: &NewMessage<'_>) -> Result<Appended, Error> {
        let tag = self.next_tag();
        let mut gathered = format!("{tag} APPEND {name}").into_bytes();
        let ended = match self.message(&tag, message, &mut gathered)? {
            Some(ended) => ended,
            None => self.end_of(&tag, gathered)?,
        };
        let no_answer = || Error::Protocol("no answer to APPEND".to_owned());
        shared_out(&ended, 1).pop().ok_or_else(no_answer)
    }

    fn end_of(&mut self, tag: &str, mut gathered: Vec<u8>) -> Result<Status, Error> {
        gathered.extend_from_slice(b"\r\n");
        self.send(&gathered)?;
        self.finish_with(tag, Bounds::default(), &mut |_| Ok(()))
    }

    fn goes_without_asking(&self, message: &NewMessage<'_>) -> bool {
        self.offers("LITERAL+") || self.offers("LITERAL-") && message.bytes.len() <= SMALL_LITERAL
    }

    /// Sends what of an APPEND concerns one message, or gathers it; how the command ended, where the
    /// server does not want it.
    fn message(
        &mut self,
        tag: &str,
        message: &NewMessage<'_>,
        gathered: &mut Vec<u8>,
    ) -> Result<Option<Status>, Error> {
        let NewMessage { flags, date, bytes } = message;
        let asks = !self.goes_without_asking(message);
        let date = date.and_then(date_time).map(|date| format!(" \"{date}\"")).unwrap_or_default();
        let plus = if asks { "" } else { "+" };
        let head = format!(" ({}){date} {{{}{plus}}}\r\n", flags.join(" "), bytes.len());
        gathered.extend_from_slice(head.as_bytes());
        if asks {
            self.send(gathered)?;
            gathered.clear();
            if let Some(ended) = self.go_on(tag)? {
                return Ok(Some(ended));
            }
        }
        if gathered.len().saturating_add(bytes.len()) > GATHERED {
            self.send(gathered)?;
            gathered.clear();
        }
        if bytes.len() > GATHERED {
            self.send(bytes)?;
        } else {
            gathered.extend_from_slice(bytes);
        }
        Ok(None)
    }
}

/// What the end of a command means for each of its messages.
fn shared_out(ended: &Status, messages: usize) -> Vec<Appended> {
    if ended.condition != Condition::Ok {
        return vec![Appended::Refused(ended.clone()); messages];
    }
    let code = ended.code.as_ref().filter(|code| code.name == "APPENDUID");
    let uids = code.and_then(|code| code.appended_uids(messages));
    match uids {
        Some((uidvalidity, uids)) => {
            uids.into_iter().map(|uid| Appended::There(Some((uidvalidity, uid)))).collect()
        }
        None => vec![Appended::There(None); messages],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::Code;

    fn ended(condition: Condition, name: &str, arguments: &str) -> Status {
        let code = Code { name: name.to_owned(), arguments: arguments.into() };
        Status { condition, code: Some(code), words: String::new() }
    }

    #[test]
    fn each_message_has_its_uid_only_where_as_many_are_told() {
        let told = |arguments, messages| {
            shared_out(&ended(Condition::Ok, "APPENDUID", arguments), messages)
        };
        let there = |uid| Appended::There(Some((17, uid)));
        assert_eq!(told("17 3:4,9", 3), [there(3), there(4), there(9)]);
        for wrong in ["17 3:4", "17 3:99", "17", "x 3:5", "17 3:4294967295"] {
            assert_eq!(told(wrong, 3), vec![Appended::There(None); 3], "{wrong}");
        }
    }

    #[test]
    fn a_command_that_fails_brings_none_of_its_messages() {
        let no = ended(Condition::No, "OVERQUOTA", "");
        assert_eq!(shared_out(&no, 2), vec![Appended::Refused(no); 2]);
    }
}
