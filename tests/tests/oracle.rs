//! What our tool derives from messages is, byte for byte, what a real Cyrus derives from them:
//! the same code as `cargo xtask oracle`, in a form that every change can wait for.

use std::fs;

use anyhow::{Context as _, Result};
use mailstore_tests::oracle::{
    Comparison, Corpus, LineEnds, Mutants, NastyMessages, Sample, Start, Trial, expectation,
    rewritten,
};
use mailstore_tests::{Cyrus, long_form};

/// Fails with what differs, if anything does or if Cyrus made no record of any message.
fn assert_identical(comparison: &Comparison, what: &str) {
    let told: Vec<String> = comparison.differences.iter().map(ToString::to_string).collect();
    let Comparison { messages, records, .. } = *comparison;
    assert!(told.is_empty(), "{what}, {} of {records} differ:\n{}", told.len(), told.join("\n"));
    assert_eq!(records, messages, "{what}: Cyrus has a record of every message");
}

fn with_line_ends(samples: &[Sample], line_ends: LineEnds) -> Vec<Sample> {
    let converted = |sample: &Sample| Sample {
        source: sample.source.clone(),
        bytes: line_ends.apply(&sample.bytes),
    };
    samples.iter().map(converted).collect()
}

#[test]
fn each_rules_message_gives_the_record_that_cyrus_makes_and_that_is_expected() -> Result<()> {
    let name = "each_rules_message_gives_the_record_that_cyrus_makes_and_that_is_expected";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let directory = Corpus::of_rules();
    let samples = Corpus::read(&directory)?.messages;
    let trial = Trial::run(&cyrus, &samples, Start::Guids)?;
    assert_identical(trial.comparison(), "messages as they are");
    for (sample, record) in samples.iter().zip(trial.records_by_cyrus(samples.len())?) {
        let record = record.with_context(|| format!("{}: no record", sample.source))?;
        let expected = fs::read(directory.join(&sample.source).with_extension("expected"))?;
        assert_eq!(
            expected.escape_ascii().to_string(),
            expectation(&record)?.escape_ascii().to_string(),
            "{}: cargo xtask oracle --write-expected tells what Cyrus makes of it",
            sample.source
        );
    }
    Ok(())
}

#[test]
fn from_nothing_cyrus_has_no_more_to_rewrite_in_our_rebuild_than_in_its_own() -> Result<()> {
    let name = "from_nothing_cyrus_has_no_more_to_rewrite_in_our_rebuild_than_in_its_own";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let samples = with_line_ends(&Corpus::read(&Corpus::of_rules())?.messages, LineEnds::Crlf);
    let trial = Trial::run(&cyrus, &samples, Start::Nothing)?;
    assert_identical(trial.comparison(), "messages with CRLF");
    let [on_cyrus, on_us] = trial.judge()?;
    assert!(rewritten(&on_us) <= rewritten(&on_cyrus), "of Cyrus's:\n{on_cyrus}of ours:\n{on_us}");
    Ok(())
}

#[test]
fn the_corpus_gives_the_records_that_cyrus_makes() -> Result<()> {
    let name = "the_corpus_gives_the_records_that_cyrus_makes";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let Some(directory) = Corpus::available_or_skip(name) else { return Ok(()) };
    let samples = Corpus::read(&directory)?.messages;
    let as_delivered = with_line_ends(&samples, LineEnds::Crlf);
    let trial = Trial::run(&cyrus, &as_delivered, Start::Nothing)?;
    assert_identical(trial.comparison(), "the corpus with CRLF");
    let [on_cyrus, on_us] = trial.judge()?;
    assert!(rewritten(&on_us) <= rewritten(&on_cyrus), "of Cyrus's:\n{on_cyrus}of ours:\n{on_us}");

    let others: &[LineEnds] =
        if long_form() { &[LineEnds::Lf, LineEnds::Raw] } else { &[LineEnds::Lf] };
    for &line_ends in others {
        let samples = with_line_ends(&samples, line_ends);
        let trial = Trial::run(&cyrus, &samples, Start::Guids)?;
        assert_identical(trial.comparison(), &format!("the corpus, line ends {line_ends:?}"));
    }
    Ok(())
}

#[test]
fn mutants_stop_nothing_and_give_the_records_that_cyrus_makes() -> Result<()> {
    let name = "mutants_stop_nothing_and_give_the_records_that_cyrus_makes";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let mut samples = Corpus::read(&Corpus::of_rules())?.messages;
    if let Some(directory) = Corpus::available_or_skip(name) {
        samples.extend(Corpus::read(&directory)?.messages);
    }
    let (seed, number) = (3, if long_form() { 10_000 } else { 1000 });
    let samples = with_line_ends(&samples, LineEnds::Crlf);
    let mutants: Vec<Sample> = Mutants::new(&samples, seed).take(number).collect();
    let trial = Trial::run(&cyrus, &mutants, Start::Guids)?;
    assert_identical(trial.comparison(), &format!("mutants of seed {seed}"));
    Ok(())
}

#[test]
fn messages_that_break_every_rule_give_the_records_that_cyrus_makes() -> Result<()> {
    let name = "messages_that_break_every_rule_give_the_records_that_cyrus_makes";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    let (seed, number) = (11, if long_form() { 20_000 } else { 1000 });
    let samples: Vec<Sample> = NastyMessages::new(seed).take(number).collect();
    let trial = Trial::run(&cyrus, &samples, Start::Guids)?;
    assert_identical(trial.comparison(), &format!("nasty messages of seed {seed}"));
    Ok(())
}

#[test]
fn sent_dates_are_midnights_as_cyrus_has_them_when_summer_time_begins_and_ends_too() -> Result<()> {
    let name = "sent_dates_are_midnights_as_cyrus_has_them_when_summer_time_begins_and_ends_too";
    let Some(cyrus) = Cyrus::available_or_skip(name) else { return Ok(()) };
    // Message files are a day apart: without a date, each message has the midnight of another day.
    let dateless = (1..=800).map(|day| (format!("day {day}"), "Subject: x".to_string()));
    let months = ["Mar", "Apr", "Sep", "Oct", "Nov"];
    let dated = (1990..2040).flat_map(|year| {
        let days = months.iter().flat_map(|month| (1..=31).step_by(5).map(move |day| (day, month)));
        days.map(move |(day, month)| {
            let date = format!("{day} {month} {year} 01:30:00 +0000");
            (date.clone(), format!("Date: {date}"))
        })
    });
    let samples: Vec<Sample> = dateless
        .chain(dated)
        .map(|(source, field)| Sample { source, bytes: format!("{field}\r\n\r\n.\r\n").into() })
        .collect();
    let zones: &[&str] = if long_form() {
        &["America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia"]
    } else {
        &["America/New_York"]
    };
    for zone in zones {
        let trial = Trial::run_in_zone(&cyrus, &samples, Start::Nothing, zone)?;
        assert_identical(trial.comparison(), zone);
    }
    Ok(())
}
