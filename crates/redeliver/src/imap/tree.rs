//! The tree under which everything is put that does not come to where it was.

/// Stands for the date of the incident.
const DATE: &str = "{date}";
/// Stands for the folder's own name.
const FOLDER: &str = "{folder}";

/// Where messages come instead of into their own folders: a tree of their owner's, as in
/// `Recovered/{date}/{folder}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    levels: Vec<String>,
}

impl Tree {
    /// From its text: levels with slashes between them, whatever the server has there. `{folder}` is
    /// one of them, but not the only one; `{date}` may be anywhere in the others.
    ///
    /// # Errors
    /// Why it is none, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let levels: Vec<String> = text.split('/').map(str::to_owned).collect();
        let folders = levels.iter().filter(|level| *level == FOLDER).count();
        if folders != 1 || levels.len() < 2 {
            return Err(format!(
                "it has to be levels, of which one is {FOLDER}, as in \
                                Recovered/{DATE}/{FOLDER}"
            ));
        }
        for level in levels.iter().filter(|level| *level != FOLDER) {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || " _-+=,".contains(c);
            let rest = level.replace(DATE, "");
            let is_inbox = level.eq_ignore_ascii_case("INBOX");
            if level.is_empty() || is_inbox || !rest.chars().all(is_plain) {
                return Err(format!(
                    "'{level}' cannot be a level of it: letters, digits, blanks and any of _-+=, can"
                ));
            }
        }
        Ok(Self { levels })
    }

    /// The same with its date, in the form of ISO 8601.
    #[must_use]
    pub fn dated(&self, date: &str) -> Self {
        Self { levels: self.levels.iter().map(|level| level.replace(DATE, date)).collect() }
    }

    /// The levels in it of a folder, of which these are its own; the INBOX has none.
    pub(super) fn levels_of(&self, folder: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let inbox = [b"INBOX".to_vec()];
        let folder = if folder.is_empty() { &inbox[..] } else { folder };
        let mut levels = Vec::new();
        for level in &self.levels {
            if level == FOLDER {
                levels.extend_from_slice(folder);
            } else {
                levels.push(level.clone().into_bytes());
            }
        }
        levels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(tree: &str, folder: &[&str]) -> Vec<String> {
        let folder: Vec<Vec<u8>> = folder.iter().map(|level| level.as_bytes().to_vec()).collect();
        let levels = Tree::parse(tree).unwrap().dated("2026-11-21").levels_of(&folder);
        levels.into_iter().map(|level| String::from_utf8(level).unwrap()).collect()
    }

    #[test]
    fn every_folder_has_a_place_of_its_own_in_the_tree() {
        let tree = "Recovered/{date}/{folder}";
        assert_eq!(levels(tree, &["Work", "Old"]), ["Recovered", "2026-11-21", "Work", "Old"]);
        assert_eq!(levels(tree, &[]), ["Recovered", "2026-11-21", "INBOX"]);
        assert_eq!(levels("{folder}/of {date}", &["A"]), ["A", "of 2026-11-21"]);
    }

    #[test]
    fn what_would_bring_folders_together_or_back_to_themselves_is_refused() {
        for wrong in [
            "",
            "Recovered",
            "{folder}",
            "INBOX/{folder}",
            "A//{folder}",
            "A/{folder}/{folder}",
            "A/x{folder}",
            "A.B/{folder}",
            "A&-/{folder}",
            "{day}/{folder}",
        ] {
            assert!(Tree::parse(wrong).is_err(), "{wrong}");
        }
    }
}
