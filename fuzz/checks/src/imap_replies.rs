//! What a server sends over IMAP, from its bytes to what is understood of them.

use imap_client::{Code, Data, Error, Fetched, Reply, ReplyReader, Status, Value};

/// So long a reply may be here.
const LONGEST: usize = 4096;
/// So many bytes of a server's words are kept, each of which becomes three at most.
const LONGEST_WORDS: usize = 3 * 400;
/// Lists within lists, at most.
const DEEPEST: usize = 16;

/// Replies are the same however the bytes come, no longer than they may be, and what is understood of
/// each is no more than it is.
pub(crate) fn check(bytes: &[u8]) {
    let replies = replies(bytes, bytes.len().max(1));
    assert_eq!(self::replies(bytes, 7), replies);
    let all: usize = replies.iter().map(Vec::len).sum();
    // A line feed alone before a literal becomes a whole line end.
    let line_feeds = memchr::memchr_iter(b'\n', bytes).count();
    assert!(all <= bytes.len() + line_feeds, "{} bytes are {all} of replies", bytes.len());
    for reply in &replies {
        assert!(reply.len() <= LONGEST);
        match Reply::parse(reply) {
            Reply::GoOn(said) => assert!(said.len() < reply.len()),
            Reply::End(tag, status) => {
                assert!(tag.len() <= reply.len());
                of_status(reply, &status);
            }
            Reply::Status(status) => of_status(reply, &status),
            Reply::Data(data) => of_data(reply, &data),
            Reply::Unknown => {}
        }
    }
}

/// The replies in `bytes`, which come in pieces of this size; up to the first that is too long.
fn replies(bytes: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let (mut reader, mut pieces) = (ReplyReader::default(), bytes.chunks(piece));
    let mut more = |received: &mut Vec<u8>| {
        let next = pieces.next().ok_or_else(|| Error::Lost("it ended".to_owned()))?;
        received.extend_from_slice(next);
        Ok(())
    };
    std::iter::from_fn(|| reader.next_reply(LONGEST, &mut more).ok()).collect()
}

fn of_status(reply: &[u8], status: &Status) {
    assert!(status.words.len() <= LONGEST_WORDS && !status.words.contains(char::is_control));
    assert!(!status.to_string().contains(char::is_control));
    let Some(code) = &status.code else { return };
    assert!(status.has_code(&code.name) && code.arguments.len() < reply.len());
    of_code(code);
}

fn of_code(code: &Code) {
    for messages in [0, 1, 3, 500] {
        let uids = code.appended_uids(messages);
        assert!(uids.is_none_or(|(_, uids)| uids.len() == messages && !uids.contains(&0)));
    }
    let values = code.values().unwrap_or_default();
    assert!(size_of(&values, 0) <= code.arguments.len());
    assert_eq!(code.number().is_some(), matches!(&*values, [one] if one.number().is_some()));
}

fn of_data(reply: &[u8], data: &Data) {
    assert!(size_of(&data.values, 0) <= reply.len());
    let Some(fetched) = Fetched::of(data) else { return };
    let (flags, body) = (fetched.flags().unwrap_or_default(), fetched.body().unwrap_or_default());
    let flags: usize = flags.iter().map(String::len).sum();
    assert!(flags + body.len() <= reply.len());
    // Whatever they are, they were told.
    let _ = (fetched.size(), fetched.savedate());
}

/// How many bytes the values have in all, and how many lists there are of them.
fn size_of(values: &[Value], depth: usize) -> usize {
    assert!(depth <= DEEPEST, "too deep a list");
    let size = |value: &Value| match value {
        Value::Atom(bytes) | Value::Text(bytes) => bytes.len(),
        Value::List(members) => 2 + size_of(members, depth + 1),
    };
    values.iter().map(size).sum()
}
