//! The lines of a configuration file, its included files among them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{ConfigError, text_of};

/// Every option that is set, by its name in lower case.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings(BTreeMap<String, Setting>);

#[derive(Debug, Clone)]
struct Setting {
    value: Vec<u8>,
    file: PathBuf,
    line: usize,
}

impl Settings {
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        settings.read_file(path, &mut BTreeSet::new())?;
        Ok(settings)
    }

    pub(super) fn get(&self, option: &str) -> Option<&[u8]> {
        self.0.get(option).map(|setting| setting.value.as_slice())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// A switch, told by its first letters (`config_parse_switch`).
    pub(super) fn switch(
        &self,
        path: &Path,
        option: &'static str,
        default: bool,
    ) -> Result<bool, ConfigError> {
        match self.get(option) {
            None => Ok(default),
            Some([b'0' | b'n' | b'f', ..] | [b'o', b'f', ..]) => Ok(false),
            Some([b'1' | b'y' | b't', ..] | [b'o', b'n', ..]) => Ok(true),
            Some(other) => Err(ConfigError::Value {
                path: path.into(),
                option,
                value: text_of(other),
                expected: "a switch (yes or no)",
            }),
        }
    }

    fn read_file(&mut self, path: &Path, seen: &mut BTreeSet<PathBuf>) -> Result<(), ConfigError> {
        let text = std::fs::read(path)
            .map_err(|source| ConfigError::Read { path: path.into(), source })?;
        if !seen.insert(path.into()) {
            return Err(ConfigError::IncludedTwice { path: path.into() });
        }
        for (line, content) in logical_lines(&text) {
            let syntax = |problem| ConfigError::Syntax { path: path.into(), line, problem };
            let content = content.trim_ascii_start();
            if content.is_empty() || content.starts_with(b"#") {
                continue;
            }
            let (name, value) = split_option(content).ok_or_else(|| syntax("no option name"))?;
            if value.is_empty() {
                return Err(syntax("the option has no value"));
            }
            if name == "@include" {
                self.read_file(&included_path(path, value), seen)?;
            } else if name.starts_with('@') {
                return Err(syntax("an unknown directive"));
            } else {
                self.insert(name, value, path, line)?;
            }
        }
        Ok(())
    }

    fn insert(
        &mut self,
        option: String,
        value: &[u8],
        path: &Path,
        line: usize,
    ) -> Result<(), ConfigError> {
        if let Some(earlier) = self.0.get(&option) {
            return Err(ConfigError::Duplicate {
                option,
                path: path.into(),
                line,
                earlier: earlier.file.clone(),
                earlier_line: earlier.line,
            });
        }
        self.0.insert(option, Setting { value: value.to_vec(), file: path.into(), line });
        Ok(())
    }
}

/// Lines with their numbers; one that ends in a backslash goes on in the next.
fn logical_lines(text: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut lines = Vec::new();
    let mut pending: Vec<u8> = Vec::new();
    for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
        if let Some(continued) = line.strip_suffix(b"\\") {
            pending.extend_from_slice(continued);
        } else {
            pending.extend_from_slice(line);
            lines.push((number + 1, std::mem::take(&mut pending)));
        }
    }
    if !pending.is_empty() {
        lines.push((text.split(|&byte| byte == b'\n').count(), pending));
    }
    lines
}

/// `name: value` with the name in lower case; the colon follows it at once.
fn split_option(line: &[u8]) -> Option<(String, &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, rest) = line.split_at_checked(colon)?;
    let letters = name.strip_prefix(b"@").unwrap_or(name);
    if letters.iter().any(|byte| !byte.is_ascii_alphanumeric() && !b"-_".contains(byte)) {
        return None;
    }
    let name = String::from_utf8(name.to_ascii_lowercase()).ok()?;
    Some((name, rest.get(1..)?.trim_ascii()))
}

/// The server takes an included path as it stands, from wherever it was started. Beside the
/// including file is where a relative one can still be found from elsewhere.
fn included_path(including: &Path, value: &[u8]) -> PathBuf {
    let path = PathBuf::from(OsStr::from_bytes(value));
    match including.parent() {
        Some(directory) if path.is_relative() && !path.exists() => directory.join(path),
        _ => path,
    }
}
