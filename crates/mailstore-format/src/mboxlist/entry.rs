//! One record of `mailboxes.db`, in its dlist form and in the text form of old.

use std::collections::{HashMap, HashSet};

use super::mbtype::MailboxType;
use super::names::{HIERARCHY_SEPARATOR, name_from_db, name_to_db};
use crate::dlist::{self, AtomRule, Dlist};
use crate::{DecodeError, ModSeq, Timestamp, UidValidity};

/// The order in which `mboxlist_entry_dlist` writes what is there.
const FIELDS: [&[u8]; 12] =
    [b"T", b"N", b"I", b"J", b"P", b"S", b"V", b"C", b"F", b"M", b"A", b"H"];

/// What one record of `mailboxes.db` says of a mailbox. What it does not say is `None`, or empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailboxEntry {
    /// The internal name, with `.` between the levels, as in `user.erin.Sent`.
    pub name: Vec<u8>,
    /// The id that names the mailbox's directory, unless that goes by name.
    pub uniqueid: Option<Vec<u8>>,
    /// The id that JMAP clients know it by; since 3.12.
    pub jmapid: Option<Vec<u8>>,
    /// Type and flags.
    pub mbtype: MailboxType,
    /// The partition it lies on; tombstones and intermediates of 3.6 have none.
    pub partition: Option<Vec<u8>>,
    /// The server that has it, in a murder.
    pub server: Option<Vec<u8>>,
    /// Who may do what: identifier and rights, in order.
    pub acl: Option<Vec<(Vec<u8>, Vec<u8>)>>,
    /// The generation of its UIDs, as of the last write of this record: it can lag.
    pub uidvalidity: Option<UidValidity>,
    /// The modseq of the last change to the mailbox as a folder.
    pub foldermodseq: Option<ModSeq>,
    /// The modseq at its creation.
    pub createdmodseq: Option<ModSeq>,
    /// When this record was written; whole seconds.
    pub mtime: Option<Timestamp>,
    /// The special use that releases of the 2.4 series kept here.
    pub legacy_specialuse: Option<Vec<u8>>,
    /// Under which names it was known before; records by unique id have the list, if empty.
    pub former_names: Option<Vec<FormerName>>,
    /// Fields that are not known here.
    pub other: Vec<(Vec<u8>, Dlist)>,
    form: Form,
    /// The fields as they were written, including those that were `NIL`.
    written: Vec<Vec<u8>>,
    /// The field that the key carries, so that the value does not.
    in_key: InKey,
}

/// What a record goes by: that much its value need not repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKey<'a> {
    /// The internal name.
    Name(&'a [u8]),
    /// The unique id.
    Uniqueid(&'a [u8]),
    /// The id of JMAP.
    Jmapid(&'a [u8]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum InKey {
    #[default]
    Name,
    Uniqueid,
    Jmapid,
}

/// A name a mailbox had, from the record of its unique id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerName {
    /// The internal name.
    pub name: Vec<u8>,
    /// Until when; whole seconds.
    pub mtime: Option<Timestamp>,
    /// UIDVALIDITY under that name.
    pub uidvalidity: Option<UidValidity>,
    /// The modseq at creation.
    pub createdmodseq: Option<ModSeq>,
    /// The modseq of the last change under that name.
    pub foldermodseq: Option<ModSeq>,
    /// Type and flags.
    pub mbtype: MailboxType,
    /// The partition.
    pub partition: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Dlist(AtomRule),
    /// `type partition acl`; with `(name value ...)` before it where that is set.
    Text {
        extended: bool,
    },
}

impl Default for Form {
    fn default() -> Self {
        Self::Dlist(AtomRule::default())
    }
}

impl MailboxEntry {
    /// Reads the value of the record under `key` (`mboxlist_parse_entry`).
    ///
    /// # Errors
    /// Where the value has neither form, or a field is not what it must be.
    pub fn decode(key: RecordKey<'_>, value: &[u8]) -> Result<Self, DecodeError> {
        let mut entry = Self::default();
        if value.first() == Some(&b'%') {
            entry.decode_dlist(value)?;
        } else {
            entry.decode_text(value)?;
        }
        match key {
            RecordKey::Name(name) => entry.name = name.to_vec(),
            RecordKey::Uniqueid(id) => {
                entry.in_key = InKey::Uniqueid;
                entry.uniqueid.get_or_insert_with(|| id.to_vec());
            }
            RecordKey::Jmapid(id) => {
                entry.in_key = InKey::Jmapid;
                entry.jmapid.get_or_insert_with(|| id.to_vec());
            }
        }
        Ok(entry)
    }

    fn decode_dlist(&mut self, value: &[u8]) -> Result<(), DecodeError> {
        let fields = dlist::parse_whole(value)?;
        let rule = AtomRule::WithUnitSeparator;
        if value.contains(&HIERARCHY_SEPARATOR) && dlist::encode_by(&fields, rule) != value {
            self.form = Form::Dlist(AtomRule::WithoutUnitSeparator);
        }
        let mut known = HashSet::new();
        for (key, value) in fields.as_kv().ok_or_else(|| malformed("mailbox entry", &fields))? {
            if known.insert(key) {
                self.written.push(key.clone());
            }
            if *value == Dlist::Nil {
                continue;
            }
            match key.as_slice() {
                b"T" => self.mbtype = MailboxType::from_letters(&string("T", value)?),
                b"N" => self.name = name_from_db(&string("N", value)?),
                b"I" => self.uniqueid = Some(string("I", value)?),
                b"J" => self.jmapid = Some(string("J", value)?),
                b"P" => self.partition = Some(string("P", value)?),
                b"S" => self.server = Some(string("S", value)?),
                b"V" => self.uidvalidity = Some(uidvalidity(value)?),
                b"C" => self.createdmodseq = Some(modseq("C", value)?),
                b"F" => self.foldermodseq = Some(modseq("F", value)?),
                b"M" => self.mtime = Some(seconds(value)?),
                b"A" => {
                    let pairs = value.as_kv().ok_or_else(|| malformed("A", value))?;
                    let pair =
                        |(who, rights): &(Vec<u8>, Dlist)| Ok((who.clone(), string("A", rights)?));
                    self.acl = Some(pairs.iter().map(pair).collect::<Result<_, _>>()?);
                }
                b"H" => {
                    let items = value.as_list().ok_or_else(|| malformed("H", value))?;
                    let names: Result<_, _> = items.iter().map(FormerName::decode).collect();
                    self.former_names = Some(names?);
                }
                _ => self.other.push((key.clone(), value.clone())),
            }
        }
        Ok(())
    }

    fn decode_text(&mut self, value: &[u8]) -> Result<(), DecodeError> {
        let mut rest = value;
        let extended = value.first() == Some(&b'(');
        if extended {
            let (fields, used) = dlist::parse(value)?;
            let words = fields.as_list().unwrap_or_default();
            for pair in words.chunks(2) {
                let [name, field] = pair else { return Err(malformed("mailbox entry", &fields)) };
                let (name, field) = (string("name", name)?, string("value", field)?);
                match name.as_slice() {
                    b"uniqueid" => self.uniqueid = Some(field),
                    b"specialuse" => self.legacy_specialuse = Some(field),
                    _ => self.other.push((name.clone(), Dlist::Atom(field))),
                }
                self.written.push(name);
            }
            rest = value.get(used..).unwrap_or_default();
            rest = rest.strip_prefix(b" ").unwrap_or(rest);
        }
        self.form = Form::Text { extended };
        let mut words = rest.splitn(3, |&byte| byte == b' ');
        let (number, place) = (words.next().unwrap_or_default(), words.next());
        let acl = words.next().unwrap_or_default();
        let bits = std::str::from_utf8(number).ok().and_then(|digits| digits.parse().ok());
        let (Some(bits), Some(place)) = (bits, place) else {
            let expected = "%(...) or a type, a partition and an ACL";
            let found = value.get(..value.len().min(40)).unwrap_or_default();
            let found = found.escape_ascii().to_string();
            return Err(DecodeError::new(0, "mailbox entry", expected, found));
        };
        self.mbtype = MailboxType::from_number(bits);
        let mut parts = place.splitn(2, |&byte| byte == b'!').map(<[u8]>::to_vec);
        let (first, second) = (parts.next(), parts.next());
        (self.server, self.partition) =
            if second.is_some() { (first, second) } else { (None, first) };
        let words: Vec<_> = acl.strip_suffix(b"\t").unwrap_or(acl).split(|&b| b == b'\t').collect();
        let pair = |pair: &[&[u8]]| {
            let rights = pair.get(1).copied().unwrap_or_default();
            Some((pair.first()?.to_vec(), rights.to_vec()))
        };
        self.acl = Some(if acl.is_empty() {
            Vec::new()
        } else {
            words.chunks(2).filter_map(pair).collect()
        });
        Ok(())
    }

    /// The value of the record, in the form and order in which it was read; fields that were added
    /// since follow in Cyrus's order. An entry made here is written as 3.6 writes a record by name.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self.form {
            Form::Text { extended } => self.encode_text(extended),
            Form::Dlist(rule) => {
                let other = self.other_by_name();
                let of_other =
                    |key: &[u8]| other.get(key).map_or(Dlist::Nil, |&value| value.clone());
                let value = |key: &[u8]| self.field(key).unwrap_or_else(|| of_other(key));
                let in_key = match self.in_key {
                    InKey::Name => b"N",
                    InKey::Uniqueid => b"I",
                    InKey::Jmapid => b"J",
                };
                let known = self.written.iter().map(Vec::as_slice);
                let more = FIELDS.into_iter().filter(|&field| {
                    let is_new = !self.written.iter().any(|written| written == field);
                    is_new && field != in_key && value(field) != Dlist::Nil
                });
                let pairs = known.chain(more).map(|key| (key.to_vec(), value(key))).collect();
                dlist::encode_by(&Dlist::Kv(pairs), rule)
            }
        }
    }

    /// Of fields that are not known here and repeated, the first counts (`dlist_getchild`).
    fn other_by_name(&self) -> HashMap<&[u8], &Dlist> {
        self.other.iter().rev().map(|(name, value)| (name.as_slice(), value)).collect()
    }

    /// The value of a field that is known here; `NIL` where it is not set.
    fn field(&self, key: &[u8]) -> Option<Dlist> {
        Some(match key {
            b"T" => Dlist::atom(self.mbtype.letters()),
            b"N" => Dlist::Atom(name_to_db(&self.name)),
            b"I" => text_field(self.uniqueid.as_ref()),
            b"J" => text_field(self.jmapid.as_ref()),
            b"P" => text_field(self.partition.as_ref()),
            b"S" => text_field(self.server.as_ref()),
            b"V" => number_field(self.uidvalidity.map(|value| value.0.into())),
            b"C" => number_field(self.createdmodseq.map(|value| value.0)),
            b"F" => number_field(self.foldermodseq.map(|value| value.0)),
            b"M" => number_field(self.mtime.map(|value| value.seconds().cast_unsigned())),
            b"A" => self.acl.as_ref().map_or(Dlist::Nil, |acl| {
                let pair = |(who, rights): &(Vec<u8>, Vec<u8>)| {
                    (who.clone(), Dlist::atom(rights.as_slice()))
                };
                Dlist::Kv(acl.iter().map(pair).collect())
            }),
            b"H" => self.former_names.as_ref().map_or(Dlist::Nil, |names| {
                Dlist::List(names.iter().map(FormerName::to_dlist).collect())
            }),
            _ => return None,
        })
    }

    fn encode_text(&self, extended: bool) -> Vec<u8> {
        let mut out = Vec::new();
        if extended {
            let other = self.other_by_name();
            let mut words = Vec::new();
            for name in &self.written {
                let value = match name.as_slice() {
                    b"uniqueid" => self.uniqueid.as_deref(),
                    b"specialuse" => self.legacy_specialuse.as_deref(),
                    _ => other.get(name.as_slice()).and_then(|value| value.as_bytes()),
                };
                words.extend([text_word(name), value.map_or(b"NIL".to_vec(), text_word)]);
            }
            out.extend([b"(", words.join(&b' ').as_slice(), b") "].concat());
        }
        out.extend(self.mbtype.letters_or_number());
        out.push(b' ');
        if let Some(server) = &self.server {
            out.extend([server, &b"!"[..]].concat());
        }
        out.extend(self.partition.iter().flatten());
        out.push(b' ');
        for (who, rights) in self.acl.iter().flatten() {
            out.extend([who, &b"\t"[..], rights, b"\t"].concat());
        }
        out
    }
}

impl FormerName {
    fn decode(item: &Dlist) -> Result<Self, DecodeError> {
        let field = |key: &[u8]| item.get(key).filter(|&value| *value != Dlist::Nil);
        let name = field(b"N").ok_or_else(|| malformed("H", item))?;
        Ok(Self {
            name: name_from_db(&string("N", name)?),
            mtime: field(b"M").map(seconds).transpose()?,
            uidvalidity: field(b"V").map(uidvalidity).transpose()?,
            createdmodseq: field(b"C").map(|value| modseq("C", value)).transpose()?,
            foldermodseq: field(b"F").map(|value| modseq("F", value)).transpose()?,
            mbtype: match field(b"T") {
                Some(letters) => MailboxType::from_letters(&string("T", letters)?),
                None => MailboxType::default(),
            },
            partition: field(b"P").map(|value| string("P", value)).transpose()?,
        })
    }

    fn to_dlist(&self) -> Dlist {
        let number = |value: Option<u64>| value.map(Dlist::number);
        let pairs = [
            (b"N", Some(Dlist::Atom(name_to_db(&self.name)))),
            (b"M", number(self.mtime.map(|mtime| mtime.seconds().cast_unsigned()))),
            (b"V", number(self.uidvalidity.map(|value| value.0.into()))),
            (b"C", number(self.createdmodseq.map(|value| value.0))),
            (b"F", number(self.foldermodseq.map(|value| value.0))),
            (b"T", Some(Dlist::atom(self.mbtype.letters()))),
            (b"P", self.partition.as_deref().map(Dlist::atom)),
        ];
        let pairs = pairs.into_iter().filter_map(|(key, value)| Some((key.to_vec(), value?)));
        Dlist::Kv(pairs.collect())
    }
}

/// A word of the text form: as it is, backslash and all, where it reads as itself; else by the rules
/// of dlist.
fn text_word(word: &[u8]) -> Vec<u8> {
    match dlist::parse_whole(word) {
        Ok(read) if read.as_bytes() == Some(word) => word.to_vec(),
        _ => dlist::encode(&Dlist::atom(word)),
    }
}

fn text_field(value: Option<&Vec<u8>>) -> Dlist {
    value.map_or(Dlist::Nil, |bytes| Dlist::atom(bytes.as_slice()))
}

fn number_field(value: Option<u64>) -> Dlist {
    value.map_or(Dlist::Nil, Dlist::number)
}

fn malformed(field: &'static str, value: &Dlist) -> DecodeError {
    let mut found = dlist::encode(value).escape_ascii().to_string();
    found.truncate(60);
    DecodeError::new(0, field, "another kind of value", found)
}

fn string(field: &'static str, value: &Dlist) -> Result<Vec<u8>, DecodeError> {
    value.as_bytes().map(<[u8]>::to_vec).ok_or_else(|| malformed(field, value))
}

fn uidvalidity(value: &Dlist) -> Result<UidValidity, DecodeError> {
    value.as_u32().map(UidValidity).ok_or_else(|| malformed("V", value))
}

fn modseq(field: &'static str, value: &Dlist) -> Result<ModSeq, DecodeError> {
    value.as_u64().map(ModSeq).ok_or_else(|| malformed(field, value))
}

fn seconds(value: &Dlist) -> Result<Timestamp, DecodeError> {
    let seconds = value.as_u64().and_then(|seconds| i64::try_from(seconds).ok());
    seconds.map(Timestamp::from_seconds).ok_or_else(|| malformed("M", value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mboxlist::MailboxKind;

    const NAME: RecordKey<'_> = RecordKey::Name(b"user.erin");
    const ID: RecordKey<'_> = RecordKey::Uniqueid(b"secyqjy67lqc9c47g2vmeg25");

    #[track_caller]
    fn assert_written_back(key: RecordKey<'_>, value: &[u8]) -> MailboxEntry {
        let entry = MailboxEntry::decode(key, value).expect("a record of Cyrus's own");
        assert_eq!(entry.encode().escape_ascii().to_string(), value.escape_ascii().to_string());
        entry
    }

    /// They were taken for those, and their values lost.
    #[test]
    fn words_of_the_old_form_may_be_named_like_fields_of_the_new() {
        assert_written_back(NAME, b"(I t A \"b c\") 0 default erin\tlrs\t");
    }

    #[test]
    fn a_record_by_name_gives_all_its_fields() {
        let value = b"%(T el I 3x01yxu0u2cf81mo11l7ahm9 P default V 1795236007 C 1 F 2 M 1795236006 A %(erin lrswipkxtecdan frank lrs))";
        let entry = assert_written_back(NAME, value);
        assert_eq!(entry.name, b"user.erin");
        assert_eq!(entry.uniqueid.as_deref(), Some(&b"3x01yxu0u2cf81mo11l7ahm9"[..]));
        assert_eq!(entry.partition.as_deref(), Some(&b"default"[..]));
        assert_eq!(entry.uidvalidity, Some(UidValidity(1_795_236_007)));
        assert_eq!((entry.createdmodseq, entry.foldermodseq), (Some(ModSeq(1)), Some(ModSeq(2))));
        assert_eq!(entry.acl.as_ref().map(Vec::len), Some(2));
        assert_eq!(entry.mbtype.kind(), MailboxKind::Email);
        assert_eq!(entry.former_names, None);
    }

    #[test]
    fn a_record_by_unique_id_gives_the_name_and_the_former_names() {
        let value = b"%(T el N user\x1ferin\x1fOld P default M 1795236010 A %(erin lrs) H (%(N user\x1ferin\x1fArchive M 1795236010 V 1795236007 C 1 F 5 T edl)))";
        let entry = assert_written_back(ID, value);
        assert_eq!(entry.name, b"user.erin.Old");
        assert_eq!(entry.uniqueid.as_deref(), Some(&b"secyqjy67lqc9c47g2vmeg25"[..]));
        let former = entry.former_names.expect("a list");
        assert_eq!(
            former.first().map(|item| item.name.as_slice()),
            Some(&b"user.erin.Archive"[..])
        );
        assert!(former.first().is_some_and(|item| item.mbtype.is_deleted()));
    }

    #[test]
    fn tombstones_and_intermediates_of_both_releases_are_written_back() {
        assert!(assert_written_back(NAME, b"%(T ed I x V 1 C 14 F 130 M 9)").mbtype.is_deleted());
        let value = b"%(T ei I 29e4 J NIL P default M 9 A %(erin lrs))";
        let entry = assert_written_back(NAME, value);
        assert!(entry.mbtype.is_intermediate());
        assert_eq!(entry.jmapid, None);
        assert_written_back(ID, b"%(T e N \"user\x1ferin\" J P-F P default M 9 H ())");
    }

    #[test]
    fn a_record_of_old_is_text() {
        let entry = assert_written_back(NAME, b"0 default erin\tlrswipcda\tanyone\tp\t");
        assert_eq!(entry.partition.as_deref(), Some(&b"default"[..]));
        assert_eq!(entry.acl.as_ref().map(Vec::len), Some(2));
        assert!(entry.mbtype.is_stored_by_name());
        let entry = assert_written_back(NAME, b"1 backend.example!default erin\tlrs\t");
        assert_eq!(entry.server.as_deref(), Some(&b"backend.example"[..]));
        assert!(entry.mbtype.is_remote());
        let value = b"(uniqueid 4b2c specialuse \\Sent) 0 default erin\tlrs\t";
        let entry = assert_written_back(NAME, value);
        assert_eq!(entry.uniqueid.as_deref(), Some(&b"4b2c"[..]));
        assert_eq!(entry.legacy_specialuse.as_deref(), Some(&b"\\Sent"[..]));
    }

    #[test]
    fn a_field_that_is_added_is_written_in_its_place_of_order() {
        let mut entry = MailboxEntry::decode(NAME, b"%(T e M 9)").expect("a record");
        entry.uidvalidity = Some(UidValidity(7));
        assert_eq!(entry.encode(), b"%(T e M 9 V 7)");
    }

    proptest::proptest! {
        #[test]
        fn any_value_is_an_entry_or_an_error(value: Vec<u8>, start in 0..4_usize) {
            let starts = [&b""[..], b"%(", b"(", b"0 d "];
            let value = [starts.get(start).copied().unwrap_or_default(), &value].concat();
            if let Ok(entry) = MailboxEntry::decode(NAME, &value) {
                let _ = entry.encode();
            }
        }
    }
}
