//! Proof by the CRC-32 of the whole `cyrus.header`: the file is written as the server would have
//! with each set of keywords in turn, until one has the CRC.

use crc32fast::Hasher;
use mailstore_format::UserFlags;
use mailstore_format::dlist::{self, Dlist};
use mailstore_format::header_file::{FlagNames, HeaderFile, HeaderForm, crc};

use super::candidates::{Candidates, pools, span};

/// So many sets of keywords of each length are tried with each form of the file. One of all these
/// is taken for the file by chance in one of some thousand mailboxes whose own is not among them.
const ATTEMPTS: usize = 50_000;
/// So many keywords behind the last one in use are thought of.
const UNUSED_BEHIND: usize = 2;

impl Candidates {
    /// The file with CRC `expected` that says of the mailbox what `header` does.
    pub(super) fn prove_file(
        &self,
        header: &HeaderFile,
        used: UserFlags,
        expected: u32,
    ) -> Option<HeaderFile> {
        let needed = used.slots().last().map_or(0, |slot| slot.saturating_add(1));
        let lists: Vec<FlagNames> = self.prefixes(needed);
        let certain = self.certain();
        for mut file in forms(header) {
            if needed == 0 && crc(&file.encode()) == expected {
                return Some(file);
            }
            let named = Search::of(&file, expected, &self.names, used);
            let found = lists.iter().find(|names| named.is_it(names)).cloned();
            let combined = || certain.iter().find_map(|names| named.combine(names, needed));
            if let Some(names) = found.or_else(combined) {
                file.flag_names = names;
                // The parts were joined; what is written must be the very same.
                return (crc(&file.encode()) == expected).then_some(file);
            }
        }
        None
    }

    /// Every list, also without its last names.
    fn prefixes(&self, needed: usize) -> Vec<FlagNames> {
        let mut prefixes: Vec<FlagNames> = Vec::new();
        for list in &self.lists {
            for len in needed.max(1)..=span(list) {
                let first = (0..len).map(|slot| list.get(slot).map(<[u8]>::to_vec));
                let Ok(prefix) = FlagNames::new(first) else { continue };
                if !prefixes.contains(&prefix) {
                    prefixes.push(prefix);
                }
            }
        }
        prefixes
    }
}

/// What the server may have written of what `header` says: either form, with any quota root.
fn forms(header: &HeaderFile) -> Vec<HeaderFile> {
    let name = header.name.clone().unwrap_or_default();
    let levels = name.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at);
    let roots = levels.chain([name.len()]).filter_map(|end| name.get(..end));
    let roots = std::iter::once(None).chain(roots.map(|root| Some(root.to_vec())));
    let roots: Vec<Option<Vec<u8>>> = roots.collect();
    let with = |form: HeaderForm| {
        roots.iter().map(move |root| {
            let mut file = HeaderFile::new(form);
            file.name.clone_from(&header.name);
            file.mbtype.clone_from(&header.mbtype);
            file.uniqueid.clone_from(&header.uniqueid);
            file.jmapid.clone_from(&header.jmapid);
            file.acl.clone_from(&header.acl);
            file.quotaroot.clone_from(root);
            file
        })
    };
    with(HeaderForm::Dlist).chain(with(HeaderForm::Lines)).collect()
}

/// One form of the file, without its keywords.
struct Search<'a> {
    form: HeaderForm,
    before: Hasher,
    after: Vec<u8>,
    expected: u32,
    names: &'a [Vec<u8>],
    used: UserFlags,
}

impl<'a> Search<'a> {
    fn of(file: &HeaderFile, expected: u32, names: &'a [Vec<u8>], used: UserFlags) -> Self {
        let (front, after) = file.around_flag_names();
        let mut before = Hasher::new();
        before.update(&front);
        Self { form: file.form, before, after, expected, names, used }
    }

    /// Whether the file with these keywords has the CRC.
    fn is_it(&self, names: &FlagNames) -> bool {
        let mut hasher = self.before.clone();
        for slot in 0..span(names) {
            self.add(&mut hasher, slot, names.get(slot));
        }
        self.ends_right(hasher)
    }

    fn add(&self, hasher: &mut Hasher, slot: usize, name: Option<&[u8]>) {
        if slot > 0 {
            hasher.update(b" ");
        }
        match (self.form, name) {
            (HeaderForm::Lines, name) => hasher.update(name.unwrap_or_default()),
            (HeaderForm::Dlist, None) => hasher.update(&dlist::encode(&Dlist::Nil)),
            (HeaderForm::Dlist, Some(name)) => hasher.update(&dlist::encode(&Dlist::atom(name))),
        }
    }

    fn ends_right(&self, mut hasher: Hasher) -> bool {
        hasher.update(&self.after);
        hasher.finalize() == self.expected
    }

    /// Combines single names, the shortest sets first. Slots that are `fixed` have that name.
    fn combine(&self, fixed: &FlagNames, needed: usize) -> Option<FlagNames> {
        let shortest = needed.max(span(fixed)).max(1);
        (shortest..=shortest.saturating_add(UNUSED_BEHIND)).find_map(|len| {
            let mut attempts = ATTEMPTS;
            pools(self.names, len).find_map(|names| {
                let mut chosen = Chosen { names, fixed, len, slots: Vec::with_capacity(len) };
                self.descend(&self.before, &mut chosen, &mut attempts).then(|| chosen.found())?
            })
        })
    }

    fn descend(&self, hasher: &Hasher, chosen: &mut Chosen<'_>, attempts: &mut usize) -> bool {
        let Chosen { names, fixed, len, .. } = *chosen;
        let slot = chosen.slots.len();
        if slot == len {
            *attempts = attempts.saturating_sub(1);
            return self.ends_right(hasher.clone());
        }
        // No set ends with a hole, and none is left in the old form.
        let hole = !self.used.contains(slot)
            && slot.saturating_add(1) < len
            && self.form == HeaderForm::Dlist;
        let own = fixed.get(slot);
        let others = names.iter().map(|name| Some(name.as_slice()));
        let others = others.chain(hole.then_some(None)).filter(|_| own.is_none());
        for name in own.map(Some).into_iter().chain(others) {
            if *attempts == 0 {
                return false;
            }
            if name.is_some() && chosen.slots.contains(&name) {
                continue;
            }
            let mut longer = hasher.clone();
            self.add(&mut longer, slot, name);
            chosen.slots.push(name);
            if self.descend(&longer, chosen, attempts) {
                return true;
            }
            chosen.slots.pop();
        }
        false
    }
}

/// Names chosen so far, slot by slot.
struct Chosen<'a> {
    names: &'a [Vec<u8>],
    fixed: &'a FlagNames,
    len: usize,
    slots: Vec<Option<&'a [u8]>>,
}

impl Chosen<'_> {
    fn found(&self) -> Option<FlagNames> {
        FlagNames::new(self.slots.iter().map(|name| name.map(<[u8]>::to_vec))).ok()
    }
}
