//! What is happening, in plain words: the first thing that a reader sees.

use maud::{Markup, html};

use super::words::{Clock, counted};
use crate::status::{Phase, Status};

/// How a message is meant. Each has a shape and a word, not only a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// Work goes on.
    Going,
    /// All is well.
    Good,
    /// It does not go on, or somebody has to look.
    Warning,
    /// Nothing happens, and nothing should.
    Quiet,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Going => "banner going",
            Self::Good => "banner good",
            Self::Warning => "banner warning",
            Self::Quiet => "banner",
        }
    }

    fn shape(self) -> &'static str {
        match self {
            Self::Going => "M6 3l7 5-7 5z",
            Self::Good => "M2 8.5l4 4 8-9",
            Self::Warning => "M8 1L15.5 15H.5zM8 6v4M8 12v1",
            Self::Quiet => "M8 1.5a6.5 6.5 0 1 0 .01 0M8 4.5V8l2.5 2",
        }
    }
}

/// A message with its sign.
pub(super) fn banner(tone: Tone, title: &Markup, detail: &Markup) -> Markup {
    html! {
        div class=(tone.class()) {
            svg.sign viewBox="0 0 16 16" aria-hidden="true" { path d=(tone.shape()) {} }
            div { (title) (detail) }
        }
    }
}

/// What is happening.
pub(super) struct Headline {
    pub(super) tone: Tone,
    pub(super) title: String,
    pub(super) detail: Markup,
}

impl Headline {
    pub(super) fn of(status: &Status, clock: &Clock<'_>) -> Self {
        Self { tone: tone(status), title: title(status, clock), detail: detail(status, clock) }
    }
}

fn tone(status: &Status) -> Tone {
    match status.phase {
        Phase::Empty | Phase::NotBegun => Tone::Quiet,
        Phase::Running => Tone::Going,
        Phase::Done { .. } if status.set_aside == 0 => Tone::Good,
        Phase::Done { .. } | Phase::Paused { .. } | Phase::Silent | Phase::Stopped => Tone::Warning,
    }
}

fn title(status: &Status, clock: &Clock<'_>) -> String {
    let title = match (status.phase, status.reported, status.set_aside) {
        (Phase::Empty, ..) => "Nothing waits to be rebuilt",
        (Phase::NotBegun, ..) => "The rebuild has not begun yet",
        (Phase::Running, ..) => "Mailboxes are being rebuilt",
        (Phase::Paused { .. }, ..) => "The rebuild is paused",
        (Phase::Silent, None, _) => "The rebuild has not reported yet",
        (Phase::Silent, Some(reported), _) => {
            let with_day = clock.are_days_apart(reported, clock.now());
            let (time, zone) = (clock.short(reported, with_day), clock.zone_name(reported));
            return format!("The rebuild has not reported since {time} {zone}");
        }
        (Phase::Stopped, ..) => "The rebuild stands still",
        (Phase::Done { .. }, _, 0) => "All mailboxes are rebuilt",
        (Phase::Done { .. }, _, some) => {
            return format!("All mailboxes are rebuilt but those of {}", counted(some, "user"));
        }
    };
    title.to_owned()
}

fn detail(status: &Status, clock: &Clock<'_>) -> Markup {
    let left = status.users.left().saturating_sub(status.set_aside);
    let waiting = counted(left, "user");
    html! {
        @match status.phase {
            Phase::Empty => p { "No mailbox was put into the queue so far." },
            Phase::NotBegun => p {
                (waiting) (if left == 1 { " waits" } else { " wait" })
                @if let Some(begun) = status.begun { ", the first since " (clock.past(begun)) }
                "."
            },
            Phase::Running => {
                @if let Some(begun) = status.begun { p { "Since " (clock.past(begun)) "." } }
                @if let Some(reported) = status.reported {
                    p { "The last sign of work was at " (clock.past(reported)) "." }
                }
            }
            Phase::Paused { since } => p {
                "The operators paused it at " (clock.past(since)) ", with " (waiting)
                " still to come. It will go on from where it stands."
            },
            Phase::Silent => p {
                @if let Some(reported) = status.reported { "That was " (clock.ago(reported)) ". " }
                "It should report at least every two minutes, so it may have stopped, and the \
                 operators have to look. What follows is how far it was then."
            },
            Phase::Stopped => p {
                "It has ended, with " (waiting) " still to come."
                @if let Some(reported) = status.reported {
                    " It last worked at " (clock.past(reported)) "."
                }
                " The operators have to start it again."
            },
            Phase::Done { since } => p { "Since " (clock.past(since)) "." },
        }
    }
}

/// Whether work goes on, so that times can be told.
pub(super) fn goes_on(phase: Phase) -> bool {
    match phase {
        Phase::Running | Phase::NotBegun => true,
        Phase::Empty
        | Phase::Paused { .. }
        | Phase::Silent
        | Phase::Stopped
        | Phase::Done { .. } => false,
    }
}
