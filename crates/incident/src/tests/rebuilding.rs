use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use mailstore::config::ImapdConf;
use mailstore_format::{Guid, Timestamp, Uid};
use tempfile::TempDir;

use super::rows;
use crate::journal::{
    AnnotationLine, FindingLine, JOURNAL, JournalEvent, MANIFEST, ManifestLine, MessageLine,
    REPORT, RUN_FILE, ReportLine, RunLine,
};
use crate::{Incident, Rebuilt, RunStatus, StoreBinding, Why};

const RUN: &str = "20261121T081404Z-32513";

/// A configuration with two partitions, and what runs left on them.
struct Mail {
    directory: TempDir,
    conf: ImapdConf,
}

impl Mail {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["conf", "spool", "meta"] {
            fs::create_dir(path(name)).unwrap();
        }
        let conf = format!(
            "configdirectory: {}\ndefaultpartition: default\npartition-default: {}\n\
             metapartition-default: {}\nmetapartition_files: index\n",
            path("conf").display(),
            path("spool").display(),
            path("meta").display()
        );
        fs::write(path("imapd.conf"), conf).unwrap();
        let conf = ImapdConf::load(&path("imapd.conf")).unwrap();
        Self { directory, conf }
    }

    fn outage(&self) -> PathBuf {
        self.directory.path().join("outage")
    }

    fn folder(&self, root: &str, key: &str) -> PathBuf {
        let folder = self.directory.path().join(root).join(".mailstore-recovery").join(RUN);
        fs::create_dir_all(folder.join(key)).unwrap();
        folder.join(key)
    }

    fn binding(&self) -> StoreBinding {
        StoreBinding::of(&self.conf).unwrap()
    }

    fn incident(&self) -> Incident {
        Incident::create(&self.outage(), &[self.binding()], "").unwrap()
    }

    fn rebuild(&self, incident: &Incident) -> Rebuilt {
        incident.rebuild(incident.store(&self.binding()).unwrap(), &self.conf).unwrap()
    }
}

fn line(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap() + "\n"
}

fn kept(now: &Path) -> ManifestLine {
    ManifestLine {
        mailbox: "user.erin".into(),
        key: "3x01".into(),
        origin: "/spool/e/user/erin/5.".into(),
        now: now.join("quarantine/5."),
        reason: "damaged".into(),
        guid: Some(Guid::of(b"five").to_string()),
        mtime_ns: Some(12),
    }
}

fn message(uid: u32, why: Option<Why>) -> Box<MessageLine> {
    let value = vec![0, 255, 10];
    let note = AnnotationLine { entry: "/comment".into(), userid: "erin".into(), value };
    Box::new(MessageLine {
        uid,
        why,
        guid: Guid::of(&[1]).to_string(),
        keywords: vec![(3, "$Work".into())],
        thread_id: u64::MAX,
        annotations: vec![note],
        ..MessageLine::default()
    })
}

/// Leaves what a run on one mailbox leaves.
fn leave_a_run(mail: &Mail) {
    let (spool, meta) = (mail.folder("spool", "3x01"), mail.folder("meta", "3x01"));
    let finding = FindingLine {
        code: "message-missing".into(),
        remedy: "left".into(),
        uid: Some(4),
        detail: "gone".into(),
    };
    let report = ReportLine {
        mailbox: "user.erin".into(),
        state: "repaired".into(),
        messages: 41,
        bytes_read: 7,
        findings: vec![finding],
        ..ReportLine::default()
    };
    fs::write(spool.join(REPORT), serde_json::to_string_pretty(&report).unwrap()).unwrap();
    fs::write(spool.join(MANIFEST), line(&kept(&spool))).unwrap();
    fs::write(meta.join(MANIFEST), line(&kept(&meta))).unwrap();
    let events = [
        JournalEvent::Pruned(message(3, None)),
        JournalEvent::Wanted(message(4, Some(Why::Damaged))),
        JournalEvent::Wanted(message(6, None)),
        JournalEvent::Found { uid: 6, guid: Guid::of(&[1]).to_string() },
    ];
    let renamed = "{\"event\":\"renamed\",\"archived\":false,\"from\":1,\"to\":2,\"ino\":3}\n";
    let journal: String = events.iter().map(line).chain([renamed.to_owned()]).collect();
    fs::write(meta.join(JOURNAL), journal).unwrap();
}

fn exported(incident: &Incident) -> String {
    let mut out = Vec::new();
    incident.export(&mut out).unwrap().unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn what_lies_beside_the_mail_fills_an_empty_database() {
    let mail = Mail::new();
    leave_a_run(&mail);
    let incident = mail.incident();
    let rebuilt = mail.rebuild(&incident);
    let expected = Rebuilt { runs: 2, folders: 2, lines: 7, ..Rebuilt::default() };
    assert_eq!(rebuilt, expected);
    let run = rows(incident.runs()).remove(0);
    assert_eq!((run.start.name.as_str(), run.end.status), (RUN, RunStatus::Unknown));
    assert_eq!(run.start.started, Timestamp::from_seconds(1_795_248_844));
    assert_eq!((run.end.mailboxes, run.end.messages, run.end.bytes_read), (1, 41, 7));
    let wanted = rows(incident.wanted());
    let whys: Vec<_> =
        wanted.iter().map(|w| (w.message.uid.0, w.message.why, w.found_at.is_some())).collect();
    assert_eq!(whys, [(3, Why::Pruned, false), (4, Why::Damaged, false), (6, Why::Missing, true)]);
    assert_eq!(wanted[0].mailbox.name, "user.erin");
    assert_eq!(wanted[0].message.keywords, ["$Work"]);
    assert_eq!(wanted[0].message.annotations[0].value, [0, 255, 10]);
    let finding = rows(incident.findings()).remove(0).finding;
    assert_eq!((finding.code.as_str(), finding.uid), ("message-missing", Some(Uid(4))));
    let files = rows(incident.quarantined());
    assert_eq!(files.len(), 2);
    assert_eq!(files[0].file.guid, Some(Guid::of(b"five")));
}

#[test]
fn doing_it_again_changes_nothing_and_what_is_known_better_stays() {
    let mail = Mail::new();
    leave_a_run(&mail);
    let incident = mail.incident();
    mail.rebuild(&incident);
    let first = exported(&incident);
    mail.rebuild(&incident);
    assert_eq!(exported(&incident), first);
    let wanted = rows(incident.still_wanted());
    incident.mark_found(&[wanted[0].id]).unwrap();
    let first = exported(&incident);
    mail.rebuild(&incident);
    assert_eq!(exported(&incident), first);
}

#[test]
fn what_the_run_said_of_itself_is_taken_over_and_so_is_its_undoing() {
    let mail = Mail::new();
    leave_a_run(&mail);
    let folder = mail.folder("spool", "3x01");
    let begun = RunLine {
        tool: "reconstruct".into(),
        version: "0.1.0".into(),
        arguments: vec!["--all".into()],
        started: 99,
    };
    fs::write(folder.with_file_name(RUN_FILE), line(&begun)).unwrap();
    fs::write(folder.join(JOURNAL), line(&JournalEvent::Undone)).unwrap();
    let incident = mail.incident();
    mail.rebuild(&incident);
    let run = rows(incident.runs()).remove(0);
    assert_eq!((run.start.tool.as_str(), run.start.arguments.len()), ("reconstruct", 1));
    assert!(rows(incident.outcomes())[0].undone.is_some());
}

#[test]
fn cut_lines_odd_names_and_links_are_passed_over_and_counted() {
    let mail = Mail::new();
    leave_a_run(&mail);
    let folder = mail.folder("spool", "3x01");
    let whole = line(&kept(&folder));
    let cut = &whole[..whole.len() / 2];
    let deep = "[".repeat(100_000);
    let manifest = format!("{whole}\u{0}\n{deep}\n{{\"origin\":5}}\n{cut}");
    fs::write(folder.join(MANIFEST), manifest).unwrap();
    fs::write(folder.with_file_name("finished"), "3x01\n").unwrap();
    let run = folder.parent().unwrap();
    symlink("/etc", run.join("link")).unwrap();
    fs::create_dir(run.join("odd\nname")).unwrap();
    fs::create_dir(run.join("..hidden")).unwrap();
    fs::write(run.with_file_name("stray"), "").unwrap();
    symlink(mail.directory.path(), run.with_file_name("another-run")).unwrap();
    let linked = mail.folder("spool", "linked");
    symlink(folder.join(REPORT), linked.join(REPORT)).unwrap();
    symlink("/dev/zero", linked.join(JOURNAL)).unwrap();
    let incident = mail.incident();
    let rebuilt = mail.rebuild(&incident);
    assert_eq!((rebuilt.lines, rebuilt.passed_over, rebuilt.foreign), (7, 4, 5), "{rebuilt:#?}");
    let unreadable: Vec<_> = rebuilt.unreadable.iter().map(|(path, _)| path.clone()).collect();
    assert_eq!(unreadable, [linked.join(REPORT), linked.join(JOURNAL)]);
    assert!(rebuilt.is_partial());
}

#[test]
fn a_partition_that_is_not_mounted_is_told_and_what_is_known_of_it_stays() {
    let mail = Mail::new();
    leave_a_run(&mail);
    let incident = mail.incident();
    mail.rebuild(&incident);
    let before = exported(&incident);
    let (spool, away) = (mail.directory.path().join("spool"), mail.directory.path().join("away"));
    fs::rename(&spool, away).unwrap();
    let rebuilt = mail.rebuild(&incident);
    assert_eq!(rebuilt.unreadable.len(), 1);
    assert_eq!(rebuilt.unreadable[0].0, spool);
    assert_eq!(exported(&incident), before);
}

#[test]
fn a_damaged_database_is_set_aside_and_made_anew() {
    let mail = Mail::new();
    leave_a_run(&mail);
    let incident = mail.incident();
    mail.rebuild(&incident);
    let wanted = rows(incident.wanted()).len();
    drop(incident);
    let database = mail.outage().join("incident.sqlite");
    let mut bytes = fs::read(&database).unwrap();
    // Every page behind the first is garbage: it still opens.
    bytes[4096..].fill(0x5a);
    fs::write(&database, &bytes).unwrap();
    let replace = || Incident::open_or_replace(&mail.outage(), &[mail.binding()]).unwrap();
    let (incident, set_aside) = replace();
    let set_aside = set_aside.expect("it is damaged");
    assert_eq!(fs::read(&set_aside).unwrap(), bytes);
    mail.rebuild(&incident);
    assert_eq!(rows(incident.wanted()).len(), wanted);
    drop(incident);
    fs::write(&database, b"not a database at all, but long enough to be looked at").unwrap();
    assert_eq!(replace().1.unwrap(), mail.outage().join("incident.sqlite.damaged-2"));
    fs::remove_file(&database).unwrap();
    assert_eq!(replace().1, None, "a lost one leaves nothing to set aside");
    assert_eq!(replace().1, None, "a sound one stays");
}
