//! `rebuildq` beside a real server: users come back one by one, the urgent first, and nobody is left
//! out or let in wrongly, whoever is killed.

mod access;
mod command_line;
mod intake;
mod kills;
mod order;
mod pages;
mod queue;
mod scene;
