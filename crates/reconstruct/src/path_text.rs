//! Paths and names as JSON: text where they are text, else the bytes, one number each, so that every
//! name that a directory can hold comes back as it was.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A path or a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum PathText {
    Text(String),
    Bytes(Vec<u8>),
}

impl PathText {
    pub(crate) fn into_os_string(self) -> OsString {
        match self {
            Self::Text(text) => text.into(),
            Self::Bytes(bytes) => OsString::from_vec(bytes),
        }
    }

    pub(crate) fn as_path(&self) -> &Path {
        match self {
            Self::Text(text) => Path::new(text),
            Self::Bytes(bytes) => Path::new(OsStr::from_bytes(bytes)),
        }
    }
}

impl From<&OsStr> for PathText {
    fn from(name: &OsStr) -> Self {
        match name.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Bytes(name.as_bytes().to_vec()),
        }
    }
}

impl From<PathBuf> for PathText {
    fn from(path: PathBuf) -> Self {
        path.as_os_str().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_any_bytes_comes_back_from_json() {
        for name in [&b"5."[..], b"\xff\"\n."] {
            let text = PathText::from(OsStr::from_bytes(name));
            let json = serde_json::to_string(&text).unwrap();
            assert!(!json.contains('\n'));
            let back: PathText = serde_json::from_str(&json).unwrap();
            assert_eq!(back.as_path().as_os_str().as_bytes(), name);
            assert_eq!(back.into_os_string().as_bytes(), name);
        }
    }
}
