//! Handing over to `redeliver`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::args::Args;
use super::stores::Named;

const PROGRAM: &str = "redeliver";
/// What a program that could not run ends with.
const COULD_NOT: u8 = 2;

/// Refuses to hand over what nobody could deliver, before anything is compared.
pub(super) fn check(stores: &[Named]) -> Result<()> {
    for store in stores {
        if let Named::Snapshot(path) = store {
            bail!(
                "{} describes a store on another machine: leave out --deliver, then run `redeliver` \
                 there, or here with --via imap",
                path.display()
            );
        }
    }
    Ok(())
}

/// Has what the incident knows to be missing delivered into each of the stores. `compared` is the
/// exit status without that.
///
/// # Errors
/// Where the program cannot be started, or was killed.
pub(super) fn hand_over(args: &Args, incident: &Path, compared: u8) -> Result<u8> {
    let program = program();
    let mut delivered = 0;
    for store in &args.to {
        let mut command = Command::new(&program);
        command.arg("--incident").arg(incident).arg("--to").arg(store);
        pass_on(args, &mut command);
        let status = command.status();
        let status = status.with_context(|| format!("cannot start {}", program.display()))?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        ensure!(code.is_some(), "{PROGRAM} was killed ({status}): run it again");
        delivered = delivered.max(code.unwrap_or(COULD_NOT));
    }
    Ok(combined(compared, delivered))
}

/// The one that was installed beside this program, else that of the search path.
fn program() -> PathBuf {
    let here = std::env::current_exe().ok().map(|own| own.with_file_name(PROGRAM));
    here.filter(|path| path.is_file()).unwrap_or_else(|| PROGRAM.into())
}

/// What both programs understand alike.
fn pass_on(args: &Args, command: &mut Command) {
    if let Some(stores) = &args.stores {
        command.arg("--stores").arg(stores);
    }
    for user in &args.user {
        command.arg("--user").arg(user);
    }
    command.arg("--lock-timeout").arg(args.lock_timeout().as_secs().to_string());
    if args.output.json {
        command.arg("--json");
    }
    if args.output.quiet {
        command.arg("--quiet");
    }
    for _ in 0..args.output.verbose {
        command.arg("--verbose");
    }
}

/// What is missing is missing no more once it is delivered; what could not be compared or read stays
/// so.
fn combined(compared: u8, delivered: u8) -> u8 {
    if compared >= COULD_NOT && delivered < COULD_NOT { compared } else { delivered }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_status_tells_the_worst_that_is_left() {
        let cases = [(0, 0, 0), (1, 0, 0), (1, 1, 1), (1, 2, 2), (3, 0, 3), (3, 1, 3), (3, 2, 2)];
        for (compared, delivered, told) in cases {
            assert_eq!(combined(compared, delivered), told, "{compared} {delivered}");
        }
    }
}
