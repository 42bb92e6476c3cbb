//! Patterns over mailbox names, as IMAP's LIST has them (`lib/glob.c`).

use crate::name::InternalName;
use crate::namespace::Namespace;

/// A pattern over mailbox names; see [`Namespace::pattern`].
#[derive(Debug, Clone)]
pub struct Pattern {
    namespace: Namespace,
    globs: Vec<Vec<u8>>,
}

impl Pattern {
    /// `globs` are operators' names with wildcards, one for each reading.
    pub(crate) fn new(namespace: Namespace, globs: Vec<Vec<u8>>) -> Self {
        Self { namespace, globs }
    }

    /// Whether it holds a wildcard.
    #[must_use]
    pub fn is_wild(&self) -> bool {
        self.globs.iter().flatten().any(|byte| b"*%".contains(byte))
    }

    fn separator(&self) -> u8 {
        if self.namespace.separator() == '/' { b'/' } else { b'.' }
    }

    /// Whether `name` matches in any reading.
    #[must_use]
    pub fn matches(&self, name: &InternalName) -> bool {
        (0..self.globs.len()).any(|reading| self.matches_reading(reading, name, false))
    }

    /// In how many ways what the operator wrote can be read; likeliest first, at least one.
    #[must_use]
    pub fn readings(&self) -> usize {
        self.globs.len()
    }

    /// Whether `name` matches one reading; with `below`, also every mailbox below a match.
    #[must_use]
    pub fn matches_reading(&self, reading: usize, name: &InternalName, below: bool) -> bool {
        let Some(glob) = self.globs.get(reading) else { return false };
        let external = self.namespace.external(name);
        let separator = self.separator();
        if glob_matches(glob, &external, separator) {
            return true;
        }
        // As the server's reconstruct -r: the same pattern, `<separator>*`, the domain.
        below && {
            let (local, domain) = self.namespace.split_domain(glob);
            let mut deeper = local.to_vec();
            deeper.extend_from_slice(&[separator, b'*']);
            if let Some(domain) = domain {
                deeper.push(b'@');
                deeper.extend_from_slice(domain);
            }
            glob_matches(&deeper, &external, separator)
        }
    }
}

/// Steps through the text with the set of places reached in the glob, so that time is bounded by
/// the product of the lengths whatever an operator types.
fn glob_matches(glob: &[u8], text: &[u8], separator: u8) -> bool {
    let skip_wildcards = |reached: &mut Vec<bool>| {
        for (place, byte) in glob.iter().enumerate() {
            if reached[place] && b"*%".contains(byte) {
                reached[place + 1] = true;
            }
        }
    };
    let mut reached = vec![false; glob.len() + 1];
    reached[0] = true;
    skip_wildcards(&mut reached);
    for &byte in text {
        let mut next = vec![false; glob.len() + 1];
        for (place, &wanted) in glob.iter().enumerate().filter(|(place, _)| reached[*place]) {
            match wanted {
                b'*' => next[place] = true,
                b'%' => next[place] |= byte != separator,
                _ => next[place + 1] |= byte == wanted,
            }
        }
        skip_wildcards(&mut next);
        reached = next;
    }
    reached[glob.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::tests::namespace;

    #[test]
    fn wildcards_match_as_in_imap_list() {
        let namespace = namespace(b'/', true);
        let matches = |pattern: &str, name: &str| {
            namespace.pattern(pattern).unwrap().matches(&InternalName::new(name))
        };
        assert!(matches("user/*", "user.alice.Sent"));
        assert!(matches("user/%", "user.alice"));
        assert!(!matches("user/%", "user.alice.Sent"));
        assert!(matches("user.%", "user.alice"));
        assert!(matches("user/%/Sent", "user.alice.Sent"));
        assert!(matches("*", "example.com!user.alice"));
        assert!(matches("user/*@example.com", "example.com!user.alice.x"));
        assert!(!matches("user/*@example.com", "user.alice.x"));
        assert!(!matches("user/alice", "user.alice.Sent"));
        assert!(matches("user/al*ce*S%", "user.alice.Sent"));
    }

    #[test]
    fn below_takes_what_lies_under_a_match_in_the_same_domain() {
        let namespace = namespace(b'/', true);
        let below = |pattern: &str, name: &str| {
            let pattern = namespace.pattern(pattern).unwrap();
            pattern.matches_reading(0, &InternalName::new(name), true)
        };
        assert!(below("user/alice", "user.alice.Sent.2006"));
        assert!(below("user.alice", "user.alice"));
        assert!(!below("user/alice", "user.alicex"));
        assert!(below("user/alice@e.org", "e.org!user.alice.Sent"));
        assert!(!below("user/alice@e.org", "f.org!user.alice.Sent"));
    }

    #[test]
    fn a_pattern_of_many_wildcards_ends() {
        let namespace = namespace(b'/', false);
        let pattern = namespace.pattern(&"*a%".repeat(200)).unwrap();
        assert!(!pattern.matches(&InternalName::new("a".repeat(400) + "x/")));
    }
}
