//! What was measured of real repairs.

use super::dice::Dice;

/// How a mailbox was rebuilt, of those in `testdata/rates.tsv`.
#[derive(Debug, Clone)]
struct Row {
    /// What its duration should go by, roughly.
    size: f64,
    seconds: f64,
    /// How triage's messages and bytes to read are to those that were read.
    told: f64,
}

/// The repairs under one of the circumstances.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Of each kind of damage, by size.
    damages: [Vec<Row>; 4],
}

/// How a simulated mailbox is, by a measured one like it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Like {
    pub(crate) seconds: f64,
    /// Triage's bytes to read, of those that will be.
    pub(crate) told: f64,
}

const DAMAGES: [&str; 4] = ["index", "records", "cache", "header"];
/// Neighbours in size that are resampled from.
const NEIGHBOURS: usize = 5;

impl Measured {
    /// All circumstances that there are.
    pub(crate) fn all() -> Vec<Self> {
        let text = include_str!("../../testdata/rates.tsv");
        let mut groups: Vec<(String, Self)> = Vec::new();
        for line in text.lines().skip(2) {
            let fields: Vec<&str> = line.split('\t').collect();
            let number = |at: usize| fields[at].parse::<f64>().unwrap();
            let group = format!("{} {}", fields[0], fields[1]);
            if groups.last().is_none_or(|(last, _)| *last != group) {
                groups.push((group, Self { damages: Default::default() }));
            }
            let damage = DAMAGES.iter().position(|name| *name == fields[2]).unwrap();
            let told = if number(7) > 0.0 { number(5) / number(7) } else { 1.0 };
            let row = Row { size: size(number(3), number(6)), seconds: number(8), told };
            groups.last_mut().unwrap().1.damages[damage].push(row);
        }
        for (_, group) in &mut groups {
            for rows in &mut group.damages {
                rows.sort_by(|one, other| one.size.total_cmp(&other.size));
            }
        }
        groups.into_iter().map(|(_, group)| group).collect()
    }

    /// One that was measured, scaled to so many messages, of which so many are read.
    pub(crate) fn like(&self, damage: usize, messages: f64, read: f64, dice: &mut Dice) -> Like {
        let (rows, own) = (&self.damages[damage], size(messages, read));
        let place = rows.partition_point(|row| row.size < own);
        let first = place.saturating_sub(NEIGHBOURS / 2).min(rows.len() - NEIGHBOURS);
        let row = &rows[first + dice.below(NEIGHBOURS)];
        Like { seconds: row.seconds * own / row.size, told: row.told }
    }
}

/// Messages that would take as long to read as the mailbox takes, roughly: as was measured, a
/// mailbox costs as much as 80, a message that is not read as much as a sixth.
fn size(messages: f64, read: f64) -> f64 {
    80.0 + messages / 6.0 + read
}
