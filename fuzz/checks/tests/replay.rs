//! Every seed and every find, through the checks that the fuzzer runs.
#![allow(clippy::print_stderr, reason = "a test that fails must tell on which file")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use decoder_checks::{ALL, Check};

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of a folder, sorted; none where there is no such folder.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    files.sort();
    files
}

fn replay(check: &Check, folder: &Path) -> usize {
    let files = files_in(folder);
    for file in &files {
        eprintln!("{}: {}", check.name, file.display());
        check.run(&fs::read(file).expect("it can be read"));
    }
    files.len()
}

#[test]
fn every_find_is_fixed() {
    for check in &ALL {
        replay(check, &fuzz_folder().join("artifacts").join(check.name));
    }
}

#[test]
fn every_seed_holds() {
    for check in &ALL {
        let folders = check.seeds().into_iter().map(|folder| fuzz_folder().join(folder));
        let seeds: usize = folders.map(|folder| replay(check, &folder)).sum();
        assert!(seeds > 1, "{} has no seeds", check.name);
    }
}

#[test]
fn each_check_has_a_fuzz_target_and_a_dictionary_and_no_folder_belongs_to_none() {
    let names: BTreeSet<String> = ALL.iter().map(|check| check.name.to_owned()).collect();
    let stems = |folder: &str| -> BTreeSet<String> {
        let files = files_in(&fuzz_folder().join(folder));
        let stem = |file: &PathBuf| Some(file.file_stem()?.to_string_lossy().into_owned());
        files.iter().filter_map(stem).collect()
    };
    assert_eq!(stems("fuzz_targets"), names);
    assert_eq!(stems("dictionaries"), names);
    assert!(stems("seeds").is_subset(&names) && stems("artifacts").is_subset(&names));
    let manifest = fs::read_to_string(fuzz_folder().join("Cargo.toml")).expect("a manifest");
    for name in names {
        let target = fs::read_to_string(fuzz_folder().join(format!("fuzz_targets/{name}.rs")));
        assert!(target.expect("a target").contains(&format!("named(\"{name}\")")));
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
}
