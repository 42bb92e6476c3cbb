//! The old form: three lines.

use super::{FlagNames, HeaderFile, HeaderForm};
use crate::DecodeError;

pub(super) fn decode(body: &[u8]) -> Result<HeaderFile, DecodeError> {
    let mut rest = body;
    let mut line = |field| {
        let offset = u64::try_from(body.len().saturating_sub(rest.len())).unwrap_or(u64::MAX);
        let end = rest.iter().position(|&byte| byte == b'\n');
        let (line, after) = end.and_then(|end| rest.split_at_checked(end)).ok_or_else(|| {
            DecodeError::new(offset, field, "a line", format!("{} bytes without end", rest.len()))
        })?;
        rest = after.get(1..).unwrap_or(&[]);
        Ok::<_, DecodeError>((offset, line))
    };
    let (_, identity) = line("quotaroot")?;
    let (flags_at, flags) = line("flagname")?;
    let (_, acl) = line("acl")?;

    let mut header = HeaderFile::new(HeaderForm::Lines);
    let (quotaroot, id) = split_at_tab(identity);
    header.quotaroot = (!quotaroot.is_empty()).then(|| quotaroot.to_vec());
    if let Some(id) = id.strip_prefix(b"\t") {
        let (uniqueid, more) = split_at_tab(id);
        if uniqueid.is_empty() {
            return Err(DecodeError::new(0, "uniqueid", "a unique id after the tab", "none"));
        }
        header.uniqueid = Some(uniqueid.to_vec());
        header.first_line_rest = more.to_vec();
    }
    if !flags.is_empty() {
        let names = flags.split(|&byte| byte == b' ');
        let names = names.map(|name| (!name.is_empty()).then(|| name.to_vec()));
        let mut names: Vec<_> = names.collect();
        // The space that Cyrus writes after the last name opens no slot.
        header.no_closing_space = names.last() != Some(&None);
        if !header.no_closing_space {
            names.pop();
        }
        header.flag_names =
            FlagNames::new(names).map_err(|error| DecodeError { offset: flags_at, ..error })?;
    }
    header.acl = Some(acl.to_vec());
    header.trailing = rest.to_vec();
    Ok(header)
}

fn split_at_tab(line: &[u8]) -> (&[u8], &[u8]) {
    let tab = line.iter().position(|&byte| byte == b'\t').unwrap_or(line.len());
    line.split_at_checked(tab).unwrap_or((line, &[]))
}

pub(super) fn encode_into(header: &HeaderFile, out: &mut Vec<u8>) {
    let text = |text: &Option<Vec<u8>>| text.clone().unwrap_or_default();
    out.extend(text(&header.quotaroot));
    if let Some(uniqueid) = &header.uniqueid {
        out.push(b'\t');
        out.extend(uniqueid);
    }
    out.extend(&header.first_line_rest);
    out.push(b'\n');
    // Cyrus 2 and 3 up to 3.4 write no hole, so that later keywords move down a slot each time the
    // header is written; what they read has a space for each hole, and so has this.
    for name in header.flag_names.slots() {
        out.extend(text(name));
        out.push(b' ');
    }
    if header.no_closing_space && out.last() == Some(&b' ') {
        out.pop();
    }
    out.push(b'\n');
    out.extend(text(&header.acl));
    out.push(b'\n');
    out.extend(&header.trailing);
}

#[cfg(test)]
mod tests {
    use super::super::MAGIC;
    use super::*;

    fn file(body: &str) -> Vec<u8> {
        [MAGIC, body.as_bytes()].concat()
    }

    #[test]
    fn what_cyrus_2_and_3_wrote_is_written_back_byte_for_byte() {
        for body in [
            "user.erin\t11bt3fji0y5vaoninu64vsgh\nWork $Forwarded \nerin\tlrs\tanyone\tp\t\n",
            "\t7b2c\n\nerin\tlrs\t\n",
            "user.erin\n\n\n",
            "user.erin\t7b2c\nWork  $Forwarded\nerin\tlrs\t\n",
            "user.erin\t7b2c\tmore\nWork \nerin\tlrs\t\nand more\n",
        ] {
            let bytes = file(body);
            assert_eq!(HeaderFile::decode(&bytes).unwrap().encode(), bytes, "{body:?}");
        }
    }

    #[test]
    fn the_three_lines_are_told_apart() {
        let header =
            HeaderFile::decode(&file("user.erin\t7b2c\nWork  $F \nerin\tlrs\t\n")).unwrap();
        assert_eq!(header.form, HeaderForm::Lines);
        assert_eq!(header.quotaroot.as_deref(), Some(&b"user.erin"[..]));
        assert_eq!(header.uniqueid.as_deref(), Some(&b"7b2c"[..]));
        let names: Vec<_> = header.flag_names.iter().collect();
        assert_eq!(names, [(0, &b"Work"[..]), (2, b"$F")]);
        assert_eq!(header.acl.as_deref(), Some(&b"erin\tlrs\t"[..]));
        assert_eq!(HeaderFile::decode(&file("\t7b2c\n\n\n")).unwrap().quotaroot, None);
    }

    #[test]
    fn a_missing_line_and_an_empty_unique_id_are_errors() {
        for (body, field) in [
            ("", "quotaroot"),
            ("user.erin\t7b2c", "quotaroot"),
            ("user.erin\t7b2c\n", "flagname"),
            ("user.erin\t7b2c\nWork \nerin\tlrs\t", "acl"),
            ("user.erin\t\n\n\n", "uniqueid"),
        ] {
            assert_eq!(HeaderFile::decode(&file(body)).unwrap_err().field, field, "{body:?}");
        }
    }

    #[test]
    fn a_129th_keyword_is_an_error() {
        let flags = "a ".repeat(129);
        assert!(HeaderFile::decode(&file(&format!("\tid\n{}\n\n", &flags[2..]))).is_ok());
        assert!(HeaderFile::decode(&file(&format!("\tid\n{flags}\n\n"))).is_err());
    }
}
