//! Files of the server made to be expensive.

use decoder_checks::named;
use mailstore_format::db;
use mailstore_format::dlist;
use mailstore_format::header_file::{MAGIC, remains};
use mailstore_format::index::{IndexHeader, IndexRecord, Layout, salvage};
use mailstore_format::mboxlist::{MailboxEntry, RecordKey};
use mailstore_format::{Guid, Uid};

use crate::cost::{assert_linear, assert_peak, cost_of};

/// Bytes in which nothing repeats, the same each time.
fn noise(length: usize) -> Vec<u8> {
    (0_u64..).flat_map(|block| Guid::of(&block.to_be_bytes()).0).take(length).collect()
}

fn index_of(records: usize) -> Vec<u8> {
    let layout = Layout::of_version(17).expect("3.6's");
    let count = u32::try_from(records).expect("few");
    let header = IndexHeader { num_records: count, last_uid: Uid(count), ..IndexHeader::default() };
    let mut bytes = header.encode(layout);
    for uid in 1..=count {
        let record = IndexRecord { uid: Uid(uid), size: 700, ..IndexRecord::default() };
        record.encode_into(layout, &mut bytes);
    }
    bytes
}

/// The same with every `distance`th byte changed.
fn damaged(mut bytes: Vec<u8>, distance: usize) -> Vec<u8> {
    bytes.iter_mut().step_by(distance).for_each(|byte| *byte ^= 0x5a);
    bytes
}

fn salvaged(bytes: &[u8]) {
    let _ = salvage(bytes, Some(17));
}

#[test]
fn salvaging_an_index_costs_in_proportion() {
    assert_linear("a sound index", 5_000, index_of, salvaged);
    assert_linear("no index", 100_000, noise, salvaged);
    assert_linear("zeros", 200_000, |length| vec![0; length], salvaged);
    for distance in [113, 900, 5_000] {
        let make = |records| damaged(index_of(records), distance);
        assert_linear("a damaged index", 1_000, make, salvaged);
    }
    let torn =
        |records| index_of(records).chunks(333).flat_map(|part| [part, b"x"].concat()).collect();
    assert_linear("an index with bytes inserted", 500, torn, salvaged);
}

#[test]
fn an_index_takes_memory_in_proportion_whatever_its_header_counts() {
    let mut bytes = index_of(1_000);
    bytes[20..24].fill(0xff);
    let crc = crc32fast::hash(&bytes[..156]).to_be_bytes();
    bytes[156..160].copy_from_slice(&crc);
    assert_peak("an index", &bytes, 4, 1 << 20, salvaged);
    assert_peak("noise", &noise(1 << 20), 4, 1 << 20, salvaged);
    let check = named("index").expect("a check");
    assert_peak("the records", &index_of(10_000), 4, 1 << 20, |bytes| check.run(bytes));
}

/// A record of a twoskip file, its checksums right.
fn twoskip_record(kind: u8, pointers: &[u64], key: &[u8], value: &[u8]) -> Vec<u8> {
    let level = u8::try_from(pointers.len() - 1).expect("few");
    let mut body = [key, value].concat();
    body.resize(body.len().next_multiple_of(8), 0);
    let mut record = vec![kind, level, 0xff, 0xff];
    record.extend(u32::try_from(value.len()).expect("short").to_be_bytes());
    record.extend((key.len() as u64).to_be_bytes());
    record.extend(pointers.iter().flat_map(|pointer| pointer.to_be_bytes()));
    record.extend(crc32fast::hash(&record).to_be_bytes());
    record.extend(crc32fast::hash(&body).to_be_bytes());
    record.extend(body);
    record
}

/// A twoskip file without a header, whose first record points to nothing that is there: which records
/// are live has to be made out from their order.
fn twoskip(records: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut file = b"\xa1\x02\x8b\x0dtwoskip file\0\0\0\0".to_vec();
    file.resize(64, 0);
    file.extend(twoskip_record(b'=', &[8; 32], b"", b""));
    file.extend(records.into_iter().flatten());
    file.extend(twoskip_record(b'$', &[0], b"", b""));
    file
}

fn database(bytes: &[u8]) {
    let _ = db::read(bytes);
}

/// A key of as many bytes as all the deletions that point to it, for each of which it was copied.
fn deletions_of_one_long_key(length: usize) -> Vec<u8> {
    let first = 64 + twoskip_record(b'=', &[8; 32], b"", b"").len() as u64;
    let long = twoskip_record(b'+', &[0, 0], &vec![b'k'; length], b"v");
    let deletions = (0..length / 32).map(|_| twoskip_record(b'-', &[first], b"", b""));
    twoskip(std::iter::once(long).chain(deletions))
}

#[test]
fn databases_cost_in_proportion() {
    assert_linear("deletions of one long key", 50_000, deletions_of_one_long_key, database);
    let keys = |count| {
        twoskip(
            (0..count)
                .map(|n: usize| twoskip_record(b'+', &[0, 0], n.to_string().as_bytes(), b"value")),
        )
    };
    assert_linear("a twoskip without pointers", 5_000, keys, database);
    let heads = |count| [&twoskip([])[..], &b"+\x01\0\0\0\0\xff\xff".repeat(count)].concat();
    assert_linear("heads of records", 20_000, heads, database);
    let lengths = |count| {
        [&b"\xa1\x02\x8b\x0dskiplist file\0\0\0"[..], &b"\0\0\0\x02".repeat(count)].concat()
    };
    assert_linear("a skiplist of lengths", 50_000, lengths, database);
    assert_linear("noise", 200_000, noise, database);
    assert_linear("lines", 20_000, |count| b"key\tvalue\n".repeat(count), database);
    assert_linear("escapes", 200_000, |count| b"k\t\xff\x80\n".repeat(count), database);
}

#[test]
fn databases_take_memory_in_proportion() {
    assert_peak("lines", &b"k\tv\n".repeat(100_000), 40, 1 << 20, database);
    assert_peak(
        "no lines",
        &[b"k\tv\n", &b"\n".repeat(1_000_000)[..]].concat(),
        160,
        1 << 20,
        database,
    );
    assert_peak("noise", &noise(1 << 20), 1, 1 << 20, database);
    assert_peak("deletions", &deletions_of_one_long_key(1 << 20), 4, 1 << 20, database);
}

fn entry(bytes: &[u8]) {
    let entry = MailboxEntry::decode(RecordKey::Name(b"user.erin"), bytes);
    let _ = entry.map(|entry| entry.encode());
}

fn fields(count: usize) -> Vec<u8> {
    let fields = (0..count).map(|n: usize| format!("X{n} {n} "));
    format!("%({})", fields.collect::<String>()).into_bytes()
}

#[test]
fn values_cost_in_proportion() {
    // Each was looked for among all before it.
    assert_linear("fields of a mailbox", 5_000, fields, entry);
    let dlist = |bytes: &[u8]| drop(dlist::parse(bytes).map(|(value, _)| dlist::encode(&value)));
    assert_linear("atoms", 50_000, |count| [b"(", &b"a ".repeat(count)[..], b")"].concat(), dlist);
    assert_linear("lists", 200_000, |count| b"(".repeat(count), dlist);
    assert_linear("escapes", 200_000, |count| [b"\"", &b"\\a".repeat(count)[..]].concat(), dlist);
    let huge = b"{99999999999+}\r\nx".as_slice();
    assert_peak("a literal that is not there", huge, 0, 1 << 12, dlist);
}

#[test]
fn remains_of_a_header_file_cost_in_proportion() {
    let file = |times: usize| {
        [MAGIC, b"%(T e U (\"no atom\") A %(", &b"erin lrs ".repeat(times)[..], b"))\n"].concat()
    };
    let names = |bytes: &[u8]| drop(remains::flag_names(bytes));
    assert_linear("keywords", 20_000, file, names);
    assert_peak("one byte", &file(20_000), 3, 1 << 12, |bytes| drop(remains::restored(bytes, 1)));
    // Every place was tried, and the whole file read for each.
    let long = file(20_000);
    let cost = cost_of(|| drop(remains::possibly_restored(&long, 1)));
    assert!(cost.requests < 100, "memory was asked for {} times", cost.requests);
}
