//! Who logs in for whom.

use std::collections::HashMap;

use imap_client::{Login, Password, Server};

/// A server, and how one gets in.
#[derive(Debug, Clone)]
pub struct Access {
    /// The server.
    pub server: Server,
    /// Whose passwords there are.
    pub credentials: Credentials,
}

/// Whose passwords there are.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// An administrator's, who may act as any user.
    Admin {
        /// The administrator.
        name: String,
        /// The password.
        password: Password,
    },
    /// Those of users, by name.
    Users(HashMap<String, Password>),
}

impl Credentials {
    /// As whom to log in, to be `user`; for what belongs to nobody, the administrator. Why not, where
    /// that cannot be.
    pub(super) fn login(&self, user: Option<&str>) -> Result<Login, String> {
        match (self, user) {
            (Self::Admin { name, password }, _) => Ok(Login {
                name: name.clone(),
                acting_as: user.map(str::to_owned),
                password: password.clone(),
            }),
            (Self::Users(users), Some(user)) => {
                let password = users.get(user);
                let password =
                    password.ok_or_else(|| format!("there is no password of '{user}'"))?;
                let (name, password) = (user.to_owned(), password.clone());
                Ok(Login { name, acting_as: None, password })
            }
            (Self::Users(_), None) => {
                Err("it belongs to nobody: only an administrator can deliver into it".to_owned())
            }
        }
    }
}
