//! Values of quota roots.

use mailstore_format::quota::{Quota, Resource};

/// The value read, and the same written as Cyrus writes it.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(quota) = Quota::decode(bytes) else { return };
    let written = |Resource { used, limit }: Resource, unit: u64| match limit {
        // A limit that is beyond all numbers is written as one that fits.
        Some(limit) => format!("({used} {})", limit.div_ceil(unit)),
        None => format!("({used})"),
    };
    let (storage, messages) = (written(quota.storage, 1024), written(quota.messages, 1));
    let value = format!("%(S {storage} M {messages} MODSEQ 1)");
    assert_eq!(Quota::decode(value.as_bytes()), Ok(quota));
}
