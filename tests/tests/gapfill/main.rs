//! `gapfill` between two real servers that were one: it finds what the live one lacks, by class, and
//! nothing else; and it leaves the rescued tree as it was.

mod command_line;
mod damaged;
mod kinds;
mod options;
mod remembered;

use std::collections::BTreeMap;

use anyhow::Result;
use mailstore_tests::outage::{World, gapfill, told, told_of_mailboxes};
use mailstore_tests::{Cyrus, Layout, Tree};

const SEEDS: [u64; 2] = [20_061_109, 20_061_110];

fn every_gap_is_found_and_nothing_else(layout: Layout, seed: u64, name: &str) -> Result<()> {
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let mut world = World::fork(&cyrus, layout, seed)?;
    world.traffic(130)?;
    world.folders()?;
    let (rescued, ledger, live) = world.rescue()?;
    let before = Tree::read(rescued.path())?;
    let run = gapfill(&live, &[rescued.path().to_owned()], &[])?;
    assert_eq!(run.status, Some(1), "{}", run.stderr);
    let (expected, found) = (ledger.expected(), told(&run));
    let missed: Vec<_> = expected.iter().filter(|gap| !found.contains(gap)).collect();
    let invented: Vec<_> = found.iter().filter(|gap| !expected.contains(gap)).collect();
    assert!(
        missed.is_empty() && invented.is_empty(),
        "seed {seed}: {missed:#?} are not {invented:#?}"
    );
    assert_eq!(found, expected, "each as often as it is there");
    for class in ["missing", "uid-taken", "moved", "deleted", "state-behind"] {
        assert!(expected.iter().any(|gap| gap.2 == class), "seed {seed} gives no {class}");
    }
    let mailboxes = BTreeMap::from([
        ("user.alice.New".to_owned(), ("mailbox-gone".to_owned(), 2)),
        ("user.alice.Old".to_owned(), ("state-behind".to_owned(), 0)),
        ("user.alice.Work".to_owned(), ("state-behind".to_owned(), 0)),
    ]);
    assert_eq!(told_of_mailboxes(&run), mailboxes);
    assert_eq!(before.differences(&Tree::read(rescued.path())?), [""; 0]);
    Ok(())
}

#[test]
fn every_gap_is_found_and_nothing_else_in_the_layout_by_id() -> Result<()> {
    let name = "every_gap_is_found_and_nothing_else_in_the_layout_by_id";
    every_gap_is_found_and_nothing_else(Layout::ById, SEEDS[0], name)
}

#[test]
fn every_gap_is_found_and_nothing_else_in_the_layout_by_name() -> Result<()> {
    let name = "every_gap_is_found_and_nothing_else_in_the_layout_by_name";
    every_gap_is_found_and_nothing_else(Layout::ByName, SEEDS[1], name)
}
