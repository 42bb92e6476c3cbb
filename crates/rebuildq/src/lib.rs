//! The priority-rebuild queue of an outage, and the pages that tell users how far it is.
#![forbid(unsafe_code)]

pub mod access;
pub mod board;
pub mod clock;
pub mod enroll;
pub mod estimate;
mod forecast;
pub mod intake;
pub mod link;
pub mod pages;
pub mod request;
pub mod runner;
pub mod status;
