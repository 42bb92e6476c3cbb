//! What the demonstration claims, and whether it holds.

use std::fmt;

/// Sentences with what was found about each.
#[derive(Debug, Default)]
pub(super) struct Claims {
    checked: Vec<Claim>,
}

#[derive(Debug)]
struct Claim {
    sentence: String,
    /// Why it does not hold; empty where it does.
    against: Vec<String>,
}

impl Claims {
    /// A claim that holds where nothing speaks `against` it.
    pub(super) fn add(&mut self, sentence: impl Into<String>, against: Vec<String>) {
        self.checked.push(Claim { sentence: sentence.into(), against });
    }

    /// A claim that holds or does not.
    pub(super) fn add_if(&mut self, sentence: impl Into<String>, holds: bool) {
        let against = if holds { Vec::new() } else { vec!["it does not hold".to_owned()] };
        self.add(sentence, against);
    }

    /// Whether all of them hold.
    pub(super) fn all_hold(&self) -> bool {
        self.checked.iter().all(|claim| claim.against.is_empty())
    }
}

impl fmt::Display for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for claim in &self.checked {
            let mark = if claim.against.is_empty() { "✓" } else { "✗" };
            writeln!(f, "  {mark} {}", claim.sentence)?;
            for reason in &claim.against {
                writeln!(f, "      {reason}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_claim_that_does_not_hold_is_told_and_spoils_all() {
        let mut claims = Claims::default();
        claims.add_if("water is wet", true);
        assert!(claims.all_hold());
        claims.add("the moon is cheese", vec!["it is rock".to_owned()]);
        assert!(!claims.all_hold());
        let told = "  ✓ water is wet\n  ✗ the moon is cheese\n      it is rock\n";
        assert_eq!(claims.to_string(), told);
    }
}
