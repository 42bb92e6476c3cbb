//! How a page stays true, and how its reader can tell that it is not renewed any more.

/// After how many seconds a reader's browser is to ask for a page again.
pub(super) const ASKED_AGAIN: u32 = 30;

/// When a page is made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewal {
    /// Every 30 seconds, or at each request.
    Constant,
    /// At once when something happens that its reader waits for, else every five minutes.
    Unhurried,
    /// Only when something happens: there is nothing left to wait for.
    WhenChanged,
}

impl Renewal {
    /// What a reader is told of it: renewed …
    pub(super) fn when(self) -> &'static str {
        match self {
            Self::Constant => "every 30 seconds",
            Self::Unhurried => "when your account's turn comes, and else every five minutes",
            Self::WhenChanged => "only when something changes",
        }
    }

    /// After how many seconds a page that is still there is an old one, if that can be told.
    pub(super) fn old_after(self) -> Option<u32> {
        match self {
            Self::Constant => Some(120),
            Self::Unhurried => Some(420),
            Self::WhenChanged => None,
        }
    }
}
