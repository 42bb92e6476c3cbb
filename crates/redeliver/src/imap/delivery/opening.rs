//! Opening what messages come into: the mailbox that is meant, made again where it is gone, or a folder
//! that they come into instead.

use imap_client::{Error, Examined, Session};
use mailstore_format::{Uid, UidValidity};
use reconstruct::{Code, Finding, Remedy};

use super::{Delivery, Halt, Standing};
use crate::imap::place::Detour;
use crate::order::{MailboxGone, MissingMailbox};

/// What servers call themselves that have Cyrus's unique ids for lasting names.
const CYRUS: &str = "cyrus";

/// What messages come into, open.
pub(super) struct Open {
    /// How the server calls it.
    pub(super) name: Vec<u8>,
    pub(super) standing: Standing,
}

impl Delivery<'_> {
    /// Opens what messages come into, and makes it where that is due; none where a dry run would make
    /// it.
    pub(super) fn open(&mut self, session: &mut Session) -> Result<Option<Open>, Halt> {
        let odd = |why: &str| Halt::Held(why.to_owned());
        let name = self.place.name_on(session.namespace()).map_err(odd)?;
        if self.place.detour().is_some() {
            self.folder = Some(String::from_utf8_lossy(&name).into_owned());
        }
        let gone = self.order.mailbox_gone.filter(|_| self.place.detour().is_none());
        if gone.is_some_and(|gone| gone.was_made) && !self.order.arrivals.again {
            return Err(Halt::Held(MADE_BEFORE.to_owned()));
        }
        let (examined, is_new) = match session.examine(&name) {
            Ok(examined) => (examined, false),
            Err(Error::Refused { said, .. }) => {
                if !self.may_be_made(session, gone) {
                    return Err(Halt::Held(no_mailbox(&said.to_string())));
                }
                if self.means.desk.is_dry() {
                    self.tell_made(&name, "would be made");
                    return Ok(None);
                }
                self.make(session, &name, gone)?;
                (session.examine(&name)?, true)
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(gone) = gone {
            self.take_for_the_gone(session, &examined, gone, is_new)?;
        }
        let standing = self.standing(session, &examined)?;
        Ok(Some(Open { name, standing }))
    }

    /// Whether a folder that the server does not open is made. A mailbox that the store had when it was
    /// compared, and that is gone since, its owner may have deleted; on a server of another make it has
    /// never been, as long as nothing was delivered into it.
    fn may_be_made(&self, session: &Session, gone: Option<MailboxGone>) -> bool {
        match self.place.detour() {
            Some(Detour::Tree(_)) => true,
            Some(Detour::Inbox) => false,
            None => {
                let was_never_there = || {
                    !is_cyrus(session)
                        && self.order.arrivals.came_before.is_empty()
                        && self.doubts.is_empty()
                };
                self.means.desk.missing_mailbox() == MissingMailbox::Create
                    && !self.place.is_inbox()
                    && (gone.is_some() || was_never_there())
            }
        }
    }

    /// Makes it: of a mailbox that is gone with what it is for and its ACL, as far as sources know.
    fn make(
        &mut self,
        session: &mut Session,
        name: &[u8],
        gone: Option<MailboxGone>,
    ) -> Result<(), Halt> {
        let known = match gone {
            Some(_) => self.means.desk.gone_mailbox(self.place.with_gaps)?,
            None => incident::GoneMailbox::default(),
        };
        let mut lacks = Vec::new();
        let special_use =
            known.special_use.as_deref().filter(|_| session.makes_special_mailboxes());
        let mut made = session.create(name, special_use);
        if let (Some(special_use), Err(Error::Refused { said, .. })) = (special_use, &made) {
            // Another mailbox may be for that by now.
            lacks.push(format!("its use {special_use}, because the server says {said}"));
            made = session.create(name, None);
        } else if let (Some(special_use), None) = (&known.special_use, special_use) {
            lacks.push(format!("its use {special_use}, which this server does not take"));
        }
        match made {
            Err(Error::Refused { said, .. }) => {
                return Err(Halt::Held(format!("the server does not make it: it says {said}")));
            }
            made => made?,
        }
        if let Some(acl) = &known.acl {
            lacks.extend(give_acl(session, name, acl)?);
        }
        match session.subscribe(name) {
            Ok(()) | Err(Error::Refused { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let lacks = if lacks.is_empty() {
            String::new()
        } else {
            format!(", without {}", lacks.join("; "))
        };
        self.tell_made(name, &format!("was made{lacks}"));
        Ok(())
    }

    fn tell_made(&mut self, name: &[u8], what: &str) {
        let detail = format!("'{}' was not there: it {what}", name.escape_ascii());
        self.findings.push(Finding::new(Code::MailboxMade, Remedy::Note, detail));
    }

    /// The open mailbox is from now on the one that was gone, if nothing can have been in it before:
    /// then each of its messages is missing in it as often as it was in the other.
    fn take_for_the_gone(
        &mut self,
        session: &Session,
        examined: &Examined,
        gone: MailboxGone,
        is_new: bool,
    ) -> Result<(), Halt> {
        let id = examined.mailbox_id.as_deref().filter(|_| is_cyrus(session));
        let is_known = id.is_some() && id == self.place.uniqueid();
        let is_virgin = examined.messages == Some(0) && examined.uidnext == Some(1);
        if is_cyrus(session) && !is_new && !is_known && !is_virgin {
            return Err(Halt::Held(IS_USED.to_owned()));
        }
        if !self.means.desk.made_again(self.place.with_gaps, id, gone.id)? {
            return Err(Halt::Held(IS_USED.to_owned()));
        }
        self.made_as = id.map(str::to_owned);
        self.order.mailbox_gone = None;
        Ok(())
    }

    /// How the mailbox stands, once it is clear that it is the one that is meant.
    fn standing(&self, session: &Session, examined: &Examined) -> Result<Standing, Halt> {
        let numbers = examined.uidvalidity.zip(examined.uidnext);
        let (uidvalidity, uidnext) = numbers.ok_or_else(|| Halt::Held(NO_NUMBERS.to_owned()))?;
        let (uidvalidity, uidnext) = (UidValidity(uidvalidity), Uid(uidnext));
        if self.place.detour().is_some() {
            return Ok(Standing { uidvalidity, uidnext, is_proven: false });
        }
        let known_id = self.made_as.as_deref().or(self.place.uniqueid());
        let ids = examined.mailbox_id.as_deref().zip(known_id);
        let ids = ids.filter(|_| is_cyrus(session) || self.place.is_listed());
        let is_proven = match (ids, self.place.uidvalidity()) {
            (Some((there, known)), _) if there == known => true,
            (None, Some(known)) if known == uidvalidity => true,
            (None, None) => false,
            _ => return Err(Halt::Held(ANOTHER.to_owned())),
        };
        Ok(Standing { uidvalidity, uidnext, is_proven })
    }

    pub(super) fn warn_of_known_uids(&mut self, uidnext: Uid) {
        let seen = self.order.arrivals.above_uid;
        let is_new = self.made_as.is_some() || self.place.detour().is_some();
        if is_new || uidnext > seen || self.todo.is_empty() || seen > Uid::HIGHEST_PLAUSIBLE {
            return;
        }
        let detail = format!(
            "the next message gets UID {uidnext}, and clients of the lost server may know other \
             messages by the UIDs up to {seen}: run `redeliver raise-uidnext` on the store's host first"
        );
        self.findings.push(Finding::new(Code::UidsMayBeKnown, Remedy::Note, detail));
    }
}

fn is_cyrus(session: &Session) -> bool {
    session.software().is_some_and(|name| name.to_ascii_lowercase().starts_with(CYRUS))
}

/// Gives a mailbox its ACL: identifier, tab, rights, tab, and so on. What of it the server does not
/// take.
fn give_acl(session: &mut Session, name: &[u8], acl: &str) -> Result<Vec<String>, Halt> {
    let words: Vec<&str> = acl.trim_end_matches('\t').split('\t').collect();
    if !session.offers("ACL") {
        return Ok(vec!["its ACL, which this server does not take".to_owned()]);
    }
    let mut lacks = Vec::new();
    for pair in words.chunks_exact(2) {
        let [identifier, rights] = pair else { continue };
        match session.set_acl(name, identifier, rights) {
            Ok(()) => {}
            Err(Error::Refused { said, .. }) => {
                lacks.push(format!("the rights {rights} of {identifier}: the server says {said}"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(lacks)
}

/// Why a mailbox is not made once more.
const MADE_BEFORE: &str = "the mailbox was made again before, and is gone again: its owner may have \
                           deleted it; --again makes it";
/// Why a mailbox that is there is not the one that was gone.
const IS_USED: &str = "a folder of its name is there by now, and was used: run gapfill again, then \
                       deliver again";
/// Why nothing comes into a mailbox of the name.
const ANOTHER: &str =
    "another folder has its name on the server: run gapfill again, then deliver again";
/// Why nothing can be delivered.
const NO_NUMBERS: &str = "the server tells no UIDVALIDITY and UIDNEXT of it: what is sent and not \
                          confirmed could not be found again";

/// Why nothing comes into a mailbox that the server does not open.
pub(super) fn no_mailbox(said: &str) -> String {
    format!("the server does not open it ({said}): create it where it is gone, then deliver again")
}
