//! The ENVELOPE item (`message_write_envelope`, `message_write_address`).

use super::strings;
use crate::message::arena::{Arena, Run};
use crate::message::part::Envelope;

pub(super) fn encode(envelope: &Envelope, arena: &Arena, out: &mut Vec<u8>) {
    let or_from = |run: Run| if run.is_empty() { envelope.from } else { run };
    out.push(b'(');
    strings::optional(envelope.date, arena, out);
    out.push(b' ');
    strings::optional(envelope.subject, arena, out);
    for list in [
        envelope.from,
        or_from(envelope.sender),
        or_from(envelope.reply_to),
        envelope.to,
        envelope.cc,
        envelope.bcc,
    ] {
        out.push(b' ');
        addresses(list, arena, out);
    }
    out.push(b' ');
    strings::optional(envelope.in_reply_to, arena, out);
    out.push(b' ');
    strings::optional(envelope.message_id, arena, out);
    out.push(b')');
}

fn addresses(list: Run, arena: &Arena, out: &mut Vec<u8>) {
    if list.is_empty() {
        strings::nil(out);
        return;
    }
    out.push(b'(');
    for address in arena.addresses(list) {
        out.push(b'(');
        strings::optional(address.name, arena, out);
        out.push(b' ');
        strings::optional(address.route, arena, out);
        out.push(b' ');
        strings::optional(address.mailbox, arena, out);
        out.push(b' ');
        strings::optional(address.domain, arena, out);
        out.push(b')');
    }
    out.push(b')');
}
