//! Which users this process's own threads work on.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::{Deadline, Holder, LockError, LockKind, LockPlan, LockWait};

/// Users with a holder. A thread that panicked left the set as it was, and its guard takes its
/// entry out, so a poisoned mutex is as good as any.
#[derive(Debug, Default)]
pub(super) struct Register {
    held: Mutex<BTreeSet<Vec<u8>>>,
    released: Condvar,
}

/// This thread is the holder of one user, until it is dropped.
#[derive(Debug)]
pub(super) struct UserGuard {
    register: Arc<Register>,
    userid: Vec<u8>,
}

impl Register {
    /// Waits its turn. Without this two threads would wait for each other's files in the kernel,
    /// where a file description's lock is not known to be this process's own.
    pub(super) fn enter(
        self: &Arc<Self>,
        plan: &LockPlan,
        deadline: Deadline,
        on_wait: &mut dyn FnMut(&LockWait),
    ) -> Result<UserGuard, LockError> {
        let userid = plan.userid().to_vec();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told = false;
        while held.contains(&userid) {
            let wait = || LockWait {
                path: user_lock_path(plan),
                kind: LockKind::User,
                waited: deadline.waited(),
                holders: vec![Holder { pid: std::process::id(), command: "this process".into() }],
            };
            let Some(patience) = deadline.left(Duration::from_secs(5)) else {
                let LockWait { path, kind, waited, holders } = wait();
                return Err(LockError::Timeout { path, kind, holders, waited });
            };
            // Turns between own threads are short and ordinary; only a long one is news.
            if told {
                on_wait(&wait());
            }
            let (guard, timeout) =
                self.released.wait_timeout(held, patience).unwrap_or_else(PoisonError::into_inner);
            held = guard;
            told = timeout.timed_out();
        }
        held.insert(userid.clone());
        Ok(UserGuard { register: Arc::clone(self), userid })
    }
}

fn user_lock_path(plan: &LockPlan) -> PathBuf {
    let user = plan.paths().find(|(kind, _)| *kind == LockKind::User);
    user.map_or_else(PathBuf::new, |(_, path)| path.to_path_buf())
}

impl Drop for UserGuard {
    fn drop(&mut self) {
        self.register.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.userid);
        self.register.released.notify_all();
    }
}
