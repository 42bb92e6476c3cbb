//! Looking at what a mailbox has.

use crate::error::Error;
use crate::reply::{Condition, Data, Status};
use crate::session::{Bounds, Session, Told};
use crate::text::{parse_date_time, search_day, uid_sets};
use crate::value::Value;

/// So many UIDs stand in one command.
pub(crate) const UIDS_AT_A_TIME: usize = 500;
/// What a reply has besides a message.
const AROUND: usize = 64 * 1024;

/// What FETCH tells of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its UID.
    pub uid: u32,
    items: Vec<(String, Value)>,
}

impl Fetched {
    /// What untagged data tell of a message, if they do and say of which.
    #[must_use]
    pub fn of(data: &Data) -> Option<Self> {
        let members = data.values.first().and_then(Value::list).filter(|_| data.name == "FETCH")?;
        let pairs = members.chunks_exact(2).filter_map(|pair| match pair {
            [name, value] => Some((name.text()?.to_ascii_uppercase(), value.clone())),
            _ => None,
        });
        let items: Vec<_> = pairs.collect();
        let uid = items.iter().find(|(name, _)| name == "UID")?.1.number()?;
        Some(Self { uid: u32::try_from(uid).ok()?, items })
    }

    fn item(&self, name: &str) -> Option<&Value> {
        self.items.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// How many bytes it has.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.item("RFC822.SIZE")?.number()
    }

    /// When it came into the mailbox (RFC 8514), in seconds since 1970.
    #[must_use]
    pub fn savedate(&self) -> Option<i64> {
        parse_date_time(self.item("SAVEDATE")?.text()?)
    }

    /// Its flags and keywords.
    #[must_use]
    pub fn flags(&self) -> Option<Vec<String>> {
        let flags = self.item("FLAGS")?.list()?.iter().filter_map(Value::text);
        Some(flags.map(str::to_owned).collect())
    }

    /// Its bytes.
    #[must_use]
    pub fn body(&self) -> Option<&[u8]> {
        self.item("BODY[]")?.bytes()
    }
}

impl Session {
    /// UID SEARCH: the UIDs of the messages that came into the mailbox on the day of that time or
    /// later. The server's day: one before is asked for, whatever its zone.
    pub fn saved_since(&mut self, seconds: i64) -> Result<Vec<u32>, Error> {
        const DAY: i64 = 86_400;
        let day = search_day(seconds.saturating_sub(DAY));
        let criteria = day.map_or_else(|| "ALL".to_owned(), |day| format!("SAVEDSINCE {day}"));
        let mut uids = Vec::new();
        self.must("SEARCH", &format!("UID SEARCH {criteria}"), &mut |data| {
            if data.name == "SEARCH" {
                let numbers = data.values.iter().filter_map(Value::number);
                uids.extend(numbers.filter_map(|number| u32::try_from(number).ok()));
            }
            Ok(())
        })?;
        uids.sort_unstable();
        uids.dedup();
        Ok(uids)
    }

    /// UID FETCH of sizes, and of save dates where these are offered.
    pub fn sizes(&mut self, uids: &[u32]) -> Result<Vec<Fetched>, Error> {
        let mut all = Vec::new();
        for (_, set) in uid_sets(uids, UIDS_AT_A_TIME) {
            self.sizes_of(&set, &mut all)?;
        }
        Ok(all)
    }

    /// The same of all messages from this UID on.
    pub fn sizes_from(&mut self, uid: u32) -> Result<Vec<Fetched>, Error> {
        let mut all = Vec::new();
        self.sizes_of(&format!("{uid}:*"), &mut all)?;
        // `*` is the last message, be it older.
        all.retain(|fetched| fetched.uid >= uid);
        Ok(all)
    }

    /// UID FETCH of flags and sizes. What is not there is not told.
    pub fn flags(&mut self, uids: &[u32]) -> Result<Vec<Fetched>, Error> {
        let mut all = Vec::new();
        for (_, set) in uid_sets(uids, UIDS_AT_A_TIME) {
            self.must("FETCH", &format!("UID FETCH {set} (FLAGS RFC822.SIZE)"), &mut |data| {
                all.extend(Fetched::of(data).filter(|fetched| fetched.size().is_some()));
                Ok(())
            })?;
        }
        Ok(all)
    }

    fn sizes_of(&mut self, set: &str, all: &mut Vec<Fetched>) -> Result<(), Error> {
        let items =
            if self.offers("SAVEDATE") { "(RFC822.SIZE SAVEDATE)" } else { "(RFC822.SIZE)" };
        self.must("FETCH", &format!("UID FETCH {set} {items}"), &mut |data| {
            all.extend(Fetched::of(data));
            Ok(())
        })
    }

    /// UID FETCH of whole messages, none of more than `largest` bytes, each handed to `each` as it
    /// comes. Nothing about them changes.
    pub fn bodies(
        &mut self,
        uids: &[u32],
        largest: u64,
        each: &mut dyn FnMut(&Fetched),
    ) -> Result<(), Error> {
        let largest = usize::try_from(largest).unwrap_or(usize::MAX);
        let reply = largest.saturating_add(AROUND);
        for (chunk, set) in uid_sets(uids, UIDS_AT_A_TIME) {
            let bounds =
                Bounds { reply, total: reply.saturating_mul(chunk.len().saturating_add(1)) };
            let tag = self.start(&format!("UID FETCH {set} (BODY.PEEK[])\r\n"))?;
            let said = self.finish_with(&tag, bounds, &mut |told| {
                if let Told::Data(data) = told
                    && let Some(fetched) = Fetched::of(data)
                {
                    each(&fetched);
                }
                Ok(())
            })?;
            require_ok(said)?;
        }
        Ok(())
    }
}

fn require_ok(said: Status) -> Result<(), Error> {
    if said.condition == Condition::Ok {
        return Ok(());
    }
    Err(Error::Refused { command: "FETCH", said })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_message_is_found_by_name_whatever_else_is_told() {
        let values = b"(XNEW (a b) UID 7 BODY[] {2}\r\nhi RFC822.SIZE 2 SAVEDATE \
                       \"07-Nov-2006 10:11:12 +0100\")";
        let data = |name: &str| Data {
            number: Some(3),
            name: name.to_owned(),
            values: Value::all_of(values).unwrap(),
        };
        let fetched = Fetched::of(&data("FETCH")).unwrap();
        assert_eq!((fetched.uid, fetched.size()), (7, Some(2)));
        assert_eq!((fetched.savedate(), fetched.body()), (Some(1_162_890_672), Some(&b"hi"[..])));
        assert_eq!(Fetched::of(&data("STORE")), None);
    }
}
