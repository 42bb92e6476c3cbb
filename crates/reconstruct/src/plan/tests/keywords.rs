//! A lost `cyrus.header`, and the keywords that only it named.

use mailstore_format::header_file::FlagNames;

use super::*;
use crate::evidence::{HeaderCopy, RestoredHeader};

fn names(list: &[&str]) -> FlagNames {
    let name = |name: &&str| (!name.is_empty()).then(|| name.as_bytes().to_vec());
    FlagNames::new(list.iter().map(name)).unwrap()
}

/// A mailbox whose `cyrus.header`, with these keywords, is lost; slots 0 and 2 are in use.
fn without_header_file(keywords: &[&str], quotaroot: Option<&str>) -> Evidence {
    let mut evidence = sound(&[1, 2]);
    let mut header = HeaderFile::new(HeaderForm::Dlist);
    header.name = Some(b"user.erin.Sent".to_vec());
    header.uniqueid = Some(b"11bt".to_vec());
    header.mbtype = Some(b"e".to_vec());
    header.acl = Some(b"erin\tlrs\t".to_vec());
    evidence.witnesses.header = Some(header.clone());
    header.quotaroot = quotaroot.map(Into::into);
    header.flag_names = names(keywords);
    for (slot, flags) in [(0, 0b101), (1, 0b001)] {
        let Slot::Record(record) = &mut evidence.index.slots[slot] else { return evidence };
        record.user_flags = UserFlags([flags, 0, 0, 0]);
    }
    let crc = crc32fast::hash(&header.encode());
    evidence.index.header.as_mut().unwrap().header_file_crc = crc;
    evidence.header_file = HeaderFileEvidence::Sound { value: Box::new(header), crc };
    settle_counts(&mut evidence);
    evidence.header_file = HeaderFileEvidence::Missing;
    evidence
}

/// The keywords after the repair.
fn keywords_after(plan: &Plan) -> Vec<(usize, String)> {
    let file = plan.rewrite.as_ref().unwrap().header_file.as_ref().unwrap();
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    file.flag_names.iter().map(|(slot, name)| (slot, text(name))).collect()
}

fn named(keywords: &[(usize, &str)]) -> Vec<(usize, String)> {
    keywords.iter().map(|&(slot, name)| (slot, name.to_owned())).collect()
}

#[test]
fn keywords_of_a_lost_header_file_come_back_from_other_mailboxes_by_proof() {
    for quotaroot in [None, Some("user.erin")] {
        let mut evidence = without_header_file(&["Work", "Old", "$Later"], quotaroot);
        // The same in part, in another order, and one that mail programs set.
        evidence.witnesses.header_traces.siblings =
            vec![names(&["$Later", "Travel"]), names(&["Work", "", "Old"])];
        let plan = plan(&evidence, policy());
        assert!(codes(&plan).contains(&Code::KeywordsProved), "{:?}", plan.findings);
        assert_eq!(keywords_after(&plan), named(&[(0, "Work"), (1, "Old"), (2, "$Later")]));
        let file = plan.rewrite.as_ref().unwrap().header_file.as_ref().unwrap();
        assert_eq!(file.quotaroot.as_deref(), quotaroot.map(str::as_bytes));
        assert!(!codes(&plan).contains(&Code::KeywordUnnamed));
    }
}

#[test]
fn a_hole_where_a_keyword_was_removed_is_proved_too() {
    let mut evidence = without_header_file(&["Work", "", "$Later", "$Forwarded"], None);
    evidence.witnesses.header_traces.siblings = vec![names(&["$Later", "Work"])];
    let plan = plan(&evidence, policy());
    assert_eq!(keywords_after(&plan), named(&[(0, "Work"), (2, "$Later"), (3, "$Forwarded")]));
}

#[test]
fn the_checksum_for_replication_proves_the_keywords_that_are_in_use() {
    let mut evidence = without_header_file(&["Work", "Unheard-of", "$Later"], None);
    evidence.witnesses.header_traces.siblings = vec![names(&["$Later", "Work", "Travel"])];
    let proved = plan(&evidence, policy());
    assert!(codes(&proved).contains(&Code::KeywordsProved));
    assert_eq!(keywords_after(&proved), named(&[(0, "Work"), (2, "$Later")]));

    destroy(&mut evidence, 2);
    let unknown = plan(&evidence, policy());
    assert!(!codes(&unknown).contains(&Code::KeywordsProved), "a record is lost");
    assert!(keywords_after(&unknown)[0].1.starts_with("$RecoveredKeyword"));
}

#[test]
fn keywords_that_nothing_proves_are_not_taken_from_elsewhere() {
    let mut evidence = without_header_file(&["Unheard-of", "", "Never"], None);
    evidence.witnesses.header_traces.siblings = vec![names(&["Work", "Old", "$Later"])];
    let guessed = plan(&evidence, policy());
    let placeholders = [(0, "$RecoveredKeyword0"), (2, "$RecoveredKeyword2")];
    assert_eq!(keywords_after(&guessed), named(&placeholders));

    evidence.witnesses.header_traces.remains = names(&["Unheard-of"]);
    let read = plan(&evidence, policy());
    assert!(codes(&read).contains(&Code::KeywordsUnproved));
    let read = keywords_after(&read);
    assert_eq!(read, named(&[(0, "Unheard-of"), (2, "$RecoveredKeyword2")]));
}

#[test]
fn the_copy_of_an_earlier_run_is_taken_only_where_the_crc_proves_it() {
    let evidence = || {
        let mut evidence = without_header_file(&["Unheard-of", "", "Never"], Some("user"));
        let mut value = evidence.witnesses.header.clone().unwrap();
        value.flag_names = names(&["Unheard-of", "", "Never"]);
        value.quotaroot = Some(b"user".to_vec());
        let crc = crc32fast::hash(&value.encode());
        let run = "2026".to_owned();
        evidence.witnesses.header_traces.copies = vec![HeaderCopy { run, value, crc }];
        evidence
    };
    let taken = plan(&evidence(), policy());
    assert_eq!(keywords_after(&taken), named(&[(0, "Unheard-of"), (2, "Never")]));

    let mut another = evidence();
    another.witnesses.header_traces.copies[0].value.uniqueid = Some(b"another".to_vec());
    another.witnesses.header_traces.copies[0].value.flag_names = names(&["A", "", "B"]);
    let plan = plan(&another, policy());
    assert!(keywords_after(&plan)[0].1.starts_with("$RecoveredKeyword"));
}

#[test]
fn a_header_file_that_still_decodes_is_put_right_where_its_crc_shows_one_flipped_bit() {
    let mut evidence = without_header_file(&["Work", "", "$Later"], None);
    let mut right = evidence.witnesses.header.clone().unwrap();
    right.flag_names = names(&["Work", "", "$Later"]);
    let mut wrong = right.clone();
    wrong.flag_names = names(&["Wo2k", "", "$Later"]);
    let crc = crc32fast::hash(&wrong.encode());
    evidence.header_file = HeaderFileEvidence::Sound { value: Box::new(wrong), crc };
    let crc = crc32fast::hash(&right.encode());
    evidence.witnesses.header_traces.restored = Some(RestoredHeader { value: right, crc });
    let plan = plan(&evidence, policy());
    assert_eq!(codes(&plan), [Code::HeaderFileDamaged]);
    assert_eq!(keywords_after(&plan), named(&[(0, "Work"), (2, "$Later")]));
}

/// The mailbox of [`without_header_file`], whose file is there with these keywords and another CRC.
fn with_other_keywords(right: &[&str], wrong: &[&str]) -> Evidence {
    let mut evidence = without_header_file(right, None);
    let mut value = evidence.witnesses.header.clone().unwrap();
    value.flag_names = names(wrong);
    let crc = crc32fast::hash(&value.encode());
    evidence.header_file = HeaderFileEvidence::Sound { value: Box::new(value), crc };
    evidence
}

#[test]
fn a_keyword_that_was_overwritten_is_known_from_other_mailboxes_and_the_rest_stays() {
    let right = ["Work", "Only here", "$Later"].map(|name| name.split(' ').next().unwrap());
    let mut evidence = with_other_keywords(&right, &["W\u{0}\u{0}k", "Only", "$Later"]);
    evidence.witnesses.header_traces.siblings = vec![names(&["Travel", "Work"])];
    let proved = plan(&evidence, policy());
    assert!(codes(&proved).contains(&Code::KeywordsProved), "{:?}", proved.findings);
    assert_eq!(keywords_after(&proved), named(&[(0, "Work"), (1, "Only"), (2, "$Later")]));
}

#[test]
fn keywords_behind_damage_that_nothing_proves_are_not_believed() {
    let right = ["Work", "Only", "Here"];
    let damaged = with_other_keywords(&right, &["Work", "Onl\u{7f}Here"]);
    let plan = plan(&damaged, policy());
    assert!(codes(&plan).contains(&Code::KeywordsUnproved), "{:?}", plan.findings);
    assert_eq!(keywords_after(&plan), named(&[(0, "Work"), (2, "$RecoveredKeyword2")]));
}

#[test]
fn a_header_file_newer_than_the_index_keeps_its_keywords() {
    // The server wrote a keyword into it and was stopped before it wrote the index.
    let evidence = with_other_keywords(&["Work", "", "$Later"], &["Work", "", "$Later", "New"]);
    let plan = plan(&evidence, policy());
    assert_eq!(codes(&plan), [Code::HeaderFileCrc], "{:?}", plan.findings);
    assert!(plan.rewrite.unwrap().header_file.is_none());
}

#[test]
fn a_keyword_that_can_be_none_is_not_believed_although_no_index_tells() {
    let mut evidence = without_header_file(&["Work", "Old", "$Later"], None);
    let mut header = evidence.witnesses.header.clone().unwrap();
    header.flag_names = names(&["Work", "O\0d", "$Later"]);
    let crc = crc32fast::hash(&header.encode());
    evidence.header_file = HeaderFileEvidence::Sound { value: Box::new(header), crc };
    evidence.index.header_proven = false;
    evidence.index.header.as_mut().unwrap().header_file_crc = 0;
    let plan = plan(&evidence, policy());
    let expected = [(0, "Work"), (2, "$RecoveredKeyword2")];
    assert_eq!(keywords_after(&plan), named(&expected), "names behind it may have moved");
}

#[test]
fn the_leftover_of_an_index_proves_what_was_damaged_of_the_header_file() {
    let mut evidence = without_header_file(&["Work", "Old", "$Later"], None);
    let mut restored = evidence.witnesses.header.clone().unwrap();
    restored.flag_names = names(&["Work", "Old", "$Later"]);
    let mut damaged = restored.clone();
    damaged.flag_names = names(&["Work", "OlD", "$Later"]);
    let crc = crc32fast::hash(&damaged.encode());
    evidence.header_file = HeaderFileEvidence::Sound { value: Box::new(damaged), crc };
    evidence.witnesses.header_traces.restored = Some(RestoredHeader { value: restored, crc: 7 });
    evidence.index.header_proven = false;
    evidence.index.header.as_mut().unwrap().header_file_crc = 0;
    let unproven = plan(&evidence, policy());
    assert!(!codes(&unproven).contains(&Code::HeaderFileDamaged));
    evidence.leftover.header_file_crc = Some(7);
    let proven = plan(&evidence, policy());
    assert_eq!(keywords_after(&proven), named(&[(0, "Work"), (1, "Old"), (2, "$Later")]));
}

#[test]
fn the_leftover_of_an_older_index_hides_no_crc_of_a_damaged_header() {
    let mut evidence = without_header_file(&["Unheard-of", "", "Never"], None);
    let mut value = evidence.witnesses.header.clone().unwrap();
    value.flag_names = names(&["Unheard-of", "", "Never"]);
    let crc = crc32fast::hash(&value.encode());
    let copy = |value, crc| HeaderCopy { run: "2026".to_owned(), value, crc };
    let mut older = value.clone();
    older.flag_names = names(&["Unheard-of"]);
    let older_crc = crc32fast::hash(&older.encode());
    let header = evidence.index.header.as_mut().unwrap();
    assert_eq!(header.header_file_crc, crc, "it stands in the damaged header");
    evidence.index.header_proven = false;
    evidence.leftover.header_file_crc = Some(older_crc);
    evidence.witnesses.header_traces.copies =
        vec![copy(older, older_crc), copy(value.clone(), crc)];
    let from_copies = plan(&evidence, policy());
    assert_eq!(keywords_after(&from_copies), named(&[(0, "Unheard-of"), (2, "Never")]));

    // A file that the damaged header knows is no damage, whatever an older index knew.
    let mut restored = value.clone();
    restored.flag_names = names(&["Unheard-of", "", "Nevor"]);
    evidence.header_file = HeaderFileEvidence::Sound { value: Box::new(value), crc };
    let restored = RestoredHeader { value: restored, crc: older_crc };
    evidence.witnesses.header_traces.restored = Some(restored);
    let untouched = plan(&evidence, policy());
    assert!(!codes(&untouched).contains(&Code::HeaderFileDamaged), "{:?}", untouched.findings);
}
