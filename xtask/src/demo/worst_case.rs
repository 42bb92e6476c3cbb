//! The second act: everything at once, on a store that a real server serves; repaired, undone, and
//! repaired again.

mod claims;
mod outage;
mod population;
mod scoreboard;
mod wreck;

use anyhow::Result;
use mailstore_tests::Cyrus;

use claims::Claims;
use outage::Outage;

/// Shows it; whether every claim holds. Where there is no server, says so.
pub(super) fn run(seed: u64) -> Result<bool> {
    let cyrus = match Cyrus::find() {
        Ok(cyrus) => cyrus,
        Err(error) => {
            println!("Left out, for there is no server to be had: {error:#}");
            return Ok(true);
        }
    };
    let mut outage = Outage::befalls(&cyrus, seed)?;
    let theirs = outage.repaired_by_cyrus()?;
    outage.server.start_again()?;
    let tool = outage.tool()?;

    let mut claims = Claims::default();
    outage.is_looked_at(&tool, &mut claims)?;
    let (repair, ours) = outage.is_repaired(&tool, &mut claims)?;
    println!("{}", scoreboard::table(&ours, &theirs));
    claims.add_if(
        "Cyrus's own reconstruct, for the same bit: another UIDVALIDITY, flags gone",
        theirs.get(wreck::FLIPPED).is_some_and(|score| {
            !score.uidvalidity.is_full() && score.flags.right < score.flags.due()
        }),
    );
    outage.is_undone(&tool, &repair, &mut claims)?;
    outage.is_repaired_again(&tool, &mut claims)?;
    claims.add("no process of the server died", outage.server.deaths());
    println!("Checked, not just said:\n{claims}");
    Ok(claims.all_hold())
}
