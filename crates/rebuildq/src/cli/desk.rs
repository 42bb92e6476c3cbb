//! The queue that a command works on: the incident's, for one store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use incident::queue::{Job, Roster as _};
use incident::{INCIDENT_VARIABLE, Incident, StoreBinding, StoreId};
use mailstore::config::ImapdConf;
use mailstore::identity::{StoreAccount, adopt_umask};
use mailstore::namespace::Namespace;
use mailstore::store::Store;
use rebuildq::access::{ALL_BUT_DELIVERY, Doorkeeper};

/// Where Debian and most others have the server's tools.
const USUAL_BIN: &str = "/usr/lib/cyrus/bin";

/// What every command needs.
#[derive(Debug, clap::Args)]
pub(super) struct DeskArgs {
    /// The server's configuration
    #[arg(short = 'C', long, value_name = "FILE", default_value = "/etc/imapd.conf")]
    config: PathBuf,

    /// The incident's directory
    #[arg(long, value_name = "DIR", env = INCIDENT_VARIABLE)]
    incident: PathBuf,
}

/// How users are denied and let in.
#[derive(Debug, clap::Args)]
pub(super) struct AccessArgs {
    /// The directory of Cyrus's own tools: `cyr_deny` denies users and lets them in, others bring
    /// quotas and conversations in step [default: /usr/lib/cyrus/bin]
    #[arg(long, value_name = "DIR")]
    cyrus_bin: Option<PathBuf>,

    /// Which services users are denied: patterns of their names in cyrus.conf, the first that
    /// matches counts, ! before it lets in
    #[arg(long, value_name = "PATTERNS", default_value = ALL_BUT_DELIVERY)]
    deny_services: String,
}

/// The queue of a store.
pub(super) struct Desk {
    pub(super) incident: Arc<Incident>,
    pub(super) store: StoreId,
    pub(super) binding: StoreBinding,
    pub(super) conf: ImapdConf,
}

impl DeskArgs {
    /// Becomes the server's account and opens the incident.
    pub(super) fn open(&self) -> Result<Desk> {
        let conf = ImapdConf::load(&self.config)
            .map_err(|error| anyhow!("{error}; correct it, or name the server's with -C"))?;
        StoreAccount::of_server(&conf, &command_line::account_hints())?.become_account()?;
        adopt_umask(&conf);
        let incident = Arc::new(Incident::open(&self.incident)?);
        let binding = StoreBinding::of(&conf)?;
        let store = incident.store(&binding)?;
        Ok(Desk { incident, store, binding, conf })
    }
}

impl Desk {
    /// The store's mailboxes.
    pub(super) fn open_store(&self, patience: Duration) -> Result<Store> {
        Store::open_with(self.conf.clone(), patience, &mut |_| {}).map_err(|error| {
            anyhow!("{error}; is it the right configuration (-C), is all mounted?")
        })
    }

    /// The latest job of a user, as operators write the user.
    pub(super) fn job_of(&self, user: &str) -> Result<Job> {
        let userid = Namespace::from(&self.conf).parse_userid(user);
        let userid = String::from_utf8_lossy(&userid);
        match self.incident.job_of(self.store, &userid)? {
            Some(job) => Ok(job),
            None => bail!("{user} has no job: `rebuildq add --user {user}` queues one"),
        }
    }

    /// Who denies users and lets them in.
    pub(super) fn doorkeeper(&self, access: &AccessArgs) -> Result<Doorkeeper<'_>> {
        let bin = access.bin();
        Ok(Doorkeeper::new(&self.incident, self.store, &self.conf, bin, &access.deny_services)?)
    }
}

impl AccessArgs {
    /// Where the server's tools are, or should be.
    pub(super) fn bin(&self) -> &Path {
        self.cyrus_bin.as_deref().unwrap_or(Path::new(USUAL_BIN))
    }

    /// The same, where they were named or are there.
    pub(super) fn known_bin(&self) -> Option<PathBuf> {
        let is_there = self.bin().join("cyr_deny").exists();
        (self.cyrus_bin.is_some() || is_there).then(|| self.bin().to_owned())
    }

    /// That there are tools to deny users with.
    pub(super) fn require_tools(&self) -> Result<()> {
        let tool = self.bin().join("cyr_deny");
        if tool.is_file() {
            return Ok(());
        }
        bail!(
            "{} is not there: name the directory of Cyrus's tools with --cyrus-bin",
            tool.display()
        )
    }
}

/// How operators read whose a job is.
pub(super) fn named(user: &str) -> &str {
    if user.is_empty() { "(shared mailboxes)" } else { user }
}
