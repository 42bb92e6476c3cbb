//! `docs/findings.md` explains every finding, and nothing that is none.

use std::collections::BTreeSet;

use reconstruct::Code;

const DOCUMENT: &str = include_str!("../../../docs/findings.md");

/// The codes that have a section, in the order of the document.
fn sections() -> Vec<&'static str> {
    DOCUMENT.lines().filter_map(|line| line.strip_prefix("### ")).map(str::trim).collect()
}

#[test]
fn every_finding_has_a_section_and_every_section_a_finding() {
    let documented: BTreeSet<&str> = sections().into_iter().collect();
    let known: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let missing: Vec<_> = known.difference(&documented).collect();
    let unknown: Vec<_> = documented.difference(&known).collect();
    assert!(missing.is_empty(), "docs/findings.md has no section for {missing:?}");
    assert!(unknown.is_empty(), "docs/findings.md explains what is no finding: {unknown:?}");
}

#[test]
fn a_finding_has_one_section_which_says_what_to_do() {
    let sections = sections();
    let once: BTreeSet<&str> = sections.iter().copied().collect();
    assert_eq!(once.len(), sections.len(), "a section stands twice");
    for section in DOCUMENT.split("\n### ").skip(1) {
        let (code, text) = section.split_once('\n').unwrap_or_default();
        for part in ["**Means", "**Evidence:**", "**The tool:**", "**You"] {
            assert!(text.contains(part), "{code} lacks {part}");
        }
    }
}
