//! The `incident` command as an operator types it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use incident::{Incident, Why};
use mailstore_tests::{Account, Fixture, ToolRun, Tree, incident_command, skip_without_privilege};

/// A store and the place of an incident about it.
struct Outage {
    fixture: Fixture,
}

impl Outage {
    fn unpack() -> Result<Self> {
        let fixture = Fixture::unpack(Fixture::BY_ID)?;
        fixture.give_to(&Account::for_servers()?)?;
        Ok(Self { fixture })
    }

    /// One whose incident was made.
    fn begin() -> Result<Self> {
        let outage = Self::unpack()?;
        let made = outage.new_incident()?;
        assert_eq!(made.status, Some(0), "{made:#?}");
        Ok(outage)
    }

    fn path(&self) -> PathBuf {
        self.fixture.path().with_file_name("outage")
    }

    fn new_incident(&self) -> Result<ToolRun> {
        let mut command = incident_command()?;
        command.arg("new").arg(self.path()).arg("-C").arg(self.fixture.imapd_conf());
        run(command.args(["--note", "the controller died"]))
    }

    /// Runs a subcommand on the incident.
    fn run(&self, subcommand: &str, arguments: &[&str]) -> Result<ToolRun> {
        run(incident_command()?.arg(subcommand).arg(self.path()).args(arguments))
    }

    fn json(&self, subcommand: &str) -> Result<ToolRun> {
        let run = self.run(subcommand, &["--json"])?.parsed()?;
        assert_eq!(run.status, Some(0), "{run:#?}");
        Ok(run)
    }

    /// Prunes a message of frank's; returns its UID.
    fn prune(&self) -> Result<u32> {
        fs::remove_file(self.fixture.mailbox_dir("user.frank")?.join("3."))?;
        let run = self.reconstruct(&["--prune", "--even-on-replica"])?;
        assert_eq!(run.findings("pruned").len(), 1, "{run:#?}");
        Ok(3)
    }

    fn reconstruct(&self, arguments: &[&str]) -> Result<ToolRun> {
        self.fixture.reconstruct().args(["--all", "--json"]).args(arguments).run()
    }
}

fn run(command: &mut Command) -> Result<ToolRun> {
    Ok(ToolRun::of(&command.output().context("can't run incident")?))
}

/// Asserts that a run could not do its work: exit 2, nothing on stdout, one line that says each of
/// `says`.
fn assert_refused(run: &ToolRun, says: &[&str]) {
    assert_eq!(run.status, Some(2), "{run:#?}");
    assert_eq!((run.stdout.as_str(), run.stderr.lines().count()), ("", 1), "{run:#?}");
    for part in says {
        assert!(run.stderr.contains(part), "{part}: {run:#?}");
    }
}

#[test]
fn the_help_has_every_subcommand_examples_and_exit_statuses() -> Result<()> {
    let help = run(incident_command()?.arg("--help"))?;
    assert_eq!(help.status, Some(0));
    let subcommands = ["  new ", "  show ", "  export ", "  rebuild ", "  close ", "  purge "];
    let others = ["Examples:", "MAILSTORE_INCIDENT", "Exit status:", "  0  ", "  1  ", "  2  "];
    for part in subcommands.iter().chain(&others) {
        assert!(help.stdout.contains(part), "{part}:\n{}", help.stdout);
    }
    for subcommand in subcommands {
        let help = run(incident_command()?.args([subcommand.trim(), "--help"]))?;
        assert!(help.stdout.contains("DIR"), "{subcommand}: {help:#?}");
    }
    Ok(())
}

#[test]
fn wrong_usage_ends_with_status_2_and_points_to_the_help() -> Result<()> {
    for usage in [
        &[][..],
        &["new"],
        &["begin", "x"],
        &["export", "x"],
        &["purge", "x"],
        &["purge", "x", "--older-than", "soon"],
        &["show", "x", "y"],
    ] {
        let run = run(incident_command()?.args(usage))?;
        assert_eq!(run.status, Some(2), "{usage:?}: {run:#?}");
        assert!(run.stderr.contains("--help") || usage.is_empty(), "{usage:?}: {run:#?}");
    }
    let nameless = run(incident_command()?.arg("show"))?;
    assert_refused(&nameless, &["MAILSTORE_INCIDENT"]);
    Ok(())
}

#[test]
fn an_incident_is_made_shown_closed_and_purged() -> Result<()> {
    let outage = Outage::begin()?;
    let shown = outage.run("show", &[])?;
    assert_eq!((shown.status, shown.stderr.as_str()), (Some(0), ""), "{shown:#?}");
    for part in ["open", "note: the controller died", "imapd.conf", "runs: 0", "wanted: 0"] {
        assert!(shown.stdout.contains(part), "{part}: {shown:#?}");
    }
    let exported = outage.json("export")?;
    let types: Vec<_> = exported.json.iter().map(|line| line["type"].clone()).collect();
    assert_eq!(types, ["incident", "store"]);

    assert_refused(&outage.run("purge", &["--older-than", "0d", "--yes"])?, &["not closed"]);
    for _ in 0..2 {
        assert_eq!(outage.run("close", &[])?.status, Some(0), "closing again is no error");
    }
    assert!(outage.run("show", &[])?.stdout.contains("closed"));
    assert_refused(&outage.run("purge", &["--older-than", "30d", "--yes"])?, &["closed for 0"]);
    let asked = outage.run("purge", &["--older-than", "0d"])?;
    assert_eq!(asked.status, Some(1), "{asked:#?}");
    assert!(asked.stdout.contains("--yes"), "{asked:#?}");
    assert!(outage.path().join("incident.sqlite").exists());
    let purged = outage.run("purge", &["--older-than", "0d", "--yes"])?;
    assert_eq!(purged.status, Some(0), "{purged:#?}");
    let left = fs::read_dir(outage.path()).map(Iterator::count).unwrap_or_default();
    assert_eq!(left, 0, "the directory itself can only go with rights on what it lies in");
    assert_refused(&outage.run("show", &[])?, &["there is no incident"]);
    Ok(())
}

#[test]
fn the_environment_names_the_incident() -> Result<()> {
    let outage = Outage::begin()?;
    let shown = run(incident_command()?.arg("show").env("MAILSTORE_INCIDENT", outage.path()))?;
    assert_eq!(shown.status, Some(0), "{shown:#?}");
    assert!(shown.stdout.contains(&outage.path().display().to_string()), "{shown:#?}");
    Ok(())
}

#[test]
fn an_incident_belongs_to_the_servers_account_alone() -> Result<()> {
    let outage = Outage::begin()?;
    let account = Account::for_servers()?;
    for (path, mode) in [(outage.path(), 0o700), (outage.path().join("incident.sqlite"), 0o600)] {
        let meta = fs::metadata(&path)?;
        assert_eq!((meta.uid(), meta.mode() & 0o777), (account.uid, mode), "{}", path.display());
    }
    // Whoever looks at it, no file becomes another's.
    assert_eq!(outage.run("show", &[])?.status, Some(0));
    for entry in fs::read_dir(outage.path())? {
        assert_eq!(entry?.metadata()?.uid(), account.uid);
    }
    Ok(())
}

#[test]
fn another_account_is_refused() -> Result<()> {
    const NAME: &str = "incident: another_account_is_refused";
    if !nix::unistd::Uid::effective().is_root() {
        skip_without_privilege(NAME, "only root can be another user");
        return Ok(());
    }
    let outage = Outage::begin()?;
    let daemon = nix::unistd::User::from_name("daemon")?.context("an account daemon")?;
    let copy = outage.fixture.path().with_file_name("incident-command");
    fs::copy(incident_command()?.get_program(), &copy)?;
    fs::set_permissions(outage.path(), fs::Permissions::from_mode(0o755))?;
    let as_daemon = |arguments: &[&Path]| {
        let mut command = Command::new(&copy);
        command.args(arguments).uid(daemon.uid.as_raw()).gid(daemon.gid.as_raw());
        run(command.env_remove("CYRUS_USER"))
    };
    let shown = as_daemon(&["show".as_ref(), &outage.path()])?;
    assert_refused(&shown, &["belongs to user id"]);
    let conf = outage.fixture.imapd_conf();
    fs::set_permissions(&conf, fs::Permissions::from_mode(0o644))?;
    let other = outage.fixture.path().with_file_name("other");
    let made = as_daemon(&["new".as_ref(), &other, "-C".as_ref(), &conf])?;
    assert_refused(&made, &["must run as", "daemon"]);
    assert!(!other.exists());
    Ok(())
}

#[test]
fn what_cannot_be_an_incident_is_refused_and_left_alone() -> Result<()> {
    let outage = Outage::begin()?;
    assert_refused(&outage.new_incident()?, &["not empty"]);
    let named = |name: &str| outage.path().with_file_name(name);
    let show = |path: &Path| run(incident_command()?.arg("show").arg(path));
    assert_refused(&show(&named("none"))?, &["there is no incident"]);
    symlink(outage.path(), named("link"))?;
    assert_refused(&show(&named("link"))?, &["symbolic link"]);
    fs::write(named("file"), "")?;
    assert_refused(&show(&named("file"))?, &["not a directory"]);
    let unconfigured = run(incident_command()?.arg("new").arg(named("new")).arg("-C").arg("none"))?;
    assert_refused(&unconfigured, &["none", "-C"]);
    assert!(!named("new").exists());

    let database = outage.path().join("incident.sqlite");
    let mut bytes = fs::read(&database)?;
    let sound = bytes.clone();
    // The version of the tables (SQLite's file format, "user version").
    bytes[60..64].copy_from_slice(&9_u32.to_be_bytes());
    fs::write(&database, &bytes)?;
    assert_refused(&outage.run("show", &[])?, &["version 9", "newer release"]);
    fs::write(&database, &sound[..sound.len() / 2])?;
    let damaged = outage.run("export", &["--json"])?;
    assert_eq!(damaged.status, Some(2), "{damaged:#?}");
    fs::write(&database, "something else, and no database of anything at all")?;
    assert_refused(&outage.run("show", &[])?, &["damaged", "incident rebuild"]);
    Ok(())
}

#[test]
fn what_a_run_pruned_comes_back_from_beside_the_mail() -> Result<()> {
    let outage = Outage::begin()?;
    let uid = outage.prune()?;
    let before = Tree::read(&outage.fixture.path())?;
    let rebuilt = outage.run("rebuild", &[])?;
    assert_eq!(rebuilt.status, Some(0), "{rebuilt:#?}");
    assert_eq!(before.differences(&Tree::read(&outage.fixture.path())?), [""; 0]);
    let exported = outage.json("export")?;
    let of_type = |kind: &str| exported.json.iter().filter(|line| line["type"] == kind).count();
    assert_eq!((of_type("run"), of_type("wanted")), (1, 1), "{exported:#?}");
    assert!(of_type("quarantine") >= 1, "the index was replaced: {exported:#?}");
    let wanted = exported.json.iter().find(|line| line["type"] == "wanted");
    let wanted = wanted.context("a wanted message")?;
    assert_eq!((&wanted["mailbox"], &wanted["uid"]), (&"user.frank".into(), &uid.into()));
    assert_eq!(wanted["why"], Why::Pruned.as_str());
    assert_eq!(wanted["guid"].as_str().map(str::len), Some(40));

    let again = outage.run("rebuild", &[])?;
    assert_eq!(again.status, Some(0), "{again:#?}");
    assert_eq!(outage.json("export")?.json, exported.json, "again changes nothing");
    let shown = outage.run("show", &[])?;
    assert!(shown.stdout.contains("wanted: 1 message\n  1 pruned"), "{shown:#?}");
    assert!(shown.stdout.contains(".mailstore-recovery"), "{shown:#?}");
    outage.run("close", &[])?;
    let purged = outage.run("purge", &["--older-than", "0d", "--yes"])?;
    assert!(purged.stdout.contains("left beside the mail: "), "{purged:#?}");
    assert_eq!(before.differences(&Tree::read(&outage.fixture.path())?), [""; 0]);
    Ok(())
}

#[test]
fn every_field_of_the_json_is_documented() -> Result<()> {
    let outage = Outage::begin()?;
    outage.prune()?;
    outage.run("rebuild", &[])?;
    let documented = fs::read_to_string(Fixture::testdata().join("../docs/incident.md"))?;
    let mut fields = 0;
    for line in outage.json("export")?.json.iter().chain(&outage.json("show")?.json) {
        for field in line.as_object().context("an object")?.keys() {
            assert!(documented.contains(&format!("`{field}`")), "{field} of {line}");
            fields += 1;
        }
    }
    assert!(fields > 50, "{fields}");
    Ok(())
}

#[test]
fn a_damaged_database_is_set_aside_and_comes_back() -> Result<()> {
    let outage = Outage::begin()?;
    outage.prune()?;
    let database = outage.path().join("incident.sqlite");
    let mut file = fs::OpenOptions::new().write(true).open(&database)?;
    file.write_all(b"garbage over the first page of the database")?;
    drop(file);
    assert_refused(&outage.run("rebuild", &[])?, &["damaged"]);
    let conf = outage.fixture.imapd_conf();
    let conf = conf.to_str().context("a path of text")?;
    let rebuilt = outage.run("rebuild", &["-C", conf])?;
    assert_eq!(rebuilt.status, Some(0), "{rebuilt:#?}");
    assert!(rebuilt.stdout.contains("incident.sqlite.damaged-1"), "{rebuilt:#?}");
    let mut start = [0; 7];
    fs::File::open(outage.path().join("incident.sqlite.damaged-1"))?.read_exact(&mut start)?;
    assert_eq!(&start, b"garbage");
    assert!(outage.run("show", &[])?.stdout.contains("wanted: 1 message"));
    Ok(())
}

#[test]
fn a_rebuild_that_cannot_read_everything_says_what_and_ends_with_1() -> Result<()> {
    let outage = Outage::begin()?;
    outage.prune()?;
    let recovery = outage.fixture.spool().join(".mailstore-recovery");
    let run = fs::read_dir(&recovery)?.next().context("a run")??.path();
    for folder in fs::read_dir(&run)? {
        let journal = folder?.path().join("journal.jsonl");
        if journal.exists() {
            let whole = fs::read(&journal)?;
            fs::write(&journal, &whole[..whole.len() / 2])?;
        }
    }
    let rebuilt = outage.run("rebuild", &[])?;
    assert_eq!(rebuilt.status, Some(1), "{rebuilt:#?}");
    assert!(rebuilt.stdout.contains("1 line was cut"), "{rebuilt:#?}");
    fs::rename(outage.fixture.spool(), outage.fixture.path().join("away"))?;
    let unmounted = outage.run("rebuild", &[])?;
    assert_eq!(unmounted.status, Some(1), "{unmounted:#?}");
    assert!(unmounted.stderr.contains("spool: no such file"), "{unmounted:#?}");
    Ok(())
}

#[test]
fn a_reader_of_the_export_that_goes_away_is_no_error() -> Result<()> {
    let outage = Outage::begin()?;
    let mut command = incident_command()?;
    command.arg("export").arg(outage.path()).arg("--json").stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    let ended = child.wait_with_output()?;
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), &b""[..]));
    Ok(())
}

#[test]
fn the_library_opens_what_the_command_made() -> Result<()> {
    let outage = Outage::begin()?;
    let account = Account::for_servers()?;
    if nix::unistd::Uid::effective().as_raw() != account.uid {
        let refused = Incident::open(&outage.path()).map(drop).map_err(|error| error.to_string());
        assert!(refused.is_err_and(|error| error.contains("belongs to user id")));
        return Ok(());
    }
    assert_eq!(Incident::open(&outage.path())?.stores()?.len(), 1);
    Ok(())
}
