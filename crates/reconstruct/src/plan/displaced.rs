//! Records whose own file is not their message: it is put back from where it is, or its file is made
//! whole, or what is left is kept and the record waits.

use mailstore::volume::message_file_name;
use mailstore_format::Uid;
use mailstore_format::index::IndexRecord;

use super::adoption::Found;
use super::loose::{Loose, What};
use super::matching::Holding;
use super::orphans::is_nothing;
use super::{CacheSource, Draft, Draughtsman, MessageContent, Put};
use crate::evidence::{CacheItem, FileEvidence, FileIdentity, MessageEvidence, Place};
use crate::finding::{Code, Remedy};
use crate::journal::WantedBecause;

impl<'a> Draughtsman<'a> {
    /// Gives a record its message from where that is. What has the record's name is exchanged for
    /// it.
    pub(super) fn put_back(
        &mut self,
        draft: &mut Draft,
        message: &'a MessageEvidence,
        source: &Holding<'a>,
    ) {
        let uid = draft.record.uid;
        let Holding { place, name, .. } = source;
        self.file_steps.puts.push(Put { place: *place, uid, content: source.content() });
        let also = match source.owner {
            Some((owner, _)) => format!(", which is message {} as well", owner.uid),
            None => String::new(),
        };
        let ends = if source.reading.with_crlf { ", but for its line ends" } else { "" };
        let detail = format!("its message is {}{also}{ends}; it is put back", name.display());
        self.find_about(uid, Code::MessagePutBack, Remedy::Repair, detail);
        let moves = Place::of(&draft.record) != *place;
        self.settle_place(draft, *place);
        // Where its header ends elsewhere than its record says, so it does in its cache item.
        let fits = draft.record.header_size == source.reading.fields.header_size;
        self.settle_derived_fields(draft, source.reading);
        if moves || !fits || draft.cache == CacheSource::None {
            self.take_cache_of(draft, source);
        }
        self.bring_back_if_pruned(draft, Some(source.reading.fields.guid));
        self.release_own_file(message, source);
    }

    /// The cache item of a message that has another's name as well, or the one made when it was
    /// read.
    fn take_cache_of(&mut self, draft: &mut Draft, source: &Holding<'_>) {
        let owner = source.owner.filter(|(owner, _)| Place::of(owner) == source.place);
        if let Some(staged) = source.reading.staged {
            draft.cache = CacheSource::Staged(staged);
            draft.record.cache_crc = source.reading.fields.cache_crc;
            draft.record.cache_version = source.reading.fields.cache_version;
            self.stale_cache_of(source.place);
        } else if let Some((owner, CacheItem::Sound(len))) = owner {
            draft.cache = CacheSource::Old { offset: owner.cache_offset, len };
            draft.record.cache_offset = owner.cache_offset;
            draft.record.cache_crc = owner.cache_crc;
            draft.record.cache_version = owner.cache_version;
        }
    }

    /// What stood under the name of a record that gets its message from elsewhere.
    fn release_own_file(&mut self, message: &'a MessageEvidence, source: &Holding<'a>) {
        let FileEvidence::Regular { place, identity, .. } = message.file else { return };
        let exchanged = place == source.place;
        let name = message_file_name(message.uid);
        let taken = self.matching.takes(place, name.as_ref());
        let other = message.reading.as_ref().filter(|reading| {
            let is_message = reading.fields.has_header && !is_nothing(message);
            is_message && reading.likeness.is_another(source.reading.likeness)
        });
        match other {
            Some(reading) if !taken && !self.evidence.witnesses.dav => self.loose.push(Loose {
                found: Found { place, identity, reading },
                name: name.into(),
                exchanged,
                what: What::Other,
            }),
            _ if exchanged => {}
            _ => self.set_message_aside(message, "its record has its message again"),
        }
    }

    /// Makes the file of a record whole that is its message but for its line ends.
    pub(super) fn restore_line_ends(&mut self, message: &MessageEvidence, record: &IndexRecord) {
        let FileEvidence::Regular { place, identity, .. } = message.file else { return };
        if message.reading.as_ref().is_some_and(|reading| reading.with_crlf) {
            self.put_with_crlf(record.uid, place, identity);
        }
    }

    /// Makes the file of message `uid` whole by its line ends.
    pub(super) fn put_with_crlf(&mut self, uid: Uid, place: Place, identity: FileIdentity) {
        let detail =
            "its file is the message but for its line ends, which are LF; they are CRLF again";
        self.find_about(uid, Code::LineEndsRestored, Remedy::Repair, detail);
        let name = message_file_name(uid).into();
        let content = MessageContent { name, identity, with_crlf: true };
        self.file_steps.puts.push(Put { place, uid, content });
    }

    /// Whether a record's file was found not to be its message, and the tool may act on that: not in
    /// a mailbox whose database is keyed by UID.
    pub(super) fn is_damaged(&self, message: &MessageEvidence, record: &IndexRecord) -> bool {
        let known = !record.guid.is_null() && !self.evidence.witnesses.dav;
        let judged = message.reading.is_some() || message.file.is_empty();
        let whole = message.reading.as_ref().is_some_and(|reading| reading.with_crlf);
        known && judged && !whole && !message.is_message_of(record)
    }

    /// A record whose message is not there any more: what has its name is kept as what it is.
    pub(super) fn keep_damaged(&mut self, message: &'a MessageEvidence, record: &IndexRecord) {
        let FileEvidence::Regular { place, identity, .. } = message.file else { return };
        let name = message_file_name(record.uid);
        let taken = self.matching.takes(place, name.as_ref());
        let remains = message
            .reading
            .as_ref()
            .filter(|reading| reading.fields.has_header && !is_nothing(message) && !taken);
        let of_another = remains.zip(message.cached_likeness);
        let is_another = of_another.is_some_and(|(reading, was)| reading.likeness.is_another(was));
        if record.is_expunged() && !taken && !is_another {
            let detail =
                "its file is not the message it was; the message is expunged, and both stay";
            self.find_about(record.uid, Code::GuidMismatch, Remedy::Note, detail);
            return;
        }
        if !record.is_expunged() {
            self.want(record, WantedBecause::Damaged);
        }
        match remains {
            Some(reading) => self.loose.push(Loose {
                found: Found { place, identity, reading },
                name: name.into(),
                exchanged: false,
                what: if is_another { What::Other } else { What::Remains(Box::new(*record)) },
            }),
            None if taken => {
                self.set_message_aside(message, "it is the message of another name, which has it");
            }
            None => {
                let detail = "nothing of the message is left in its file, which is set aside";
                self.find_about(record.uid, Code::MessageEmpty, Remedy::Repair, detail);
                self.set_message_aside(message, "nothing of the message is left in it");
            }
        }
    }

    /// A record under whose name something lies that is no regular file.
    pub(super) fn keep_without_its_file(&mut self, record: &IndexRecord) {
        match self.odd_entry_of(record.uid) {
            None => {
                let detail = "the name of its file belongs to something that is no regular file; \
                              the record stays";
                self.find_about(record.uid, Code::NotARegularFile, Remedy::Left, detail);
            }
            Some(odd) if odd.entry.movable && !record.is_expunged() => {
                self.want(record, WantedBecause::Damaged);
            }
            Some(_) => {}
        }
    }
}
