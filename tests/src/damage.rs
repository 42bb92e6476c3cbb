//! Damage as outages leave it: every kind there is, done to the files of a mailbox.
//!
//! A [`Kind`] is one sort of damage; [`Kind::all`] lists them. [`Wreck`] inflicts kinds on a store
//! that no server runs on, deterministically: the same seed, kind and bytes give the same damage.
//! What it did it returns as [`Damage`], for people and reports. What evidence it left nobody has to
//! believe it about: [`Survivors`] compares the files with those of the sound store, byte for byte, and [`Score`]
//! holds what a repair brings back against it. [`Specimen`] is a store to try all of it on.

mod cache;
mod entries;
mod header_file;
mod index_blocks;
mod index_files;
mod index_header;
mod index_records;
mod kind;
mod messages;
mod place;
mod score;
mod specimen;
mod survivors;
mod view;

pub use kind::{Damage, Kind, RANDOM, Wreck};
pub use place::Place;
pub use score::{Score, Tally};
pub use specimen::{Damaged, Specimen};
pub use survivors::{Original, Survivors};
pub use view::{SeenMessage, View};
