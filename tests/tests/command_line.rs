//! The command as an operator types it, in a hurry and not always right.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{
    Account, Cyrus, Expect, Fixture, Layout, Reconstruct, Server, ServerOptions, Snapshot, ToolRun,
    Tree, skip_without_privilege,
};

fn fixture() -> Result<Fixture> {
    let fixture = Fixture::unpack(Fixture::BY_ID)?;
    fixture.give_to(&Account::for_servers()?)?;
    Ok(fixture)
}

fn lose_index(fixture: &Fixture, mailbox: &str) -> Result<()> {
    Ok(fs::remove_file(fixture.mailbox_dir(mailbox)?.join("cyrus.index"))?)
}

/// Asserts that a run could not be done: one line on stderr that says each of `says`, exit 2, and
/// nothing on disk is different.
fn assert_refused(fixture: &Fixture, tool: &Reconstruct, says: &[&str]) -> Result<()> {
    let before = Tree::read(&fixture.path())?;
    let run = tool.run()?;
    assert_eq!(run.status, Some(2), "{run:#?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:#?}");
    for part in says {
        assert!(run.stderr.contains(part), "{part}: {run:#?}");
    }
    assert_eq!(before.differences(&Tree::read(&fixture.path())?), [""; 0], "{run:#?}");
    Ok(())
}

/// The names of the mailboxes that a selection selects.
fn selected(fixture: &Fixture, selection: &[&str]) -> Result<BTreeSet<String>> {
    let run = fixture.reconstruct().args(["-n", "--json"]).args(selection).run()?;
    assert_eq!(run.status, Some(0), "{selection:?}: {run:#?}");
    let name = |line: &serde_json::Value| line["mailbox"].as_str().map(String::from);
    Ok(run.json.iter().filter_map(name).collect())
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn the_help_has_every_flag_examples_and_exit_statuses() -> Result<()> {
    for flag in ["--help", "-h"] {
        let run = Reconstruct::bare().arg(flag).run()?;
        assert_eq!(run.status, Some(0));
        for part in [
            "--mailbox",
            "--user",
            "--all",
            "--path",
            "--offline",
            "--recursive",
            "--config",
            "--dry-run",
            "--check",
            "--jobs",
            "--prune",
            "--max-prune",
            "--even-on-replica",
            "--lock-timeout",
            "--resume",
            "--json",
            "--verbose",
            "--quiet",
            "Examples:",
            "reconstruct -n --user alice",
            "Exit status:",
            "  0  ",
            "  1  ",
            "  2  ",
        ] {
            assert!(run.stdout.contains(part), "{part} in {flag}:\n{}", run.stdout);
        }
    }
    Ok(())
}

#[test]
fn what_cannot_be_meant_is_refused_with_one_line_that_says_what_to_do() -> Result<()> {
    let fixture = fixture()?;
    lose_index(&fixture, "user.erin")?;
    for (arguments, says) in [
        (["--mailbox", "user.carol"], ["'user.carol'", "--all"]),
        (["--mailbox", "user.carol.*"], ["'user.carol.*'", "--all"]),
        (["--mailbox", "user//x"], ["'user//x'", "empty"]),
        (["--mailbox", "INBOX"], ["INBOX", "user/NAME"]),
        (["--user", "carol"], ["'carol'", "--all"]),
    ] {
        for also in [&[][..], &["-n"]] {
            let tool = fixture.reconstruct().args(arguments).args(also);
            assert_refused(&fixture, &tool, &says)?;
        }
    }
    let resume = fixture.reconstruct().args(["--all", "--resume", "yesterday"]);
    assert_refused(&fixture, &resume, &["resume", "without --resume"])?;
    let resume = fixture.reconstruct().args(["--all", "--resume", "../../etc"]);
    assert_refused(&fixture, &resume, &["resume"])?;
    for usage in [
        &["--all", "--user", "erin"][..],
        &[],
        &["--all", "--max-prune", "5"],
        &["--all", "--prune", "--max-prune", "101"],
        &["--all", "--even-on-replica"],
        &["--all", "--check", "quick"],
        &["--all", "--jobs", "0"],
        &["--all", "-q", "-v"],
        &["--all", "--offline"],
        &["--all", "-n", "--resume", "x"],
        &["--everything"],
    ] {
        let run = fixture.reconstruct().args(usage).run()?;
        assert_eq!(run.status, Some(2), "{usage:?}: {run:#?}");
        assert!(run.stderr.contains("--help"), "{usage:?}: {run:#?}");
    }
    Ok(())
}

#[test]
fn a_configuration_that_is_not_there_or_not_one_is_refused() -> Result<()> {
    let fixture = fixture()?;
    let with = |path: &Path| Reconstruct::bare().args(["--all", "-C"]).arg(path);
    assert_refused(
        &fixture,
        &with(Path::new("/nonexistent/imapd.conf")),
        &["/nonexistent/imapd.conf", "-C"],
    )?;
    assert_refused(&fixture, &with(&fixture.spool()), &["spool", "-C"])?;
    let empty = fixture.path().join("empty.conf");
    fs::write(&empty, "")?;
    assert_refused(&fixture, &with(&empty), &["empty.conf", "configdirectory"])?;
    fs::write(&empty, "configdirectory /somewhere\n")?;
    assert_refused(&fixture, &with(&empty), &["empty.conf:1"])?;
    let list = fixture.conf().join("mailboxes.db");
    fs::rename(&list, fixture.conf().join("elsewhere"))?;
    assert_refused(
        &fixture,
        &fixture.reconstruct().arg("--all"),
        &["mailboxes.db", "No such file", "-C"],
    )
}

#[test]
fn a_directory_alone_is_only_written_when_told_that_no_server_runs() -> Result<()> {
    let fixture = fixture()?;
    let directory = fixture.mailbox_dir("user.erin.Sent")?;
    fs::remove_file(directory.join("cyrus.cache"))?;
    let path = |path: &Path| Reconstruct::bare().arg("--path").arg(path);
    assert_refused(&fixture, &path(&directory), &["--offline", "-n"])?;
    assert_refused(&fixture, &path(Path::new("/nonexistent")).arg("-n"), &["/nonexistent"])?;
    let run = path(&directory).args(["--offline", "--json"]).run()?;
    assert_eq!((run.status, run.summary()["repaired"].as_u64()), (Some(0), Some(1)), "{run:#?}");
    assert!(directory.join("cyrus.cache").exists());
    let account = Account::for_servers()?;
    let foreign = |entry: &&mailstore_tests::Entry| entry.uid != account.uid;
    assert!(Tree::read(&fixture.path())?.entries.values().find(foreign).is_none());
    let again = path(&directory).args(["--offline", "--check", "full"]).run()?;
    assert_eq!(again.status, Some(0), "{again:#?}");
    Ok(())
}

#[test]
fn a_partition_that_the_configuration_lacks_is_named() -> Result<()> {
    let fixture = fixture()?;
    lose_index(&fixture, "user.erin")?;
    for option in ["defaultpartition", "partition-default"] {
        fixture.without(option)?;
    }
    fixture.configure("defaultpartition: other")?;
    fixture.configure(&format!("partition-other: {}", fixture.spool().display()))?;
    let tool = fixture.reconstruct().args(["--mailbox", "user.erin"]);
    assert_refused(&fixture, &tool, &["user.erin", "partition-default", "-C"])
}

#[test]
fn one_mailbox_that_cannot_be_worked_on_does_not_stop_the_others() -> Result<()> {
    let fixture = fixture()?;
    lose_index(&fixture, "user.erin")?;
    lose_index(&fixture, "user.frank")?;
    let closed = fixture.mailbox_dir("user.erin.Sent")?;
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000))?;
    let run = fixture.reconstruct().args(["--all", "--json"]).run()?;
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700))?;
    assert_eq!(run.status, Some(2), "{run:#?}");
    let told: Vec<&str> = run.stderr.lines().filter(|line| !line.contains("--resume")).collect();
    assert_eq!(told.len(), 1, "{run:#?}");
    let shown = closed.display().to_string();
    for part in ["user.erin.Sent", &shown, "Permission denied", "check its owner"] {
        assert!(told[0].contains(part), "{part}: {run:#?}");
    }
    assert_eq!(run.mailbox("user.erin.Sent")["state"], "failed", "{run:#?}");
    for repaired in ["user.erin", "user.frank"] {
        assert_eq!(run.mailbox(repaired)["state"], "repaired", "{run:#?}");
    }
    assert_eq!(run.summary()["mailboxes"], 12);
    Ok(())
}

/// Locks a whole file for this process, as `lib/lock_fcntl.c` does.
fn lock_as_the_server_does(file: &fs::File) -> Result<()> {
    let whole = nix::libc::flock {
        l_type: i16::try_from(nix::libc::F_WRLCK)?,
        l_whence: i16::try_from(nix::libc::SEEK_SET)?,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    Ok(nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_SETLK(&whole)).map(drop)?)
}

#[test]
fn a_lock_that_is_held_too_long_is_named_with_its_holder() -> Result<()> {
    const NAME: &str = "a_lock_that_is_held_too_long_is_named_with_its_holder";
    const HOLD: &str = "MAILSTORE_TEST_HOLD";
    if let Some(path) = std::env::var_os(HOLD) {
        // The process that holds the lock: this test itself, run once more.
        let file = fs::File::options().write(true).open(path)?;
        lock_as_the_server_does(&file)?;
        writeln!(std::io::stdout(), "locked")?;
        std::thread::sleep(Duration::from_mins(1));
        return Ok(());
    }
    let fixture = fixture()?;
    lose_index(&fixture, "user.erin.Sent")?;
    lose_index(&fixture, "user.frank")?;
    // As the server names it, for all of erin's mailboxes.
    let path = fixture.conf().join("lock/q/*U*erin.lock");
    fs::create_dir_all(path.parent().context("a directory")?)?;
    fs::write(&path, b"")?;
    Account::for_servers()?.own(&fixture.path())?;
    let mut holder = Command::new(std::env::current_exe()?)
        .args(["--exact", NAME, "--nocapture"])
        .env(HOLD, &path)
        .stdout(Stdio::piped())
        .spawn()?;
    let said = BufReader::new(holder.stdout.take().context("a pipe")?).lines();
    let locked = said.map_while(Result::ok).any(|line| line.contains("locked"));
    ensure!(locked, "the lock is not held");
    let begun = Instant::now();
    let run = |arguments: &[&str]| {
        fixture.reconstruct().args(["--lock-timeout", "1", "--json"]).args(arguments).run()
    };
    for arguments in [&["--mailbox", "user.erin.Sent"][..], &["-n", "--mailbox", "user.erin.Sent"]]
    {
        let before = Tree::read(&fixture.path())?;
        let run = run(arguments)?;
        assert_eq!(run.status, Some(2), "{run:#?}");
        let last = run.stderr.lines().last().unwrap_or_default();
        let pid = holder.id().to_string();
        for part in ["user.erin.Sent", "*U*erin.lock", &pid, "--lock-timeout"] {
            assert!(last.contains(part), "{part}: {run:#?}");
        }
        let mut changes = before.differences(&Tree::read(&fixture.path())?);
        // What was read and written before the locks were asked for is ours, and set aside.
        changes.retain(|change| {
            !change.contains(".mailstore-recovery") && !change.contains("spool: mtime")
        });
        assert_eq!(changes, [""; 0], "{run:#?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
    let all = run(&["--all"])?;
    assert_eq!(all.status, Some(2), "{all:#?}");
    assert_eq!(all.mailbox("user.frank")["state"], "repaired", "{all:#?}");
    holder.kill()?;
    holder.wait()?;
    let all = run(&["--all"])?;
    assert_eq!((all.status, all.summary()["repaired"].as_u64()), (Some(0), Some(1)), "{all:#?}");
    Ok(())
}

/// A small file system, for as long as it lives.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Result<Option<Self>> {
        let directory = tempfile::tempdir()?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size},mode=755"), "tmpfs"])
            .arg(directory.path())
            .output();
        let mounted = mounted.is_ok_and(|output| output.status.success());
        Ok(mounted.then_some(Self(directory)))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_noticed_before_anything_is_written() -> Result<()> {
    const NAME: &str = "a_full_disk_is_noticed_before_anything_is_written";
    let fixture = fixture()?;
    let Some(disk) = SmallDisk::mount("3m")? else {
        skip_without_privilege(NAME, "a small file system can't be mounted: not root");
        return Ok(());
    };
    lose_index(&fixture, "user.erin")?;
    fs::set_permissions(disk.0.path(), fs::Permissions::from_mode(0o755))?;
    // The spool moves to the small disk, and its place becomes a link to it.
    let copied = Command::new("cp").arg("-a").arg(fixture.spool()).arg(disk.0.path()).status()?;
    ensure!(copied.success(), "can't copy the spool");
    fixture.without("partition-default")?;
    let spool = disk.0.path().join("spool");
    fixture.configure(&format!("partition-default: {}", spool.display()))?;
    let filler = disk.0.path().join("filler");
    let _full = fs::write(&filler, vec![1_u8; 4 << 20]);
    let before = Tree::read(disk.0.path())?;
    let run = fixture.reconstruct().args(["--mailbox", "user.erin"]).run()?;
    assert_eq!(run.status, Some(2), "{run:#?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:#?}");
    for part in ["user.erin", &spool.display().to_string(), "make room"] {
        assert!(run.stderr.contains(part), "{part}: {run:#?}");
    }
    assert_eq!(before.differences(&Tree::read(disk.0.path())?), [""; 0], "{run:#?}");
    fs::remove_file(filler)?;
    let run = fixture.reconstruct().args(["--mailbox", "user.erin"]).run()?;
    assert_eq!(run.status, Some(0), "{run:#?}");
    Ok(())
}

#[test]
fn quiet_plain_verbose_and_json_say_as_much_as_their_names_do() -> Result<()> {
    let fixture = fixture()?;
    lose_index(&fixture, "user.erin")?;
    let run = |arguments: &[&str]| {
        fixture.reconstruct().args(["-n", "--all", "--check", "full"]).args(arguments).run()
    };
    let quiet = run(&["-q"])?;
    assert_eq!((quiet.status, quiet.stdout.as_str(), quiet.stderr.as_str()), (Some(1), "", ""));
    let (plain, verbose, more) = (run(&[])?, run(&["-v"])?, run(&["-vv"])?);
    for text in [&plain.stdout, &verbose.stdout, &more.stdout] {
        assert!(text.contains("user.erin: would be repaired"), "{text}");
        assert!(text.contains("index-missing"), "{text}");
        assert!(text.contains("12 mailboxes"), "{text}");
    }
    assert!(more.stdout.contains("user.frank: sound") && !plain.stdout.contains("user.frank"));
    assert!(verbose.stdout.len() >= plain.stdout.len());
    let json = run(&["--json"])?;
    assert_eq!(json.json.len(), 13, "{json:#?}");
    assert_eq!(json.json.last(), Some(json.summary()));
    assert!(json.stderr.is_empty(), "{json:#?}");
    let documented = fs::read_to_string(Fixture::testdata().join("../docs/json.md"))?;
    let objects = json.json.iter().filter_map(|line| line.as_object());
    for key in objects.flat_map(|object| object.keys()) {
        assert!(documented.contains(&format!("`{key}`")), "docs/json.md does not tell of {key}");
    }
    Ok(())
}

/// Once the JSON was cut and the status 0.
#[test]
fn a_stdout_that_is_full_is_told_and_ends_with_2() -> Result<()> {
    let fixture = fixture()?;
    let mut command = fixture.reconstruct().args(["-n", "--all", "--json"]).command()?;
    let full = fs::File::options().write(true).open("/dev/full")?;
    let run = ToolRun::of(&command.stdout(full).stderr(Stdio::piped()).output()?);
    assert_eq!(run.status, Some(2), "{run:#?}");
    assert!(run.stderr.contains("not all that it tells went to stdout"), "{run:#?}");
    Ok(())
}

#[test]
fn an_error_that_nobody_reads_still_ends_with_2() -> Result<()> {
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let mut command = Reconstruct::bare().args(["-C", "/nonexistent/imapd.conf"]).command()?;
    let status = command.stdout(Stdio::null()).stderr(writer).status()?;
    assert_eq!(status.code(), Some(2), "{status:?}");
    Ok(())
}

#[test]
fn mailboxes_are_selected_in_every_spelling() -> Result<()> {
    let fixture = fixture()?;
    let lists = names(&["user.erin.Lists", "user.erin.Lists.cyrus-devel"]);
    for spelling in ["user.erin.Lists", "user/erin/Lists"] {
        assert_eq!(selected(&fixture, &["--mailbox", spelling])?, names(&["user.erin.Lists"]));
        assert_eq!(selected(&fixture, &["--mailbox", spelling, "-r"])?, lists);
    }
    let folders = names(&[
        "user.erin.&AOk-t&AOk-",
        "user.erin.Lists",
        "user.erin.OldArchive",
        "user.erin.Sent",
    ]);
    assert_eq!(selected(&fixture, &["--mailbox", "user.erin.%"])?, folders);
    let below = selected(&fixture, &["--mailbox", "user.erin.*"])?;
    assert!(below.is_superset(&folders) && below.is_superset(&lists));
    let mut erins = below.clone();
    erins.insert("user.erin".into());
    assert_eq!(selected(&fixture, &["--mailbox", "user/erin", "--recursive"])?, erins);
    for name in ["user/erin/été", "user.erin.été", "user/erin/&AOk-t&AOk-", "user.erin.&AOk-t&AOk-"]
    {
        assert_eq!(selected(&fixture, &["--mailbox", name])?, names(&["user.erin.&AOk-t&AOk-"]));
    }
    let deleted = "DELETED.user.erin.Trash.6B0120A0".to_string();
    let listed = selected(&fixture, &["--all"])?;
    let of_erin = listed.iter().filter(|name| name.contains("user.erin")).cloned().collect();
    assert_eq!(selected(&fixture, &["--user", "erin"])?, of_erin);
    assert!(of_erin.contains(&deleted) || of_erin.iter().any(|name| name.starts_with("DELETED.")));
    assert_eq!(selected(&fixture, &["--user", "gina.dot"])?, names(&["user.gina^dot"]));
    assert_eq!(selected(&fixture, &["--mailbox", "user/gina.dot"])?, names(&["user.gina^dot"]));
    let two = ["--mailbox", "user.frank", "--mailbox", "shared.notices"];
    assert_eq!(selected(&fixture, &two)?, names(&["shared.notices", "user.frank"]));
    assert_eq!(
        selected(&fixture, &["--user", "frank", "--user", "erin"])?.len(),
        of_erin.len() + 1
    );
    assert_eq!(listed.len(), 12);
    Ok(())
}

#[test]
fn what_is_made_belongs_to_the_servers_account_with_the_servers_modes() -> Result<()> {
    let fixture = fixture()?;
    let account = Account::for_servers()?;
    let directory = fixture.mailbox_dir("user.erin")?;
    let header = fs::metadata(directory.join("cyrus.header"))?;
    lose_index(&fixture, "user.erin")?;
    fs::remove_file(directory.join("cyrus.cache"))?;
    fs::write(fixture.mailbox_dir("user.frank")?.join("4000."), b"Subject: stray\r\n\r\nmail\r\n")?;
    account.own(&fixture.path())?;
    let before = Tree::read(&fixture.path())?;
    let run = fixture.reconstruct().args(["--all"]).run()?;
    assert_eq!(run.status, Some(0), "{run:#?}");
    let mut made = 0;
    for (path, entry) in &Tree::read(&fixture.path())?.entries {
        assert_eq!((entry.uid, entry.gid), (account.uid, account.gid), "{}", path.display());
        if before.entries.get(path).is_none_or(|before| before.inode != entry.inode) {
            made += 1;
            assert_eq!(entry.mode & 0o077, 0, "{}: {:o}", path.display(), entry.mode);
        }
    }
    assert!(made > 5, "{made} files were made");
    for name in ["cyrus.index", "cyrus.cache"] {
        assert_eq!(fs::metadata(directory.join(name))?.mode(), header.mode(), "{name}");
    }
    Ok(())
}

#[test]
fn another_user_is_refused() -> Result<()> {
    const NAME: &str = "another_user_is_refused";
    if !nix::unistd::Uid::effective().is_root() {
        skip_without_privilege(NAME, "only root can be another user");
        return Ok(());
    }
    let fixture = fixture()?;
    lose_index(&fixture, "user.erin")?;
    let copy = fixture.path().with_file_name("reconstruct");
    fs::copy(Reconstruct::binary()?, &copy)?;
    let daemon = nix::unistd::User::from_name("daemon")?.context("an account daemon")?;
    let before = Tree::read(&fixture.path())?;
    let mut command = Command::new(copy);
    command.arg("-C").arg(fixture.imapd_conf()).arg("--all").env_remove("CYRUS_USER");
    let output = command.uid(daemon.uid.as_raw()).gid(daemon.gid.as_raw()).output()?;
    let run = ToolRun::of(&output);
    assert_eq!(run.status, Some(2), "{run:#?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:#?}");
    for part in ["must run as nobody or as root", "daemon"] {
        assert!(run.stderr.contains(part), "{part}: {run:#?}");
    }
    assert_eq!(before.differences(&Tree::read(&fixture.path())?), [""; 0]);
    Ok(())
}

#[test]
fn two_runs_at_once_do_no_harm() -> Result<()> {
    let fixture = fixture()?;
    for mailbox in ["user.erin", "user.erin.Sent", "user.frank", "shared"] {
        lose_index(&fixture, mailbox)?;
    }
    let children: Vec<_> = (0..3)
        .map(|_| Ok(fixture.reconstruct().args(["--all", "--json"]).command()?.spawn()?))
        .collect::<Result<_>>()?;
    for child in children {
        let output = child.wait_with_output()?;
        assert!(output.status.success(), "{}", output.status);
    }
    let check = fixture.reconstruct().args(["-n", "--all", "--check", "full", "--json"]).run()?;
    assert_eq!(check.status, Some(0), "{check:#?}");
    assert_eq!(check.summary()["messages"], 103, "{check:#?}");
    Ok(())
}

#[test]
fn an_interrupted_run_is_gone_on_with_where_it_ended() -> Result<()> {
    const NAME: &str = "an_interrupted_run_is_gone_on_with_where_it_ended";
    const MAILBOXES: usize = 30;
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let server = Server::start(&cyrus, ServerOptions::new(Layout::ById))?;
    server.admin()?.create("user.alice")?;
    let mut alice = server.login("alice")?;
    for number in 1..MAILBOXES {
        let mailbox = format!("INBOX.Folder {number}");
        alice.create(&mailbox)?;
        for message in 0..4 {
            let message = format!("Subject: {number} {message}\r\n\r\nbody\r\n");
            alice.append(&mailbox, &[], None, message.as_bytes())?;
        }
    }
    let before = Snapshot::take(&server, "alice")?;
    alice.logout()?;
    let mailboxes = server.mailboxes()?;
    for mailbox in &mailboxes {
        fs::remove_file(server.mailbox_dir(mailbox)?.join("cyrus.index"))?;
    }
    let arguments = ["--user", "alice", "--json", "--jobs", "1"];
    let mut child = Reconstruct::new(&server).args(arguments).command()?;
    let mut child = child.stdout(Stdio::null()).spawn()?;
    let recovery = server.spool().join(".mailstore-recovery");
    let finished = || -> Option<(String, usize)> {
        let run = fs::read_dir(&recovery).ok()?.next()?.ok()?;
        let list = fs::read_to_string(run.path().join("finished")).ok()?;
        Some((run.file_name().to_str()?.to_string(), list.lines().count()))
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while finished().is_none_or(|(_, count)| count < 8) {
        ensure!(Instant::now() < deadline, "the run does not get on");
        std::thread::sleep(Duration::from_micros(200));
    }
    child.kill()?;
    child.wait()?;
    let (run, done) = finished().context("the list is there")?;
    ensure!(done < mailboxes.len(), "the run ended before it was killed");
    let index = |mailbox: &str| -> Result<Option<u64>> {
        let path = server.mailbox_dir(mailbox)?.join("cyrus.index");
        Ok(fs::metadata(path).ok().map(|meta| meta.ino()))
    };
    let inodes: Vec<Option<u64>> =
        mailboxes.iter().map(|name| index(name)).collect::<Result<_>>()?;

    let resumed = Reconstruct::new(&server).args(arguments).args(["--resume", &run]).run()?;
    assert_eq!(resumed.status, Some(0), "{resumed:#?}");
    assert_eq!(resumed.summary()["resumed"], done, "{resumed:#?}");
    assert_eq!(resumed.summary()["mailboxes"], MAILBOXES, "{resumed:#?}");
    assert_eq!(resumed.summary()["run"], run, "{resumed:#?}");
    for (mailbox, before) in mailboxes.iter().zip(inodes) {
        let state = resumed.mailbox(mailbox)["state"].as_str().unwrap_or_default();
        assert_eq!(state == "repaired", before.is_none(), "{mailbox} {resumed:#?}");
        assert!(before.is_none() || index(mailbox)? == before, "{mailbox} was done again");
    }
    let differences = before.differences(&Snapshot::take(&server, "alice")?, Expect::IndexLost);
    ensure!(differences.is_empty(), "{differences}");
    Ok(())
}
