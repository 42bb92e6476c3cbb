//! One thing broken in one mailbox: what must survive, what is lost, and that the real server
//! serves the result.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use mailstore_tests::{
    Cyrus, IndexImage, KnownStore, Layout, Losses, MailboxFiles, ServerOptions, ToolRun, Tree,
};

/// The scene of this test, or its end.
macro_rules! scene_or_skip {
    ($test:literal, $layout:expr) => {
        match Scene::set($test, $layout)? {
            Some(scene) => scene,
            None => return Ok(()),
        }
    };
}

mod files;
mod header;
mod records;

const INBOX: &str = "user.alice";

/// Alice's INBOX (see `populate_one`) before it is damaged, its server at rest.
struct Scene {
    known: KnownStore,
    files: MailboxFiles,
}

impl Scene {
    fn set(test: &str, layout: Layout) -> Result<Option<Self>> {
        let Some(cyrus) = Cyrus::available_or_skip(test) else { return Ok(None) };
        let known = KnownStore::with_one_mailbox(&cyrus, ServerOptions::new(layout))?;
        let files = known.files(INBOX)?;
        Ok(Some(Self { known, files }))
    }

    fn index(&self) -> Result<IndexImage> {
        IndexImage::read(&self.files.index)
    }

    fn edit_index(&self, edit: impl FnOnce(&mut IndexImage) -> Result<()>) -> Result<()> {
        let mut index = self.index()?;
        edit(&mut index)?;
        index.write()
    }

    /// Repairs the mailbox, which must end with this exit status and this finding.
    fn repair(&self, status: i32, code: &str) -> Result<ToolRun> {
        let run = self.known.reconstruct().run()?;
        let said = format!("{}{}", run.stdout, run.stderr);
        ensure!(run.status == Some(status), "exit status {:?}: {said}", run.status);
        ensure!(!run.findings(code).is_empty(), "no finding {code}: {said}");
        Ok(run)
    }

    /// That the mailbox is left alone, and the run says so.
    fn must_be_left(&self, status: i32, code: &str) -> Result<()> {
        let before = Tree::read(&self.known.spool())?;
        let run = self.repair(status, code)?;
        let changed = before.differences(&Tree::read(&self.known.spool())?);
        ensure!(changed.is_empty(), "the mailbox was not left alone: {changed:#?}");
        ensure!(run.summary()["repaired"] == 0, "{}", run.stdout);
        Ok(())
    }

    fn recovered(&mut self, losses: &Losses) -> Result<()> {
        self.known.check_repaired(losses)
    }

    /// Files that were set aside under this part of the run's folder, by name.
    fn set_aside(&self, part: &str) -> Result<Vec<PathBuf>> {
        let tree = Tree::read(&self.known.spool().join(".mailstore-recovery"))?;
        let in_part = |path: &&PathBuf| path.parent().is_some_and(|parent| parent.ends_with(part));
        let root = self.known.spool().join(".mailstore-recovery");
        Ok(tree.entries.keys().filter(in_part).map(|path| root.join(path)).collect())
    }
}
