//! The first act: indexes and caches of a store are destroyed and rebuilt, without any server.

mod comparison;
mod contents;
mod damage;

use std::path::Path;

use anyhow::Result;
use mailstore_tests::generate::Random;

use super::tool::Tool;
use crate::cargo::{Profile, build_program};
use crate::fixture::Fixture;
use crate::table::Table;
use comparison::Comparison;
use contents::{Mailbox, Place, places};
use damage::Done;

/// Made over IMAP by Cyrus 3.6.1.
const STORE: &str = "cyrus-3.6-v17-uuid-conversations";

/// Shows it; whether everything came back for which there was evidence.
pub(super) fn run(seed: u64, keep: bool) -> Result<bool> {
    let reconstruct = build_program("reconstruct", Profile::Dev)?;
    let mut scratch = tempfile::Builder::new().prefix("mailstore-demo-").tempdir()?;
    scratch.disable_cleanup(keep);
    let fixture = Fixture::unpack(STORE, scratch.path())?;
    let tool = Tool::new("reconstruct", reconstruct);
    let imapd_conf = fixture.imapd_conf.display().to_string();

    let places = places(&fixture.imapd_conf)?;
    let before = places.iter().map(Mailbox::read).collect::<Result<Vec<_>>>()?;
    println!("A store that a Cyrus IMAP 3.6.1 server wrote ({})\n", scratch.path().display());
    println!("{}", table_before(&places, &before));

    println!("Its indexes and caches are destroyed (seed {seed}):\n");
    let damage = destroy(&places, &before, seed)?;
    println!("{}", table_of_damage(&places, &damage));

    tool.shown(&["-C", &imapd_conf, "-n", "--all"])?;
    let repair = tool.shown(&["-C", &imapd_conf, "--all"])?;
    let second_look = tool.shown(&["-C", &imapd_conf, "-n", "--all", "--check", "full"])?;

    let after = places.iter().map(Mailbox::read).collect::<Result<Vec<_>>>()?;
    let comparisons: Vec<Comparison> = before
        .iter()
        .zip(&after)
        .zip(&damage)
        .map(|((before, after), damage)| Comparison::of(before, after, damage.as_ref()))
        .collect();
    println!("{}", table_after(&places, &before, &after, &damage, &comparisons));
    let outcome = Outcome { before: &before, damage: &damage, comparisons: &comparisons };
    let tool_agrees = repair.status == Some(0) && second_look.status == Some(0);
    Ok(outcome.conclude(&places, tool_agrees))
}

/// Damages every mailbox that has messages.
fn destroy(places: &[Place], before: &[Mailbox], seed: u64) -> Result<Vec<Option<Done>>> {
    let mut random = Random::new(seed);
    let has_mail = |mailbox: &&Mailbox| !mailbox.messages.is_empty();
    let kinds = damage::choose(&mut random, before.iter().filter(has_mail).count());
    let mut kinds = kinds.into_iter();
    let mut done = Vec::new();
    for (place, mailbox) in places.iter().zip(before) {
        let kind = if mailbox.messages.is_empty() { None } else { kinds.next() };
        done.push(kind.map(|kind| kind.inflict(place, &mut random)).transpose()?);
    }
    Ok(done)
}

fn table_before(places: &[Place], before: &[Mailbox]) -> Table {
    let heading = ["Mailbox", "Messages", "flagged", "expunged", "UIDVALIDITY", "UIDNEXT"];
    let mut table = Table::new(&heading);
    for (place, mailbox) in places.iter().zip(before) {
        table.row(vec![
            place.name.clone(),
            mailbox.messages.len().to_string(),
            mailbox.flagged().to_string(),
            mailbox.tombstones.len().to_string(),
            mailbox.uidvalidity.0.to_string(),
            uidnext(mailbox),
        ]);
    }
    table
}

fn table_of_damage(places: &[Place], damage: &[Option<Done>]) -> Table {
    let mut table = Table::new(&["Mailbox", "Damage", "Where"]);
    for (place, done) in places.iter().zip(damage) {
        let Some(done) = done else { continue };
        let directory = place.spool.ancestors().nth(4).unwrap_or(Path::new(""));
        let shown = place.spool.strip_prefix(directory).unwrap_or(&place.spool);
        table.row(vec![place.name.clone(), done.what.clone(), shown.display().to_string()]);
    }
    table
}

fn table_after(
    places: &[Place],
    before: &[Mailbox],
    after: &[Mailbox],
    damage: &[Option<Done>],
    comparisons: &[Comparison],
) -> Table {
    let heading = [
        "Mailbox",
        "Damage",
        "Messages back",
        "flags kept",
        "dates kept",
        "UIDVALIDITY",
        "UIDNEXT",
        "State",
    ];
    let mut table = Table::new(&heading);
    let rows = places.iter().zip(before).zip(after).zip(damage).zip(comparisons);
    for ((((place, before), after), done), comparison) in rows {
        let of_all = |count: usize| format!("{count} of {}", before.messages.len());
        let change =
            |was: String, is: String| if was == is { is } else { format!("{was} → {is}") };
        let uidvalidity = change(before.uidvalidity.0.to_string(), after.uidvalidity.0.to_string());
        table.row(vec![
            place.name.clone(),
            done.as_ref().map_or("-", |done| done.what.as_str()).to_string(),
            of_all(comparison.back),
            of_all(comparison.with_flags),
            of_all(comparison.with_dates),
            uidvalidity,
            change(uidnext(before), uidnext(after)),
            if comparison.faults.is_empty() { "sound" } else { "NOT SOUND" }.to_string(),
        ]);
    }
    table
}

fn uidnext(mailbox: &Mailbox) -> String {
    (u64::from(mailbox.last_uid.0) + 1).to_string()
}

/// What the demonstration showed.
struct Outcome<'a> {
    before: &'a [Mailbox],
    damage: &'a [Option<Done>],
    comparisons: &'a [Comparison],
}

impl Outcome<'_> {
    fn conclude(&self, places: &[Place], tool_agrees: bool) -> bool {
        let faults: Vec<String> = places
            .iter()
            .zip(self.comparisons)
            .flat_map(|(place, comparison)| {
                comparison.faults.iter().map(|fault| format!("{}: {fault}", place.name))
            })
            .collect();
        if faults.is_empty() && tool_agrees {
            println!("{}", self.praise());
            return true;
        }
        for fault in &faults {
            println!("  {fault}");
        }
        let said = if tool_agrees { "" } else { " reconstruct itself found damage left." };
        println!("NOT everything came back: {} faults.{said}", faults.len());
        false
    }

    fn praise(&self) -> String {
        let sum = |count: fn(&Comparison) -> usize| self.comparisons.iter().map(count).sum();
        let back: usize = sum(|comparison| comparison.back);
        let with_flags: usize = sum(|comparison| comparison.with_flags);
        let returned: usize = sum(|comparison| comparison.returned);
        let records: usize = self
            .before
            .iter()
            .zip(self.damage)
            .flat_map(|(mailbox, done)| done.iter().map(move |done| (mailbox, done)))
            .map(|(mailbox, done)| {
                mailbox.messages.keys().filter(|uid| done.lost_records.contains(uid)).count()
            })
            .sum();
        let mut sentences = vec![format!(
            "All {back} messages came back under their UIDs and UIDVALIDITYs, {with_flags} of them \
             with every flag and keyword."
        )];
        if records > 0 {
            sentences.push(format!(
                "{records} had lost their index record, where flags are kept: where those were not \
                 the default, they are gone."
            ));
        }
        if returned > 0 {
            sentences.push(format!(
                "{returned} that their owner had expunged are there again: their tombstones were \
                 destroyed, and their files were still there."
            ));
        }
        sentences.push("Nothing else is missing, changed or new.".into());
        sentences.join("\n")
    }
}
