//! The pages that tell users how far the rebuild is: made of a [`Status`], shown by [`serve`] or put
//! into a [`Directory`] for any web server.
//!
//! There is one page for everybody, `status.json` beside it, and one page for each account that has a
//! link ([`path_of`]). They work without scripts, ask nothing of any other host, and say of what time
//! they are. What they say comes from a [`Source`].
//!
//! ```
//! use mailstore_format::Timestamp;
//! use rebuildq::pages::{Directory, Site, Source, SourceError};
//! use rebuildq::status::{Count, OwnStatus, Phase, Standing, Status};
//!
//! struct Example;
//!
//! impl Source for Example {
//!     fn status(&self) -> Result<Status, SourceError> {
//!         let mut status = Status::new(Timestamp::from_seconds(1_795_248_844), Phase::NotBegun);
//!         status.users = Count { done: 0, total: 200 };
//!         Ok(status)
//!     }
//!     fn own(&self, token: &str) -> Result<Option<OwnStatus>, SourceError> {
//!         Ok(self.linked()?.into_iter().find(|(known, _)| known == token).map(|(_, own)| own))
//!     }
//!     fn linked(&self) -> Result<Vec<(String, OwnStatus)>, SourceError> {
//!         let alice = OwnStatus {
//!             user: "alice".into(),
//!             standing: Standing::Waiting { before: 11, estimate: None },
//!             mailboxes: Count { done: 0, total: 8 },
//!             is_closed: true,
//!         };
//!         Ok(vec![("kT4vJ0wYq2bN7xR5".into(), alice)])
//!     }
//! }
//!
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("status");
//! let mut pages = Directory::new(&path, Site::default());
//! pages.write(&Example)?;
//! let page = std::fs::read_to_string(path.join("index.html"))?;
//! assert!(page.contains("200 users wait"));
//! assert!(!page.contains("alice"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answers;
mod chart;
mod directory;
mod estimates;
mod figures;
mod headline;
mod json;
mod layout;
mod notices;
mod own;
mod public;
mod renewal;
#[cfg(test)]
mod sample;
mod serve;
mod token;
mod words;

use jiff::tz::TimeZone;

use crate::status::{OwnStatus, Status};

pub use directory::{Directory, DirectoryError};
pub use serve::{ServeError, serve};
pub use token::path_of;

/// Why a [`Source`] has no answer. Pages do not show it.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Where pages get what they show.
pub trait Source: Send + Sync {
    /// What everybody may know, as it is now.
    fn status(&self) -> Result<Status, SourceError>;
    /// What the account may know whose link has this token; none where the token is not in force.
    ///
    /// Asked only for what can be a token ([`path_of`]).
    fn own(&self, token: &str) -> Result<Option<OwnStatus>, SourceError>;
    /// Every token that is in force, and what its account may know.
    fn linked(&self) -> Result<Vec<(String, OwnStatus)>, SourceError>;
}

/// What the operators' site is called, and by which clock its users live.
#[derive(Debug, Clone)]
pub struct Site {
    /// Stands above the pages: `Mail at example.org`.
    pub name: String,
    /// In which times are told.
    pub zone: TimeZone,
}

impl Default for Site {
    fn default() -> Self {
        Self { name: "Mail".to_owned(), zone: TimeZone::UTC }
    }
}
