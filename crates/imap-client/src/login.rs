//! Who logs in, and how (RFC 4616, RFC 4959).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::Error;
use crate::reply::{Condition, Status};
use crate::session::Session;
use crate::text::quoted;

/// A password, which is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// These letters.
    #[must_use]
    pub fn new(letters: impl Into<String>) -> Self {
        Self(letters.into())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Who logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Whose password it is.
    pub name: String,
    /// As whom to be from then on, where that is somebody else: an administrator as a user.
    pub acting_as: Option<String>,
    /// The password.
    pub password: Password,
}

impl Login {
    /// Whom the session is of.
    fn user(&self) -> &str {
        self.acting_as.as_deref().unwrap_or(&self.name)
    }

    fn plain(&self) -> String {
        let acting_as = self.acting_as.as_deref().unwrap_or_default();
        STANDARD.encode(format!("{acting_as}\0{}\0{}", self.name, self.password.0))
    }
}

impl Session {
    /// Logs in. The caller has seen to it that nobody listens.
    pub(crate) fn log_in(&mut self, login: &Login) -> Result<(), Error> {
        let refused = |said: String| Error::LoginRefused { user: login.user().to_owned(), said };
        let parts = [login.name.as_str(), login.user(), &login.password.0];
        if parts.iter().any(|part| part.contains('\0')) {
            return Err(refused("nothing: names and passwords have no NUL".to_owned()));
        }
        let ended = if self.offers("AUTH=PLAIN") {
            self.authenticate(&login.plain())?
        } else if login.acting_as.is_some() || self.offers("LOGINDISABLED") {
            let need =
                "it does not offer AUTH=PLAIN, by which one acts as another or logs in at all";
            return Err(refused(need.to_owned()));
        } else {
            let words = (quoted(login.name.as_bytes()), quoted(login.password.0.as_bytes()));
            let (Some(name), Some(password)) = words else {
                return Err(refused("nothing: LOGIN takes ASCII only".to_owned()));
            };
            self.run(&format!("LOGIN {name} {password}"))?
        };
        match ended.condition {
            Condition::Ok => Ok(()),
            _ => Err(refused(ended.to_string())),
        }
    }

    fn authenticate(&mut self, response: &str) -> Result<Status, Error> {
        if self.offers("SASL-IR") {
            return self.run(&format!("AUTHENTICATE PLAIN {response}"));
        }
        let tag = self.start("AUTHENTICATE PLAIN\r\n")?;
        if let Some(ended) = self.go_on(&tag)? {
            return Ok(ended);
        }
        self.send(format!("{response}\r\n").as_bytes())?;
        self.finish(&tag, &mut |_| Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_administrator_acts_as_a_user_and_the_password_is_not_printed() {
        let (name, acting_as) = ("cyrus".to_owned(), Some("alice".to_owned()));
        let login = Login { name, acting_as, password: Password::new("secret") };
        assert_eq!(STANDARD.decode(login.plain()).unwrap(), b"alice\0cyrus\0secret");
        assert!(!format!("{login:?}").contains("secret"));
    }
}
