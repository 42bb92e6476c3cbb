//! A plan in words, for who reviews it.

use super::{CacheSource, MessageContent, Rewrite};

impl Rewrite {
    /// What will be done, one thing a line, in the order in which it is.
    #[must_use]
    pub fn actions(&self) -> Vec<String> {
        let mut actions = Vec::new();
        for name in &self.set_aside {
            actions.push(format!("set {name} aside: it orders messages to be deleted"));
        }
        self.tell_of_messages(&mut actions);
        if self.header_file.is_some() {
            actions.push("replace cyrus.header".to_owned());
        }
        let header = &self.header;
        actions.push(format!(
            "replace cyrus.index: version {}, {} records, UIDVALIDITY {}, last UID {}, highest modseq {}",
            self.layout.version,
            self.records.len(),
            header.uidvalidity,
            header.last_uid,
            header.highestmodseq
        ));
        let pruned = self.wanted.iter().filter(|wanted| wanted.is_pruned());
        actions.extend(pruned.map(|wanted| format!("expunge UID {}", wanted.record.uid)));
        let replaced =
            [(self.replace_spool_cache, "spool"), (self.replace_archive_cache, "archive")];
        let is_new = |cache| matches!(cache, CacheSource::Staged(_));
        let new = self.records.iter().filter(|planned| is_new(planned.cache)).count();
        for (_, place) in replaced.into_iter().filter(|(is_replaced, _)| *is_replaced) {
            actions
                .push(format!("replace cyrus.cache of the {place}, {new} records of it made anew"));
        }
        for aside in &self.file_steps.set_aside {
            actions.push(format!("set {} aside: {}", aside.name.display(), aside.reason));
        }
        actions
    }

    fn tell_of_messages(&self, actions: &mut Vec<String>) {
        for put in &self.file_steps.puts {
            let MessageContent { name, with_crlf, .. } = &put.content;
            let ends = if *with_crlf { ", its line ends put right," } else { "" };
            actions.push(format!("put {}{ends} under the name {}.", name.display(), put.uid));
        }
        for rename in &self.file_steps.renames {
            actions.push(format!("give {} the new name {}.", rename.from.display(), rename.to));
        }
        for back in &self.file_steps.returns {
            actions.push(format!("give {} its name back", back.name.display()));
        }
    }
}
