//! `redeliver` into a real server: what was missing is there, exactly as often as it was missing,
//! with new UIDs, whatever interrupts it.

mod interrupted;
mod scene;
mod union;
