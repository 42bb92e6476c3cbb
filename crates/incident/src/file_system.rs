//! Which file systems an incident may lie on.
//!
//! Processes share the database's write-ahead index through a mapped file; SQLite's own
//! documentation says that this does not work over a network, and locks there cannot be relied on.

/// The network file system that `statfs` numbers `magic` (`linux/magic.h`, and the file systems'
/// own sources), if it is one. All of FUSE counts: sshfs and its like cannot be told apart here.
pub(crate) const fn network_name(magic: u64) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0x517B | 0xFF53_4D42 | 0xFE53_4D42 => "SMB",
        0x6573_5546 => "FUSE",
        0x0102_1997 => "9P",
        0x5346_414F | 0x6B41_4653 => "AFS",
        0x00C3_6400 => "Ceph",
        0x7375_7245 => "Coda",
        0x564C => "NCP",
        0x0BD0_0BD0 => "Lustre",
        0x0116_1970 => "GFS2",
        0x7461_636F => "OCFS2",
        0x4750_4653 => "GPFS",
        0xAAD7_AAEA => "PanFS",
        0x1983_0326 => "BeeGFS",
        0x786F_4256 => "a shared folder of a virtual machine",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_the_network_are_known_and_local_ones_are_not_refused() {
        for (magic, name) in [(0x6969, "NFS"), (0xFF53_4D42, "SMB"), (0x6573_5546, "FUSE")] {
            assert_eq!(network_name(magic), Some(name));
        }
        let (ext4, xfs, btrfs, tmpfs) = (0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994);
        let (zfs, overlay, f2fs) = (0x2FC1_2FC1, 0x794C_7630, 0xF2F5_2010);
        for local in [ext4, xfs, btrfs, tmpfs, zfs, overlay, f2fs] {
            assert_eq!(network_name(local), None, "{local:x}");
        }
    }
}
