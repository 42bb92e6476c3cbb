//! A delivery over IMAP that is cut off at a chosen point: by the end of `redeliver`, of the server, or
//! of the connection. The next run finishes it, and nothing is there twice.
#![allow(clippy::print_stderr, reason = "a test tells what it tried")]

use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};
use mailstore_tests::{Cyrus, Point, Proxy, kill, long_form};

use crate::folders::{Case, Folders};
use crate::imap_access::as_admin;
use crate::scene::{Way, redeliver};

/// Who comes to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Redeliver,
    Server,
    Connection,
}

const VICTIMS: [Victim; 3] = [Victim::Redeliver, Victim::Server, Victim::Connection];

fn with_each_victim(point: Point) -> impl Iterator<Item = (Point, Victim)> {
    VICTIMS.into_iter().map(move |victim| (point.clone(), victim))
}

/// Begins a delivery through `proxy`.
fn begin(case: &Case, scene: &Folders, proxy: &Proxy) -> Result<Child> {
    let mut command = redeliver(&scene.server, &scene.incident)?;
    command.args(["--mailbox", &case.mailbox]);
    command.args(as_admin(scene.server.path(), proxy.port())?);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().context("can't run redeliver")
}

/// Ends whom it hits when the delivery is at the point; whether a run is to be finished by another.
fn strike(case: &Case, scene: &mut Folders, point: Point, victim: Victim) -> Result<()> {
    let proxy = Proxy::to(scene.server.ports().imap, point)?;
    let mut child = begin(case, scene, &proxy)?;
    proxy.wait()?;
    match victim {
        Victim::Redeliver => ensure!(kill(&mut child)?, "it had ended by itself"),
        Victim::Server => {
            scene.server.kill()?;
            proxy.cut();
            scene.server.start_again()?;
            proxy.set_upstream(scene.server.ports().imap);
        }
        Victim::Connection => {}
    }
    proxy.cut();
    let status = child.wait()?;
    ensure!(victim != Victim::Connection || status.success(), "it did not go on: {status}");
    Ok(())
}

#[test]
fn a_delivery_over_imap_survives_an_end_of_anybody_at_every_point() -> Result<()> {
    const NAME: &str = "a_delivery_over_imap_survives_an_end_of_anybody_at_every_point";
    let Some(cyrus) = Cyrus::available_or_skip(NAME) else { return Ok(()) };
    let times = if long_form() { 12 } else { 2 };
    let points =
        |n: usize| [Point::BeforeAppend, Point::InLiteral(5 + 31 * n), Point::BeforeAnswer];
    let mut counts = std::collections::BTreeMap::new();
    let mut scene = Folders::new(&cyrus, times * points(0).len() * VICTIMS.len())?;
    for n in 0..times {
        for (point, victim) in points(n).into_iter().flat_map(with_each_victim) {
            let case = scene.take()?;
            let what = format!("{victim:?} at {point:?}");
            strike(&case, &mut scene, point.clone(), victim).context(what.clone())?;
            case.must_be_finished(&scene, Way::Imap, n % 2 == 1).context(what)?;
            let name = format!("{point:?}");
            let name = name.split('(').next().unwrap_or_default().to_owned();
            *counts.entry((name, format!("{victim:?}"))).or_insert(0) += 1;
        }
    }
    scene.end()?;
    eprintln!("ends that were hit: {counts:?}");
    ensure!(counts.len() == 9 && counts.values().all(|&count| count == times), "{counts:?}");
    Ok(())
}
