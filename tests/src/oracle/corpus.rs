//! Messages from files that others made.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::skipped::skip_without_corpus;

/// The environment variable that names the directory of the project's corpus.
const VARIABLE: &str = "MAIL_CORPUS";

/// A message and where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The file, and in a file of several messages which of them.
    pub source: String,
    /// The message as it stands there.
    pub bytes: Vec<u8>,
}

/// Messages from all files of a directory.
#[derive(Debug, Clone, Default)]
pub struct Corpus {
    /// In the order of their files' names.
    pub messages: Vec<Sample>,
}

impl Corpus {
    /// The corpus that lies outside of the repository: `$MAIL_CORPUS`, else `../shared/corpus`
    /// beside the workspace; None where there is none.
    #[must_use]
    pub fn directory() -> Option<PathBuf> {
        let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
        let named = std::env::var_os(VARIABLE).filter(|name| !name.is_empty());
        Some(named.map_or_else(beside, PathBuf::from)).filter(|path| path.is_dir())
    }

    /// [`Corpus::directory`] for the start of a test: where there is none, prints and records that
    /// the test named `test` is skipped.
    #[must_use]
    pub fn available_or_skip(test: &str) -> Option<PathBuf> {
        let directory = Self::directory();
        if directory.is_none() {
            let why = format!("no corpus: {VARIABLE} names no directory, no ../shared/corpus");
            skip_without_corpus(test, &why);
        }
        directory
    }

    /// The directory of the repository's own messages, one for each rule of the reader.
    #[must_use]
    pub fn of_rules() -> PathBuf {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        workspace.join("crates/mailstore-format/testdata/messages")
    }

    /// Reads every file below `directory` but those that are about the corpus itself (`README.md`,
    /// `SOURCES.md`, `MANIFEST.tsv`, hidden files) and what is expected of messages (`*.expected`).
    /// Files of several messages, with `From ` lines between them, are split.
    pub fn read(directory: &Path) -> Result<Self> {
        let mut messages = Vec::new();
        for path in files_below(directory)? {
            let name = path.strip_prefix(directory).unwrap_or(&path).display().to_string();
            let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            let parts = split_mbox(&bytes);
            let is_one = parts.len() == 1;
            for (number, part) in parts.into_iter().enumerate() {
                let source = if is_one { name.clone() } else { format!("{name}:{}", number + 1) };
                messages.push(Sample { source, bytes: part.to_vec() });
            }
        }
        ensure!(!messages.is_empty(), "{} holds no messages", directory.display());
        Ok(Self { messages })
    }
}

fn files_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let (mut files, mut open) = (Vec::new(), vec![directory.to_path_buf()]);
    while let Some(directory) = open.pop() {
        let listing = fs::read_dir(&directory);
        for entry in listing.with_context(|| format!("listing {}", directory.display()))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_about = ["README.md", "SOURCES.md", "MANIFEST.tsv"].contains(&name.as_str());
            let is_expectation = entry.path().extension().is_some_and(|it| it == "expected");
            if name.starts_with('.') || is_about || is_expectation {
                continue;
            }
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The messages of an mbox, each without its `From ` line; a file that is none is one message, with
/// the `From ` line that it may begin with.
fn split_mbox(bytes: &[u8]) -> Vec<&[u8]> {
    let mut starts = Vec::new();
    let mut line_start = 0;
    let mut after_blank = true;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        if after_blank && is_from_line(line) {
            starts.push((line_start, line_start + line.len()));
        }
        after_blank = matches!(line, b"\n" | b"\r\n");
        line_start += line.len();
    }
    if starts.len() < 2 || starts.first().is_some_and(|&(start, _)| start != 0) {
        return vec![bytes];
    }
    let ends = starts.iter().skip(1).map(|&(next, _)| next).chain([bytes.len()]);
    starts.iter().zip(ends).map(|(&(_, start), end)| &bytes[start..end]).collect()
}

/// Whether a line is `From <who> <when>`, the year at the end: prose that begins with "From" is not.
fn is_from_line(line: &[u8]) -> bool {
    let words: Vec<&[u8]> =
        line.trim_ascii_end().split(|&byte| byte == b' ').filter(|word| !word.is_empty()).collect();
    let is_number = |word: &[u8]| word.len() == 4 && word.iter().all(u8::is_ascii_digit);
    let has_time = words.iter().any(|word| word.split(|&byte| byte == b':').count() == 3);
    line.starts_with(b"From ") && has_time && words.iter().any(|word| is_number(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: &str = "From a@example.org Thu Sep 12 10:00:00 2002\n";

    #[test]
    fn an_mbox_is_split_at_its_from_lines() {
        let mbox = format!("{FROM}Subject: 1\n\nFrom here on\n\n{FROM}Subject: 2\n\n.\n");
        let parts = split_mbox(mbox.as_bytes());
        assert_eq!(parts, [&b"Subject: 1\n\nFrom here on\n\n"[..], b"Subject: 2\n\n.\n"]);
    }

    #[test]
    fn a_single_message_keeps_its_from_line() {
        let message = format!("{FROM}Subject: 1\n\nFrom here\n");
        assert_eq!(split_mbox(message.as_bytes()), [message.as_bytes()]);
        assert_eq!(split_mbox(b""), [b""]);
    }
}
