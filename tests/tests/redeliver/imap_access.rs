//! How tests get into a server over IMAP.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// The options by which the administrator of a test's server delivers over IMAP through `port`; the
/// password is in a file in `directory`. Any password will do.
pub(crate) fn as_admin(directory: &Path, port: u16) -> Result<Vec<String>> {
    let file = password_file(directory)?;
    let url = format!("imap://127.0.0.1:{port}");
    let options =
        ["--via", "imap", "--imap", &url, "--imap-admin", "cyrus", "--imap-password-file"];
    let options = options.map(str::to_owned);
    Ok(options.into_iter().chain([file.display().to_string()]).collect())
}

/// A file that has a password.
pub(crate) fn password_file(directory: &Path) -> Result<PathBuf> {
    let file = directory.join("password");
    fs::write(&file, "any\n")?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    Ok(file)
}
