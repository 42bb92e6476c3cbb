use std::fs;
use std::sync::Mutex;

use super::*;

const OWN: fn(&Path) -> Ownership = |path| {
    let metadata = fs::metadata(path).unwrap();
    Ownership { uid: metadata.uid(), gid: metadata.gid(), mode: metadata.mode() & 0o7777 }
};

/// What a repair does to one file.
fn replace(ops: &FileOps, root: &Path) -> Result<(), WriteError> {
    let (place, run) = (root.join("cyrus.index"), root.join(".mailstore-recovery/run"));
    ops.create_dirs(&run, 0o700)?;
    let mut new = ops.create(&run.join("new"))?;
    new.write(b"the new ")?;
    new.write(b"index")?;
    new.finish(OWN(&place))?;
    ops.link(&place, &run.join("old"))?;
    ops.sync_dir(&run)?;
    ops.rename(&run.join("new"), &place)?;
    ops.sync_dir(root)
}

fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let index = root.path().join("cyrus.index");
    fs::write(&index, b"the old index").unwrap();
    fs::set_permissions(&index, fs::Permissions::from_mode(0o640)).unwrap();
    root
}

#[test]
fn a_replaced_file_keeps_owner_and_mode_and_the_original_is_aside() {
    let root = root();
    let before = OWN(&root.path().join("cyrus.index"));
    replace(&FileOps::new(), root.path()).unwrap();
    let index = root.path().join("cyrus.index");
    assert_eq!(fs::read(&index).unwrap(), b"the new index");
    assert_eq!(OWN(&index), before);
    let old = root.path().join(".mailstore-recovery/run/old");
    assert_eq!(fs::read(old).unwrap(), b"the old index");
}

#[test]
fn a_failure_before_any_step_leaves_the_old_or_the_new_and_names_the_step() {
    let all = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&all);
    let recording = FileOps::with_hook(move |step| {
        recorded.lock().unwrap().push(step.to_string());
        Ok(())
    });
    replace(&recording, root().path()).unwrap();
    let steps = all.lock().unwrap().len();
    assert_eq!(steps, 13, "{:?}", all.lock().unwrap());
    for failing in 0..steps {
        let root = root();
        let counter = Mutex::new(0);
        let ops = FileOps::with_hook(move |_| {
            let mut counter = counter.lock().unwrap();
            *counter += 1;
            if *counter > failing { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        });
        let error = replace(&ops, root.path()).unwrap_err();
        assert!(error.is_out_of_space() && error.to_string().starts_with("cannot "), "{error}");
        let index = fs::read(root.path().join("cyrus.index")).unwrap();
        let committed = failing == steps - 1;
        assert_eq!(index, if committed { &b"the new index"[..] } else { b"the old index" });
    }
}

#[test]
fn nothing_that_exists_is_overwritten_but_by_rename() {
    let root = root();
    let (index, other) = (root.path().join("cyrus.index"), root.path().join("other"));
    fs::write(&other, b"other").unwrap();
    let ops = FileOps::new();
    assert!(ops.create(&index).is_err());
    assert!(ops.link(&other, &index).is_err());
    assert!(ops.move_to_free(&other, &index).is_err());
    std::os::unix::fs::symlink(&index, root.path().join("link")).unwrap();
    assert!(ops.create(&root.path().join("link")).is_err());
    assert!(ops.append(&root.path().join("link")).is_err());
    assert_eq!(fs::read(&index).unwrap(), b"the old index");

    ops.move_to_free(&other, &root.path().join("free")).unwrap();
    assert!(!other.exists() && root.path().join("free").exists());
}

#[test]
fn appended_bytes_stand_behind_what_was_there() {
    let root = root();
    let index = root.path().join("cyrus.index");
    let ops = FileOps::new();
    let mut file = ops.append(&index).unwrap();
    assert_eq!(file.offset(), 13);
    file.write(b" and more").unwrap();
    assert_eq!(file.offset(), 22);
    file.sync().unwrap();
    assert_eq!(fs::read(&index).unwrap(), b"the old index and more");
}

#[test]
fn room_is_asked_for_before_it_is_used() {
    let root = root();
    let free = FreeSpace::at(root.path()).unwrap();
    assert!(free.require(root.path(), 1, 1).is_ok());
    assert!(free.require(root.path(), u64::MAX, 1).is_err());
    let full = FreeSpace { bytes: 10, inodes: Some(1) };
    assert!(full.require(root.path(), 10, 1).is_ok());
    let error = full.require(Path::new("/spool"), 1, 2).unwrap_err();
    assert_eq!(error.to_string(), "/spool has room for 10 bytes and 1 files, of 1 and 2 needed");
    let uncounted = FreeSpace { bytes: 10, inodes: None };
    assert!(uncounted.require(root.path(), 1, 1000).is_ok());
}

#[test]
fn two_entries_of_any_kind_take_each_others_name_in_one_step() {
    let root = root();
    let (index, directory) = (root.path().join("cyrus.index"), root.path().join("5."));
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("inside"), b"kept").unwrap();
    let modified = fs::metadata(&directory).unwrap().modified().unwrap();
    FileOps::new().exchange(&index, &directory).unwrap();
    assert_eq!(fs::read(&directory).unwrap(), b"the old index");
    assert_eq!(fs::read(index.join("inside")).unwrap(), b"kept");
    assert_eq!(fs::metadata(&index).unwrap().modified().unwrap(), modified);
    assert!(FileOps::new().exchange(&index, &root.path().join("none")).is_err());
}

#[test]
fn times_are_set_to_the_nanosecond_of_what_has_the_name_and_not_of_what_it_leads_to() {
    let root = root();
    let (index, link) = (root.path().join("cyrus.index"), root.path().join("link"));
    std::os::unix::fs::symlink(&index, &link).unwrap();
    let before = fs::metadata(&index).unwrap();
    let ops = FileOps::new();
    ops.set_modified(&link, Timestamp(1_234_567_890_123_456_789)).unwrap();
    let (index_now, link_now) =
        (fs::metadata(&index).unwrap(), fs::symlink_metadata(&link).unwrap());
    assert_eq!((link_now.mtime(), link_now.mtime_nsec()), (1_234_567_890, 123_456_789));
    assert_eq!(index_now.modified().unwrap(), before.modified().unwrap());
    ops.set_modified(root.path(), Timestamp(-1)).unwrap();
    let directory = fs::metadata(root.path()).unwrap();
    assert_eq!((directory.mtime(), directory.mtime_nsec()), (-1, 999_999_999));

    let mut file = ops.create(&root.path().join("new")).unwrap();
    file.write(b"message").unwrap();
    file.finish_as_of(OWN(&index), Timestamp(5)).unwrap();
    let new = fs::metadata(root.path().join("new")).unwrap();
    assert_eq!((new.mtime(), new.mtime_nsec(), new.mode() & 0o777), (0, 5, 0o640));
}
