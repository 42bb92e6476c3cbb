//! What a test chooses about its server, and the configuration files that follow from it.

use std::fmt::Write as _;
use std::path::Path;

use crate::cyrus::Cyrus;

/// How mailboxes are laid out on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `uuid/x/y/<uniqueid>`, the default since Cyrus 3.6.
    ById,
    /// `user/alice/Sent`, as all older releases do and `mailbox_legacy_dirs` keeps.
    ByName,
}

/// What a test chooses about its server. Everything else is as Cyrus's defaults have it, but for
/// `altnamespace` and `unixhierarchysep`, which are off: mailboxes are named `user.alice.Sent`.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// How mailboxes are laid out on disk.
    pub layout: Layout,
    /// Whether the server threads messages: `conversations.db`, and a counters file for each user.
    pub conversations: bool,
    /// Whether there is an archive partition. Cyrus moves messages there only when `cyr_expire -A`
    /// is run; how old they must be says `archive_after` (an extra line; default 7 days).
    pub archive: bool,
    /// Which files go to a metadata partition, in Cyrus's words (`header index cache`); none, and
    /// no such partition, by default.
    pub metapartition_files: Vec<String>,
    /// The time zone (`TZ`) of the server and of Cyrus's tools: sent dates are stored as midnight
    /// in it. UTC by default.
    pub timezone: String,
    /// Whether the store lies in memory where the machine has room for that: for tests that make
    /// many changes and do not care how a disk keeps them, for most of a change's time is `fsync`.
    pub in_memory: bool,
    /// Further lines of `imapd.conf`; each replaces the harness's own line for its option.
    pub extra_lines: Vec<String>,
}

impl ServerOptions {
    /// A plain server: no conversations, no archive, no metadata partition.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self {
            layout,
            conversations: false,
            archive: false,
            metapartition_files: Vec::new(),
            timezone: "UTC".into(),
            in_memory: false,
            extra_lines: Vec::new(),
        }
    }

    /// With conversations.
    #[must_use]
    pub fn with_conversations(mut self) -> Self {
        self.conversations = true;
        self
    }

    /// With an archive partition.
    #[must_use]
    pub fn with_archive(mut self) -> Self {
        self.archive = true;
        self
    }

    /// With these files on a metadata partition.
    #[must_use]
    pub fn with_metapartition_files(mut self, files: &[&str]) -> Self {
        self.metapartition_files = files.iter().map(ToString::to_string).collect();
        self
    }

    /// In this time zone.
    #[must_use]
    pub fn with_timezone(mut self, timezone: &str) -> Self {
        self.timezone = timezone.to_string();
        self
    }

    /// In memory, where there is room.
    #[must_use]
    pub fn in_memory(mut self) -> Self {
        self.in_memory = true;
        self
    }

    /// As a master whose replica takes what it sends on this port. Every change is noted in the sync log
    /// without a channel; who sends it is `sync_client`, run by the test.
    #[must_use]
    pub fn replicating_to(self, sync_port: u16) -> Self {
        let port = format!("sync_port: {sync_port}");
        [
            // Else `sync_client` first waits for an imapd's greeting.
            "sync_try_imap: no",
            "sync_log: yes",
            "sync_host: 127.0.0.1",
            &port,
            "sync_authname: cyrus",
            "sync_password: any",
        ]
        .into_iter()
        .fold(self, Self::with_line)
    }

    /// With this line of `imapd.conf`.
    #[must_use]
    pub fn with_line(mut self, line: &str) -> Self {
        self.extra_lines.push(line.to_string());
        self
    }

    /// The directories, relative to the store's, that this configuration names.
    pub(crate) fn directories(&self) -> Vec<&'static str> {
        let mut directories =
            vec!["conf/db", "conf/proc", "conf/socket", "conf/log", "conf/sieve", "lock", "spool"];
        if self.archive {
            directories.push("archive");
        }
        if !self.metapartition_files.is_empty() {
            directories.push("meta");
        }
        directories
    }

    /// `imapd.conf` of a store in `directory`.
    pub(crate) fn imapd_conf(&self, cyrus: &Cyrus, directory: &Path) -> String {
        let at = |relative: &str| directory.join(relative).display().to_string();
        let switch = |on: bool| if on { "yes" } else { "no" }.to_string();
        let mut lines: Vec<(&str, String)> = vec![
            ("configdirectory", at("conf")),
            ("defaultpartition", "default".into()),
            ("partition-default", at("spool")),
            ("sievedir", at("conf/sieve")),
            ("mboxname_lockpath", at("lock")),
            ("cyrus_user", cyrus.account().name.clone()),
            ("servername", server_name(directory)),
            ("admins", "cyrus".into()),
            ("lmtp_admins", "cyrus".into()),
            ("allowplaintext", "yes".into()),
            ("sasl_mech_list", "PLAIN".into()),
            // Any password will do: who logs in is what tests are about.
            ("sasl_pwcheck_method", "alwaystrue".into()),
            ("altnamespace", "no".into()),
            ("unixhierarchysep", "no".into()),
            ("virtdomains", "off".into()),
            ("imapidlepoll", "1".into()),
            // A port that was taken since it was picked must be noticed.
            ("master_bind_errors_fatal", "yes".into()),
            ("mailbox_legacy_dirs", switch(self.layout == Layout::ByName)),
            ("conversations", switch(self.conversations)),
        ];
        if let Some(modules) = cyrus.sasl_modules() {
            lines.push(("sasl_plugin_path", modules.display().to_string()));
        }
        if self.archive {
            lines.push(("archive_enabled", "yes".into()));
            lines.push(("archivepartition-default", at("archive")));
        }
        if !self.metapartition_files.is_empty() {
            lines.push(("metapartition_files", self.metapartition_files.join(" ")));
            lines.push(("metapartition-default", at("meta")));
        }
        let option = |line: &str| line.split(':').next().unwrap_or_default().trim().to_string();
        let replaced: Vec<String> = self.extra_lines.iter().map(|line| option(line)).collect();
        lines.retain(|(name, _)| !replaced.iter().any(|other| other == name));

        let mut text = String::new();
        for (name, value) in lines {
            let _ = writeln!(text, "{name}: {value}");
        }
        for line in &self.extra_lines {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

/// The name that the server of the store in `directory` greets with.
pub(crate) fn server_name(directory: &Path) -> String {
    directory.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Where a server listens, on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// For IMAP.
    pub imap: u16,
    /// For LMTP, where every client is trusted (`lmtpd -a`).
    pub lmtp: u16,
    /// For POP3.
    pub pop3: u16,
    /// For masters that replicate to it.
    pub sync: u16,
    /// For IMAP within TLS; of use where the server has a certificate.
    pub imaps: u16,
}

/// `cyrus.conf`: which daemons the master process runs.
pub(crate) fn cyrus_conf(cyrus: &Cyrus, imapd_conf: &Path, ports: Ports) -> String {
    let command = |program: &str, arguments: &str| {
        let program = cyrus.program(program);
        format!("cmd=\"{} -C {}{arguments}\"", program.display(), imapd_conf.display())
    };
    let service = |name: &str, program: &str, arguments: &str, port: u16| {
        let command = command(program, arguments);
        format!("  {name} {command} listen=\"127.0.0.1:{port}\" proto=tcp4 prefork=0\n")
    };
    format!(
        "START {{\n  recover {}\n}}\nSERVICES {{\n{}{}{}{}{}}}\nDAEMON {{\n  idled {}\n}}\n",
        command("ctl_cyrusdb", " -r"),
        service("imap", "imapd", "", ports.imap),
        service("lmtp", "lmtpd", " -a", ports.lmtp),
        service("pop3", "pop3d", "", ports.pop3),
        service("sync", "sync_server", "", ports.sync),
        service("imaps", "imapd", " -s", ports.imaps),
        command("idled", ""),
    )
}
