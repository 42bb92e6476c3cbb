//! The form since 3.6: one keyed list (`mailbox_header_data_cstring`, `parseentry_cb`).

use memchr::memchr;

use super::{FlagNames, HeaderFile, HeaderForm};
use crate::DecodeError;
use crate::dlist::{self, Dlist};

/// The keys in the order Cyrus writes them.
const KEYS: [&[u8]; 7] = [b"T", b"N", b"I", b"J", b"Q", b"A", b"U"];

pub(super) fn decode(body: &[u8]) -> Result<HeaderFile, DecodeError> {
    // Cyrus takes what stands before the first line feed, and refuses a file without one.
    let Some(line) = memchr(b'\n', body).and_then(|end| body.get(..end)) else {
        let found = format!("{} bytes without end", body.len());
        return Err(DecodeError::new(0, "header", "a line", found));
    };
    let (list, used) = dlist::parse(line)?;
    let Dlist::Kv(pairs) = list else {
        return Err(DecodeError::new(0, "header", "a keyed list", "another value"));
    };
    // Cyrus, where a key is repeated, keeps the last.
    let value =
        |key: &[u8]| pairs.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value);
    let text = |key| value(key).and_then(text_of);
    let mut header = HeaderFile::new(HeaderForm::Dlist);
    header.mbtype = text(b"T");
    header.name = text(b"N");
    header.uniqueid = text(b"I");
    header.jmapid = text(b"J");
    header.quotaroot = text(b"Q");
    header.acl = value(b"A").and_then(acl_of);
    if let Some(flags) = value(b"U") {
        header.flag_names = flag_names_of(flags)?;
    }
    header.trailing = body.get(used..).unwrap_or(&[]).to_vec();
    header.pairs = pairs;
    Ok(header)
}

fn text_of(value: &Dlist) -> Option<Vec<u8>> {
    value.as_bytes().map(<[u8]>::to_vec)
}

/// `%(erin lrs anyone p)` is Cyrus's `erin TAB lrs TAB anyone TAB p TAB`.
fn acl_of(value: &Dlist) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    for (identifier, rights) in value.as_kv()? {
        for part in [identifier.as_slice(), rights.as_bytes().unwrap_or_default()] {
            text.extend_from_slice(part);
            text.push(b'\t');
        }
    }
    Some(text)
}

fn flag_names_of(value: &Dlist) -> Result<FlagNames, DecodeError> {
    FlagNames::new(value.as_list().unwrap_or(&[]).iter().map(text_of))
}

pub(super) fn encode_into(header: &HeaderFile, out: &mut Vec<u8>) {
    let text = |text: &Option<Vec<u8>>| text.clone().map(Dlist::Atom);
    let mut pairs = header.pairs.clone();
    put(&mut pairs, b"T", text(&header.mbtype), |old| text_of(old) == header.mbtype);
    put(&mut pairs, b"N", text(&header.name), |old| text_of(old) == header.name);
    put(&mut pairs, b"I", text(&header.uniqueid), |old| text_of(old) == header.uniqueid);
    put(&mut pairs, b"J", text(&header.jmapid), |old| text_of(old) == header.jmapid);
    put(&mut pairs, b"Q", text(&header.quotaroot), |old| text_of(old) == header.quotaroot);
    let acl = header.acl.as_deref().map(acl_list);
    put(&mut pairs, b"A", acl, |old| acl_of(old) == header.acl);
    let same_names = |old: &Dlist| flag_names_of(old).as_ref() == Ok(&header.flag_names);
    put(&mut pairs, b"U", flag_list(&header.flag_names), same_names);
    out.extend(dlist::encode_line(&Dlist::Kv(pairs)));
    out.extend(&header.trailing);
}

/// Sets, adds or removes the value of `key`, and leaves it alone where `is_same` says that it
/// already means that: what was read is written back as it was.
fn put(
    pairs: &mut Vec<(Vec<u8>, Dlist)>,
    key: &[u8],
    value: Option<Dlist>,
    is_same: impl Fn(&Dlist) -> bool,
) {
    let found = pairs.iter().rposition(|(name, _)| name == key);
    match (found.and_then(|at| pairs.get_mut(at)), value) {
        (Some((_, old)), _) if is_same(old) => {}
        (Some((_, old)), Some(value)) => *old = value,
        (Some(_), None) => pairs.retain(|(name, _)| name != key),
        (None, Some(value)) => {
            let rank = |key: &[u8]| KEYS.iter().position(|known| *known == key);
            let is_later =
                |(name, _): &(Vec<u8>, Dlist)| rank(name).is_none_or(|at| Some(at) > rank(key));
            let at = pairs.iter().position(is_later).unwrap_or(pairs.len());
            pairs.insert(at, (key.to_vec(), value));
        }
        (None, None) => {}
    }
}

/// As `mailbox_acl_to_dlist`, which stops at text that is not pairs.
fn acl_list(acl: &[u8]) -> Dlist {
    let mut parts = acl.split(|&byte| byte == b'\t');
    let mut pairs = Vec::new();
    while let (Some(identifier), Some(rights)) = (parts.next(), parts.next()) {
        pairs.push((identifier.to_vec(), Dlist::atom(rights)));
    }
    Dlist::Kv(pairs)
}

/// Nothing where no slot has a name; else holes are `NIL`, and none follows the last name.
fn flag_list(names: &FlagNames) -> Option<Dlist> {
    let slots = names.slots();
    let last = slots.iter().rposition(Option::is_some)?;
    let written = slots.iter().take(last.saturating_add(1)).cloned();
    Some(Dlist::List(written.map(|name| name.map_or(Dlist::Nil, Dlist::Atom)).collect()))
}

#[cfg(test)]
mod tests {
    use super::super::MAGIC;
    use super::*;

    fn file(body: &str) -> Vec<u8> {
        [MAGIC, body.as_bytes()].concat()
    }

    #[test]
    fn what_cyrus_3_6_and_3_13_wrote_is_written_back_byte_for_byte() {
        for body in [
            "%(T e N user.erin I 11bt Q user.erin A %(erin lrs frank \"\") U (Work $Forwarded))\n",
            "%(T e N shared I 1cd2-7d J P-F A %(anyone lrs))\n",
            "%(T e N user.erin I 1 J NIL A %() U (Work NIL \"a b\" NIL))\n",
            "%(N x Z (1 2 %(a b)) T e I 1 I 2 A %(a b))\n",
            "%()\n\nmore",
        ] {
            let bytes = file(body);
            let header = HeaderFile::decode(&bytes).unwrap();
            assert_eq!(header.encode(), bytes, "{body:?}");
            assert_eq!(HeaderFile::decode(&header.encode()), Ok(header));
        }
    }

    #[test]
    fn every_key_is_read() {
        let body =
            "%(T e N user.erin I 11bt J P-F Q user A %(erin lrs anyone p) U (Work NIL $F))\n";
        let header = HeaderFile::decode(&file(body)).unwrap();
        let text = |text: &Option<Vec<u8>>| String::from_utf8(text.clone().unwrap()).unwrap();
        assert_eq!(header.form, HeaderForm::Dlist);
        assert_eq!(text(&header.mbtype), "e");
        assert_eq!(text(&header.name), "user.erin");
        assert_eq!(text(&header.uniqueid), "11bt");
        assert_eq!(text(&header.jmapid), "P-F");
        assert_eq!(text(&header.quotaroot), "user");
        assert_eq!(text(&header.acl), "erin\tlrs\tanyone\tp\t");
        let names: Vec<_> = header.flag_names.iter().collect();
        assert_eq!(names, [(0, &b"Work"[..]), (2, b"$F")]);
    }

    #[test]
    fn a_changed_field_is_written_and_unknown_keys_stay() {
        let body = "%(T e N user.erin I 11bt A %(erin lrs) X (1))\n";
        let mut header = HeaderFile::decode(&file(body)).unwrap();
        header.acl = Some(b"erin\tlrs\tfrank\tp\t".to_vec());
        header.quotaroot = Some(b"user".to_vec());
        header.mbtype = None;
        header.flag_names.set(1, Some(b"Work".to_vec()));
        let expected = "%(N user.erin I 11bt Q user A %(erin lrs frank p) U (NIL Work) X (1))\n";
        assert_eq!(header.encode(), file(expected));
    }

    #[test]
    fn a_cut_list_and_a_129th_keyword_are_errors() {
        assert!(HeaderFile::decode(&file("%(T e N user")).is_err());
        let names = "a ".repeat(129);
        assert!(HeaderFile::decode(&file(&format!("%(U ({names}))\n"))).is_err());
        assert!(HeaderFile::decode(&file(&format!("%(U ({}))\n", &names[2..]))).is_ok());
    }
}
