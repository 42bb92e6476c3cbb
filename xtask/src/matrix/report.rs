//! The table of kinds and tools, for a terminal and as a page.

use std::fmt::Write as _;

use mailstore_tests::damage::{Kind, Score, Tally};

use super::case::{Outcome, Repaired};
use crate::table::Table;

/// The results of all damages of a kind.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) kind: &'static str,
    cases: usize,
    ours: Sum,
    cyrus: Option<Sum>,
}

#[derive(Debug, Default)]
struct Sum {
    score: Score,
    deaths: usize,
    failures: usize,
    judged: usize,
    clean: usize,
    full: usize,
    cases: usize,
}

impl Sum {
    fn add(&mut self, repaired: &Repaired) {
        self.score += &repaired.score;
        self.deaths += usize::from(!repaired.deaths.is_empty());
        self.failures += usize::from(repaired.failure.is_some());
        self.judged += usize::from(repaired.objections.is_some());
        self.clean += usize::from(repaired.objections.as_deref() == Some(""));
        self.full += usize::from(repaired.is_full());
        self.cases += 1;
    }
}

impl Row {
    pub(crate) fn new(kind: &'static str) -> Self {
        Self { kind, cases: 0, ours: Sum::default(), cyrus: None }
    }

    pub(crate) fn add(&mut self, outcome: &Outcome) {
        if outcome.damages.is_empty() {
            return;
        }
        self.cases += 1;
        self.ours.add(&outcome.ours);
        if let Some(cyrus) = &outcome.cyrus {
            self.cyrus.get_or_insert_default().add(cyrus);
        }
    }

    /// Whether our tool brought back all that could be, every time.
    pub(crate) fn is_full(&self) -> bool {
        self.ours.full == self.cases
    }

    fn cells(&self) -> Vec<String> {
        let pair = |cell: &dyn Fn(&Sum) -> String| {
            let ours = cell(&self.ours);
            self.cyrus.as_ref().map_or(ours.clone(), |cyrus| format!("{ours} / {}", cell(cyrus)))
        };
        let share = |tally: fn(&Score) -> Tally| pair(&|sum: &Sum| percent(tally(&sum.score)));
        vec![
            self.kind.to_string(),
            self.cases.to_string(),
            pair(&|sum| format!("{}", sum.full)),
            self.ours.score.destroyed.to_string(),
            share(|score| score.uidvalidity),
            share(|score| score.messages),
            share(|score| score.uids),
            share(|score| score.flags),
            share(|score| score.keywords),
            share(|score| score.dates),
            share(|score| score.envelopes),
            pair(&|sum| sum.score.too_many.to_string()),
            pair(&|sum| sum.score.thirds().to_string()),
            pair(&|sum| (sum.deaths + sum.failures).to_string()),
            pair(&|sum| format!("{} of {}", sum.clean, sum.judged)),
        ]
    }
}

const HEADING: [&str; 15] = [
    "Kind",
    "cases",
    "full",
    "destroyed",
    "UIDVALIDITY",
    "messages",
    "UIDs",
    "flags",
    "keywords",
    "dates",
    "ENVELOPEs",
    "too many",
    "thirds",
    "deaths",
    "clean",
];

/// A share of what was due; 100 only where it is all of it.
fn percent(tally: Tally) -> String {
    let due = tally.due();
    if due == 0 {
        return "-".into();
    }
    let tenths = tally.right * 1000 / due;
    if tenths.is_multiple_of(10) {
        (tenths / 10).to_string()
    } else {
        format!("{}.{}", tenths / 10, tenths % 10)
    }
}

/// For a terminal.
pub(crate) fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&HEADING);
    for row in rows {
        table.row(row.cells());
    }
    table
}

/// `docs/matrix.md`.
pub(crate) fn page(rows: &[Row], seeds: u64) -> String {
    let mut page = format!(
        "# What comes back after which damage\n\n\
         Written by `cargo xtask matrix --seeds {seeds} --write`; not to be edited. Every other seed's \
         store has conversations. In each case a real Cyrus 3.6 makes a store of 88 messages in three \
         mailboxes (flags, keywords, copies, expunged messages), two mailboxes are damaged with the \
         server stopped, and the store is repaired twice from the same damaged state: by our \
         `reconstruct --check full` and by Cyrus's own `reconstruct -G -r`. Then the server is started, \
         and what it shows over IMAP is compared with what it showed before.\n\n\
         A cell `100 / 8.3` is ours / Cyrus's. Shares are percentages of what evidence was left for: \
         messages whose bytes are there in any file of the mailbox; flags and keywords whose record is \
         intact (but for one bit) or that conversations.db has; dates in those or in the file's time. \
         Without evidence the documented default is accepted, and anything else is a *third*. \n\n\
         - **full**: cases in which all evidence was used, nothing is too many, no third, no death, \
         and Cyrus's tools are content.\n\
         - **destroyed**: live messages whose bytes the damage itself destroyed; counted nowhere else.\n\
         - **too many**: expunged messages that came back although their tombstones were left, second \
         copies, files that never were mail.\n\
         - **thirds**: values that are neither those before nor the documented default.\n\
         - **deaths**: cases in which a process of the server died, or the tool did not end well.\n\
         - **clean**: cases in which Cyrus's `reconstruct -G`, on a copy, finds nothing to change; \
         asked only where no message file is destroyed.\n\n"
    );
    let _ = writeln!(page, "| {} |", HEADING.join(" | "));
    let _ = writeln!(page, "|{}", "---|".repeat(HEADING.len()));
    for row in rows {
        let _ = writeln!(page, "| {} |", row.cells().join(" | "));
    }
    page.push_str("\n## The kinds\n\n| kind | what happens to a mailbox |\n|---|---|\n");
    for kind in Kind::all() {
        let _ = writeln!(page, "| {} | {} |", kind.name, kind.what);
    }
    page.push_str("| random | one to four of these at once |\n");
    page
}
