//! What must hold of every decoder of the toolkit, whatever bytes it is given.
//!
//! A [`Check`] takes any bytes and fails, by a panic, where a decoder breaks a promise: where it
//! panics itself, invents or loses anything, writes back another value than it read, or makes more
//! of its input than a bound allows. Each stands here once and is called from three sides: by the
//! fuzz target of its name, by the test that replays every seed and every find, and by the tests
//! that change valid files at random. `docs/fuzzing.md` tells how to run them.
//!
//! ```
//! let check = decoder_checks::named("dlist").expect("there is one");
//! check.run(b"%(T e A %(erin lrs))");
//! ```
#![forbid(unsafe_code)]

mod annotations;
mod cache;
mod conversations;
mod counters;
mod databases;
mod dlist;
mod header_file;
mod imap_replies;
mod imapd_conf;
mod index;
mod index_salvage;
mod mailbox_entry;
mod message;
mod quota;
mod record;
mod seen;
mod twoskip_crcs;

/// What must hold of one decoder.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// What it is called, as the fuzz target is, and the folders of its seeds and finds.
    pub name: &'static str,
    body: fn(&[u8]),
}

impl Check {
    /// Checks the decoder on these bytes.
    ///
    /// # Panics
    /// Where something does not hold.
    pub fn run(&self, bytes: &[u8]) {
        (self.body)(bytes);
    }

    /// The folders of its seeds, relative to `fuzz/`: what it begins from, beside what the fuzzer has
    /// come upon.
    #[must_use]
    pub fn seeds(&self) -> Vec<String> {
        let shared = match self.name {
            "index" | "index_salvage" => Some("../crates/mailstore-format/testdata/index"),
            "message" => Some("../crates/mailstore-format/testdata/messages"),
            _ => None,
        };
        let own = format!("seeds/{}", self.name);
        shared.map(String::from).into_iter().chain([own]).collect()
    }
}

/// All checks, by name.
pub const ALL: [Check; 17] = [
    Check { name: "annotations", body: annotations::check },
    Check { name: "cache", body: cache::check },
    Check { name: "conversations", body: conversations::check },
    Check { name: "counters", body: counters::check },
    Check { name: "dlist", body: dlist::check },
    Check { name: "flat", body: databases::check },
    Check { name: "header_file", body: header_file::check },
    Check { name: "imap_replies", body: imap_replies::check },
    Check { name: "imapd_conf", body: imapd_conf::check },
    Check { name: "index", body: index::check },
    Check { name: "index_salvage", body: index_salvage::check },
    Check { name: "mailbox_entry", body: mailbox_entry::check },
    Check { name: "message", body: message::check },
    Check { name: "quota", body: quota::check },
    Check { name: "seen", body: seen::check },
    Check { name: "skiplist", body: databases::check },
    Check { name: "twoskip", body: twoskip_crcs::check },
];

/// The check of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Check> {
    ALL.iter().find(|check| check.name == name)
}
