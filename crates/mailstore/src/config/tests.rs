use super::*;

fn load(text: &str) -> Result<ImapdConf, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("imapd.conf");
    std::fs::write(&path, text).unwrap();
    ImapdConf::load(&path)
}

const MINIMAL: &str = "configdirectory: /var/imap\npartition-default: /var/spool/imap\n";

#[test]
fn defaults_are_those_of_the_server() {
    let conf = load(MINIMAL).unwrap();
    assert!(conf.unix_hierarchy_separator() && conf.alt_namespace() && conf.global_lock());
    assert!(!conf.hash_imap_spool() && !conf.full_dir_hash() && !conf.archive_enabled());
    assert!(!conf.replication_configured() && !conf.conversations());
    assert_eq!(conf.virtual_domains(), VirtualDomains::Off);
    assert_eq!(conf.default_domain(), b"internal");
    assert_eq!(conf.deleted_prefix(), b"DELETED");
    assert_eq!(conf.umask(), 0o077);
    assert_eq!(conf.lock_root(), Path::new("/var/imap/lock"));
    assert_eq!(conf.mailboxes_db(), Path::new("/var/imap/mailboxes.db"));
    assert_eq!(conf.quota_db(), Path::new("/var/imap/quota"));
    assert_eq!(conf.database_type("mboxlist_db"), "twoskip");
    assert_eq!(conf.status_cache(), None);
}

#[test]
fn comments_case_spaces_and_continued_lines_read_as_the_server_reads_them() {
    let text = "# a comment\n\n  ConfigDirectory:\t/var/imap \npartition-Main: /a\\\nb\nhashImapSpool:on\n";
    let conf = load(text).unwrap();
    assert_eq!(conf.config_directory(), Path::new("/var/imap"));
    assert_eq!(conf.partition("main").unwrap().data, Path::new("/ab"));
    assert!(conf.hash_imap_spool());
}

#[test]
fn the_configdirectory_placeholder_is_expanded_in_path_options() {
    let conf =
        load(&format!("{MINIMAL}mboxname_lockpath: {{ConfigDirectory}}/locks\nstatuscache: t\n"))
            .unwrap();
    assert_eq!(conf.lock_root(), Path::new("/var/imap/locks"));
    assert_eq!(conf.status_cache().unwrap(), Path::new("/var/imap/statuscache.db"));
}

#[test]
fn an_included_file_counts_and_one_that_includes_itself_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("imapd.conf");
    std::fs::write(&main, format!("{MINIMAL}@include: more.conf\n")).unwrap();
    std::fs::write(dir.path().join("more.conf"), "umask: 027\n").unwrap();
    assert_eq!(ImapdConf::load(&main).unwrap().umask(), 0o027);

    std::fs::write(dir.path().join("more.conf"), "@include: more.conf\n").unwrap();
    assert!(matches!(ImapdConf::load(&main), Err(ConfigError::IncludedTwice { .. })));

    std::fs::remove_file(dir.path().join("more.conf")).unwrap();
    assert!(matches!(ImapdConf::load(&main), Err(ConfigError::Read { .. })));
}

#[test]
fn what_the_server_refuses_is_refused_with_its_line() {
    let line_of = |text: &str| match load(&format!("{MINIMAL}{text}")).unwrap_err() {
        ConfigError::Syntax { line, .. } | ConfigError::Duplicate { line, .. } => line,
        other => panic!("{other}"),
    };
    assert_eq!(line_of("no colon here\n"), 3);
    assert_eq!(line_of("umask :077\n"), 3);
    assert_eq!(line_of("umask:\n"), 3);
    assert_eq!(line_of("@exclude: x\n"), 3);
    assert_eq!(line_of("umask: 077\numask: 022\n"), 4);
    let value = |text: &str| load(&format!("{MINIMAL}{text}")).unwrap_err();
    assert!(matches!(value("hashimapspool: maybe\n"), ConfigError::Value { .. }));
    assert!(matches!(value("virtdomains: perhaps\n"), ConfigError::Value { .. }));
    assert!(matches!(value("metapartition_files: header soup\n"), ConfigError::Value { .. }));
}

#[test]
fn a_configuration_that_places_nothing_is_refused() {
    assert!(matches!(load("umask: 077\n"), Err(ConfigError::Missing { .. })));
    assert!(matches!(load("configdirectory: /c\n"), Err(ConfigError::Missing { .. })));
    let other = format!("{MINIMAL}defaultpartition: other\n");
    assert!(matches!(load(&other), Err(ConfigError::Missing { .. })));
}

#[test]
fn meta_files_lie_where_the_option_for_their_kind_says() {
    let conf = load(&format!(
        "{MINIMAL}metapartition-default: /meta\narchivepartition-default: /archive\n\
         archive_enabled: yes\nmetapartition_files: header index archivecache\n\
         metadir-cache-default: /fast\n"
    ))
    .unwrap();
    let partition = conf.partition("default").unwrap();
    let root = |file| conf.meta_root(&partition, file);
    assert_eq!(root(MetaFile::Header), Path::new("/meta"));
    assert_eq!(root(MetaFile::Cache), Path::new("/fast"));
    assert_eq!(root(MetaFile::Annotations), Path::new("/var/spool/imap"));
    assert_eq!(root(MetaFile::ArchiveCache), Path::new("/meta"));
}

#[test]
fn the_archive_cache_follows_the_archive_and_the_archive_its_switch() {
    let text = format!("{MINIMAL}archivepartition-default: /archive\n");
    let off = load(&text).unwrap();
    assert_eq!(off.partition("default").unwrap().archive, None);
    let on = load(&format!("{text}archive_enabled: 1\n")).unwrap();
    let partition = on.partition("default").unwrap();
    assert_eq!(on.meta_root(&partition, MetaFile::ArchiveCache), Path::new("/archive"));
}

#[test]
fn any_sign_of_a_replica_counts_as_replication_but_the_search_index_does_not() {
    let replicated =
        |text: &str| load(&format!("{MINIMAL}{text}")).unwrap().replication_configured();
    assert!(replicated("sync_host: replica\n"));
    assert!(replicated("offsite_sync_host: replica\n"));
    assert!(replicated("sync_log: yes\n"));
    assert!(replicated("sync_log: yes\nsync_log_channels: \"\" squatter\n"));
    assert!(!replicated("sync_log: yes\nsync_log_channels: squatter\n"));
    assert!(!replicated("sync_log: no\nsync_log_channels: copy\n"));
}
