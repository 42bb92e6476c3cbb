//! The names of character sets (`lib/charset/aliases.txt`, `charset_lookupname`; ICU 72's
//! `ucnv_open` and its alias table).
//!
//! Cyrus has a short list of names of its own, some of which mean another set than ICU's of that
//! name; what is not in it is asked of ICU, which looks at letters and digits only.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Each line: a name, then other names (in lower case) that Cyrus takes for it.
const CYRUS_NAMES: &str = include_str!("data/cyrus-names.txt");

/// Each line: a kind, ICU's name of a converter, then its other names as [`IcuKey`] has them.
const ICU_NAMES: &str = include_str!("data/icu-names.txt");

/// A converter of ICU's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Converter {
    pub(super) name: &'static str,
    /// Which of the single-byte tables it uses, if it is of that kind.
    pub(super) single_byte: Option<usize>,
}

static CYRUS: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    let mut names = HashMap::new();
    for line in CYRUS_NAMES.lines() {
        let Some((canonical, others)) = line.split_once(' ') else { continue };
        names.extend(others.split(' ').map(|other| (other, canonical)));
    }
    for line in CYRUS_NAMES.lines() {
        let Some((canonical, _)) = line.split_once(' ') else { continue };
        // Canonical names are themselves in lower case but for one, which ICU knows alike.
        names.entry(canonical).or_insert(canonical);
    }
    names
});

static ICU: LazyLock<HashMap<&'static [u8], Converter>> = LazyLock::new(|| {
    let mut converters = HashMap::new();
    let mut single_bytes = 0..;
    for line in ICU_NAMES.lines() {
        let mut words = line.split(' ');
        let (Some(kind), Some(name)) = (words.next(), words.next()) else { continue };
        let single_byte = if kind == "single-byte" { single_bytes.next() } else { None };
        let converter = Converter { name, single_byte };
        let words = words.filter(|word| !word.is_empty());
        converters.extend(words.map(|word| (word.as_bytes(), converter)));
    }
    converters
});

/// Cyrus's own name for what it knows as `name`.
pub(super) fn cyrus_name(name: &[u8]) -> Option<&'static str> {
    /// Longer than any name in the list.
    const LONGEST: usize = 32;
    let mut lower = [0; LONGEST];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    CYRUS.get(std::str::from_utf8(lower).ok()?).copied()
}

/// The converter that ICU opens by this name.
pub(super) fn icu_converter(name: &[u8]) -> Option<Converter> {
    // Options follow a comma; none that Cyrus's callers give makes another converter of these.
    let name = name.split(|&byte| byte == b',').next()?;
    let converter = ICU.get(IcuKey::of(name)?.as_bytes());
    // A name that is not known is looked for once more without its `x-`, a small one only.
    let without_x = || ICU.get(IcuKey::of(name.strip_prefix(b"x-")?)?.as_bytes());
    converter.or_else(without_x).copied()
}

/// A name as ICU compares it: letters in lower case and digits, without zeros that lead a number.
struct IcuKey {
    bytes: [u8; Self::LONGEST],
    length: usize,
}

impl IcuKey {
    /// `UCNV_MAX_CONVERTER_NAME_LENGTH`; longer names are refused.
    const LONGEST: usize = 60;

    fn of(name: &[u8]) -> Option<Self> {
        if name.len() >= Self::LONGEST {
            return None;
        }
        let mut key = Self { bytes: [0; Self::LONGEST], length: 0 };
        let mut in_number = false;
        let mut rest = name;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            match byte {
                b'0' if !in_number && after.first().is_some_and(u8::is_ascii_digit) => continue,
                b'0' => {}
                b'1'..=b'9' => in_number = true,
                _ => in_number = false,
            }
            if byte.is_ascii_alphanumeric()
                && let Some(place) = key.bytes.get_mut(key.length)
            {
                *place = byte.to_ascii_lowercase();
                key.length = key.length.saturating_add(1);
            }
        }
        Some(key)
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn icu(name: &str) -> Option<&'static str> {
        icu_converter(name.as_bytes()).map(|converter| converter.name)
    }

    #[test]
    fn icu_names_are_compared_by_letters_and_digits() {
        assert_eq!(icu("ISO_8859-2"), Some("ibm-912_P100-1995"));
        assert_eq!(icu("iso 8859 02"), Some("ibm-912_P100-1995"));
        assert_eq!(icu("cp1252,anything"), Some("ibm-5348_P100-1997"));
        assert_eq!(icu("x-koi8-r"), Some("ibm-878_P100-1996"));
        assert_eq!(icu("X-koi8-r"), None);
        assert_eq!(icu("x-x-koi8-r"), None);
        assert_eq!(icu("iso-8859-00"), None);
        assert_eq!(icu(""), None);
        assert_eq!(icu(&"x".repeat(60)), None);
    }

    #[test]
    fn cyrus_names_go_before() {
        assert_eq!(cyrus_name(b"ISO-8859-1"), Some("windows-1252"));
        assert_eq!(cyrus_name(b"GB2312"), Some("windows-936"));
        assert_eq!(cyrus_name(b"koi8-r"), Some("koi8-r"));
        assert_eq!(cyrus_name(b"iso-8859-4"), None);
    }

    #[test]
    fn every_name_of_cyrus_is_known_to_icu_or_built_in() {
        for canonical in CYRUS.values() {
            assert!(icu(canonical).is_some(), "{canonical}");
        }
    }
}
