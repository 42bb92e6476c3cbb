//! What came back, told to those whose mail it is.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use incident::{Incident, Recovered, StoreId};
use mailstore::mutf7;
use mailstore::namespace::Namespace;
use mailstore_format::Timestamp;

use crate::error::Error;
use crate::order::AMBIGUOUS;

/// A user's folders, each with what came back into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The user's id.
    pub user: String,
    /// By folder, as the user calls it.
    pub folders: BTreeMap<String, Recovered>,
}

impl Letter {
    /// One for each user into whose mailboxes anything came back or is held. What is in shared mailboxes
    /// is nobody's.
    pub fn all(
        incident: &Incident,
        store: StoreId,
        namespace: &Namespace,
    ) -> Result<Vec<Self>, Error> {
        let mut letters = BTreeMap::<String, Self>::new();
        for recovered in incident.recovered(store, AMBIGUOUS)? {
            let Ok(name) = namespace.parse_operator(&recovered.mailbox.name) else { continue };
            let parts = namespace.parts(&name);
            let Some(user) = parts.userid() else { continue };
            let user = String::from_utf8_lossy(&user).into_owned();
            let separator = namespace.separator().to_string();
            let decoded = |level: &[u8]| {
                mutf7::decode(level).unwrap_or_else(|| String::from_utf8_lossy(level).into_owned())
            };
            let levels = parts.boxes.iter().map(|level| decoded(level));
            let levels: Vec<_> = std::iter::once("INBOX".to_owned()).chain(levels).collect();
            let instead = recovered.folder.as_ref().map(|folder| decoded(folder.as_bytes()));
            let folder = instead.unwrap_or_else(|| levels.join(&separator));
            let letter = letters.entry(user.clone());
            let letter = letter.or_insert_with(|| Self { user, folders: BTreeMap::new() });
            letter.add(folder, recovered);
        }
        Ok(letters.into_values().collect())
    }

    /// Several mailboxes can have come into one folder.
    fn add(&mut self, folder: String, recovered: Recovered) {
        let together = match self.folders.remove(&folder) {
            None => recovered,
            Some(known) => {
                let dates = [known.received, recovered.received];
                let dates = dates.into_iter().flatten();
                Recovered {
                    messages: known.messages.saturating_add(recovered.messages),
                    of_class: known.of_class.saturating_add(recovered.of_class),
                    held: known.held.saturating_add(recovered.held),
                    received: dates.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1))),
                    ..known
                }
            }
        };
        self.folders.insert(folder, together);
    }

    /// The letter, in plain text. `mark` is the keyword of messages that the user may have deleted.
    #[must_use]
    pub fn text(&self, mark: Option<&str>) -> String {
        let mut text =
            String::from("These messages have been put back into your mail folders:\n\n");
        let folders = self.folders.keys().map(|folder| folder.chars().count());
        let width = folders.max().unwrap_or(0).max("folder".len());
        let _ = writeln!(text, "  {:width$}  messages  received", "folder");
        for (folder, recovered) in &self.folders {
            let received = recovered.received.map(|(first, last)| span(first, last));
            let received = received.unwrap_or_default();
            let messages = recovered.messages;
            let line = format!("  {folder:width$}  {messages:8}  {received}");
            let _ = writeln!(text, "{}", line.trim_end());
        }
        let sum = |of: fn(&Recovered) -> u64| self.folders.values().map(of).sum::<u64>();
        let (marked, held) = (sum(|it| it.of_class), sum(|it| it.held));
        if marked > 0 {
            let told = mark.map(|mark| format!(" They carry the keyword {mark}."));
            let _ = writeln!(
                text,
                "\n{marked} of them you may have deleted before: nothing is left that could tell.{} \
                 Delete those that you do not want.",
                told.unwrap_or_default()
            );
        }
        if held > 0 {
            let _ = writeln!(text, "\n{held} more are known and not back yet.");
        }
        text
    }
}

/// The days between which messages were received.
fn span(first: Timestamp, last: Timestamp) -> String {
    let day = |time: Timestamp| {
        let time = jiff::Timestamp::from_nanosecond(i128::from(time.0)).unwrap_or_default();
        time.strftime("%Y-%m-%d").to_string()
    };
    let (first, last) = (day(first), day(last));
    if first == last { first } else { format!("{first} to {last}") }
}

#[cfg(test)]
mod tests {
    use incident::MailboxId;

    use super::*;

    fn recovered(messages: u64, of_class: u64, held: u64) -> Recovered {
        let mailbox = MailboxId { uniqueid: String::new(), name: String::new() };
        let day = |day: i64| Timestamp::from_seconds(1_162_900_000 + day * 86_400);
        let received = (messages > 0).then(|| (day(0), day(2)));
        Recovered { mailbox, folder: None, messages, of_class, received, held }
    }

    #[test]
    fn a_letter_tells_folders_counts_and_dates_and_what_may_have_been_deleted() {
        let folders = [("INBOX", recovered(12, 0, 0)), ("INBOX.Entwürfe", recovered(3, 2, 1))];
        let folders = folders.map(|(folder, recovered)| (folder.to_owned(), recovered));
        let letter = Letter { user: "alice".to_owned(), folders: BTreeMap::from(folders) };
        let text = letter.text(Some("$Recovered"));
        let expected = "\
These messages have been put back into your mail folders:

  folder          messages  received
  INBOX                 12  2006-11-07 to 2006-11-09
  INBOX.Entwürfe         3  2006-11-07 to 2006-11-09

2 of them you may have deleted before: nothing is left that could tell. They carry the keyword \
$Recovered. Delete those that you do not want.

1 more are known and not back yet.
";
        assert_eq!(text, expected);
    }
}
