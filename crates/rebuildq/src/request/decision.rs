//! What is done about a request.

use super::mentions::{self, MAX_MENTIONS, Mention, Sureness};
use super::sender::Sender;
use super::{Request, text};

/// How many accounts an operator can name.
const MAX_ACCOUNTS: usize = 10;

/// Bytes of text that are kept for the operators.
const MAX_KEPT: usize = 2048;

/// Who may ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whole addresses of those who may name any account; upper and lower case are the same.
    pub operators: Vec<String>,
    /// Domains in which the part before the `@` is an account.
    pub domains: Vec<String>,
}

impl Why {
    /// The same in words, for the operators.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSender => "nothing tells who sent it",
            Self::Stranger => "its sender has no account",
            Self::OtherAccount => "its sender has an account and seems to name another",
            Self::NobodyNamed => "an operator names nobody who has an account",
            Self::TooManyNamed => "an operator names too many",
        }
    }
}

/// What is done about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A program wrote it: nothing is raised, kept or answered.
    Ignored,
    /// Accounts come first.
    Raise(Raise),
    /// A person has to read it.
    Unclear(Unclear),
}

/// Accounts that come first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raise {
    /// The address that is answered. Its owner may know of all `accounts`.
    pub answered: String,
    /// One, the sender's own, or those that an operator named.
    pub accounts: Vec<String>,
    /// Whether an operator asks.
    pub by_operator: bool,
}

/// A request that a person has to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclear {
    /// The address that is answered, with [`Answer::Unclear`](super::Answer::Unclear); none where
    /// nobody is.
    pub answered: Option<String>,
    /// Why it is not clear: for the operators, never for the sender.
    pub why: Why,
    /// Its subject, in one line.
    pub subject: String,
    /// At most 2 KiB of its text, without control characters.
    pub text: String,
}

/// Why a request is not clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// `From` does not say who wrote it.
    NoSender,
    /// It comes from nobody's account.
    Stranger,
    /// Who wrote it has an account and seems to name another; there may be none of that name.
    OtherAccount,
    /// An operator names no account.
    NobodyNamed,
    /// An operator names more than ten.
    TooManyNamed,
}

/// Decides about a request. `is_account` is asked for names as the store has them.
#[must_use]
pub fn decide(request: &Request, is_account: &dyn Fn(&str) -> bool, policy: &Policy) -> Decision {
    if request.is_automatic {
        return Decision::Ignored;
    }
    match &request.sender {
        None => unclear(request, Why::NoSender),
        Some(sender) if policy.has_operator(sender) => {
            of_operator(request, sender, is_account, policy)
        }
        Some(sender) => match account(&sender.address, is_account, &policy.domains) {
            Some(own) => of_account(request, sender, own, &policy.domains),
            None => unclear(request, Why::Stranger),
        },
    }
}

/// The accounts among what is mentioned, each once.
pub(super) fn accounts(
    mentions: &[Mention<'_>],
    is_account: &dyn Fn(&str) -> bool,
    domains: &[String],
) -> Vec<String> {
    let mut accounts = Vec::new();
    for mention in mentions {
        if let Some(account) = account(mention.word, is_account, domains)
            && !accounts.contains(&account)
        {
            accounts.push(account);
        }
    }
    accounts
}

fn of_operator(
    request: &Request,
    sender: &Sender,
    is_account: &dyn Fn(&str) -> bool,
    policy: &Policy,
) -> Decision {
    let mentions = mentions::of(request);
    let accounts = accounts(&mentions, is_account, &policy.domains);
    if accounts.len() > MAX_ACCOUNTS || mentions.len() > MAX_MENTIONS {
        unclear(request, Why::TooManyNamed)
    } else if accounts.is_empty() {
        unclear(request, Why::NobodyNamed)
    } else {
        raise(sender, accounts, true)
    }
}

/// Does not ask which accounts there are: the answer would tell.
fn of_account(request: &Request, sender: &Sender, own: String, domains: &[String]) -> Decision {
    let is_own = |word: &str| {
        let is = |name: &str| word.eq_ignore_ascii_case(name);
        let in_domain = local_part(word, domains).unwrap_or(word);
        is(&own) || is(&sender.address) || in_domain.eq_ignore_ascii_case(sender.local_part())
    };
    let names_another = mentions::of(request)
        .iter()
        .any(|mention| mention.sureness == Sureness::Meant && !is_own(mention.word));
    if names_another {
        unclear(request, Why::OtherAccount)
    } else {
        raise(sender, vec![own], false)
    }
}

fn raise(sender: &Sender, accounts: Vec<String>, by_operator: bool) -> Decision {
    Decision::Raise(Raise { answered: sender.address.clone(), accounts, by_operator })
}

fn unclear(request: &Request, why: Why) -> Decision {
    let text = text::printable(&request.text, MAX_KEPT);
    Decision::Unclear(Unclear {
        answered: request.sender.as_ref().map(|sender| sender.address.clone()),
        why,
        subject: request.subject.clone(),
        text,
    })
}

/// The account of that name, as the store has it: as written or in lower case, whole or, in one of
/// the domains, what stands before the `@`.
fn account(name: &str, is_account: &dyn Fn(&str) -> bool, domains: &[String]) -> Option<String> {
    let names = [Some(name), local_part(name, domains)];
    let spellings =
        names.into_iter().flatten().flat_map(|name| [name.to_owned(), name.to_ascii_lowercase()]);
    spellings.into_iter().find(|name| is_account(name))
}

/// What stands before the `@` of an address in one of the domains.
fn local_part<'a>(name: &'a str, domains: &[String]) -> Option<&'a str> {
    let (local, domain) = name.split_once('@')?;
    domains.iter().any(|each| each.eq_ignore_ascii_case(domain)).then_some(local)
}

impl Policy {
    fn has_operator(&self, sender: &Sender) -> bool {
        self.operators.iter().any(|operator| operator.eq_ignore_ascii_case(&sender.address))
    }
}
