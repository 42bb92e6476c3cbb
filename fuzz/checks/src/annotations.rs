//! Annotations of mailboxes and messages: a key, a line feed and the value.

use mailstore_format::annotations::Annotation;

use crate::record;

/// The bytes as an entry of either database.
pub(crate) fn check(bytes: &[u8]) {
    let (key, value) = record::split(bytes);
    let decoded =
        [Annotation::decode_global(key, value), Annotation::decode_of_message(key, value)];
    let read: Vec<Annotation> = decoded.into_iter().flatten().collect();
    for annotation in &read {
        assert!(!annotation.is_deleted() || annotation.value.is_empty());
        assert!(holds(value, &annotation.value), "a value was invented");
        assert!(holds(key, &annotation.entry) && holds(key, &annotation.mailbox));
    }
    if let [global, of_message] = read.as_slice() {
        assert_eq!((global.uid.0, of_message.mailbox.as_slice()), (0, &b""[..]));
        assert_eq!(global.value, of_message.value);
        assert_eq!(String::from_utf8_lossy(&global.mailbox).parse(), Ok(of_message.uid.0));
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}
