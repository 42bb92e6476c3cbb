//! What names an account, and what is decided.

use super::*;

const OPERATOR: &str = "From: Olga <Olga@Example.org>\n";
const ALICE: &str = "From: Alice Adams <alice@example.org>\n";

fn policy() -> Policy {
    Policy { operators: vec!["olga@EXAMPLE.org".into()], domains: vec!["Example.ORG".into()] }
}

fn has(name: &str) -> bool {
    ["alice", "bob", "carol", "anna", "kim", "info", "please", "dave@example.net"].contains(&name)
}

fn decided(from: &str, subject: &str, text: &str) -> Decision {
    let request = read(format!("{from}Subject: {subject}\n\n{text}"));
    decide(&request, &has, &policy())
}

/// The accounts that are raised.
fn raised(from: &str, subject: &str, text: &str) -> Vec<String> {
    match decided(from, subject, text) {
        Decision::Raise(raise) => raise.accounts,
        _ => Vec::new(),
    }
}

fn why(from: &str, subject: &str, text: &str) -> Option<Why> {
    match decided(from, subject, text) {
        Decision::Unclear(unclear) => Some(unclear.why),
        _ => None,
    }
}

#[test]
fn accounts_are_named_in_the_ways_that_are_documented_and_in_no_other() {
    for (subject, text, expected) in [
        ("Priority rebuild bob", "", vec!["bob"]),
        ("Re: PRIORITY  Rebuild: Bob, carol and anna", "", vec!["bob", "carol", "anna"]),
        ("Priority rebuild for bob please", "", vec!["bob"]),
        ("bob needs a priority rebuild", "", vec![]),
        ("x", "account: bob", vec!["bob"]),
        ("x", "Account:bob, carol; anna is away", vec!["bob", "carol", "anna"]),
        ("x", "The user: <bob> is important", vec!["bob"]),
        ("x", "username=BOB", vec!["bob"]),
        ("x", "account: please", vec!["please"]),
        ("x", "bob\ncarol.\n* anna\nbob\n", vec!["bob", "carol", "anna"]),
        ("x", "bob carol", vec![]),
        ("x", "bob, carol", vec![]),
        ("x", "please\n", vec![]),
        ("x", "Ask anna for info, please", vec![]),
        ("x", "and dave@example.net is waiting", vec!["dave@example.net"]),
        ("x", "write to <mailto:Dave@Example.net>.", vec!["dave@example.net"]),
        ("x", "see http://bob@example.org/ or bob@@example.org", vec![]),
        ("x", "> bob\n\n-- \ncarol\n", vec![]),
    ] {
        let request = read(format!("{OPERATOR}Subject: {subject}\n\n{text}"));
        assert_eq!(request.accounts_named(&has), expected, "{subject} / {text}");
    }
}

#[test]
fn the_senders_own_name_alone_in_a_line_names_nobody() {
    let request = read("From: Anna Olsen <olga@example.org>\nSubject: x\n\nbob\n\nAnna\n");
    assert_eq!(request.accounts_named(&has), ["bob"]);
}

#[test]
fn who_has_an_account_and_names_nobody_or_themselves_comes_first() {
    for (from, subject, text) in [
        (ALICE, "Priority rebuild", ""),
        (ALICE, "Priority rebuild", "Hello,\n\nplease hurry, I need it.\n\nThanks\nAlice\n"),
        (ALICE, "Priority rebuild alice@example.org", "account: Alice"),
        (ALICE, "Priority rebuild of my mailbox, please", "It is gone since noon."),
        (ALICE, "Priority rebuild, nothing works here", ""),
        ("From: ALICE@EXAMPLE.org\n", "help", "Alice\n"),
    ] {
        assert_eq!(raised(from, subject, text), ["alice"], "{from} {subject} {text}");
    }
    assert_eq!(raised("From: Dave@Example.net\n", "x", "account: dave"), ["dave@example.net"]);
    let Decision::Raise(raise) = decided(ALICE, "Priority rebuild", "") else { panic!() };
    assert_eq!((raise.answered.as_str(), raise.by_operator), ("alice@example.org", false));
}

#[test]
fn who_names_another_gets_the_same_whether_there_is_such_an_account_or_not() {
    for (subject, text) in [
        ("Priority rebuild NAME", ""),
        ("Priority rebuild for NAME please", ""),
        ("x", "NAME@example.org"),
        ("x", "account: NAME"),
        ("x", "account: alice, NAME"),
        ("x", "Hello\nNAME\n"),
        ("x", "bob\nNAME\n"),
        ("Priority rebuild NAME carol", ""),
        ("x", "account: alice NAME"),
    ] {
        let with = |name: &str| (subject.replace("NAME", name), text.replace("NAME", name));
        let outcome = |name: &str| {
            let (subject, text) = with(name);
            (raised(ALICE, &subject, &text), why(ALICE, &subject, &text))
        };
        assert_eq!(outcome("bob"), outcome("zork"), "{subject} {text}");
    }
    assert_eq!(why(ALICE, "Priority rebuild bob", ""), Some(Why::OtherAccount));
    assert_eq!(why(ALICE, "x", "user: bob"), Some(Why::OtherAccount));
    assert_eq!(why(ALICE, "x", "users: alice, bob"), Some(Why::OtherAccount));
    assert_eq!(why(ALICE, "x", "bob\n"), Some(Why::OtherAccount));
}

#[test]
fn an_operator_names_one_to_ten() {
    assert_eq!(raised(OPERATOR, "Priority rebuild", "bob@example.org\ncarol"), ["bob", "carol"]);
    let Decision::Raise(raise) = decided(OPERATOR, "Priority rebuild bob", "") else { panic!() };
    assert_eq!((raise.answered.as_str(), raise.by_operator), ("Olga@Example.org", true));
    assert_eq!(why(OPERATOR, "Priority rebuild zork", ""), Some(Why::NobodyNamed));
    let names = |count: usize| {
        (0..count)
            .map(|each| {
                format!(
                    "u{each}
"
                )
            })
            .collect::<Vec<_>>()
            .concat()
    };
    let of = |count| decide(&read(format!("{OPERATOR}\n{}", names(count))), &|_| true, &policy());
    assert!(matches!(of(10), Decision::Raise(raise) if raise.accounts.len() == 10));
    for count in [11, 300] {
        assert!(matches!(of(count), Decision::Unclear(it) if it.why == Why::TooManyNamed));
    }
    let long = format!("{OPERATOR}\n{}bob\n", "zork\n".repeat(300));
    let decision = decide(&read(long), &has, &policy());
    assert!(matches!(decision, Decision::Unclear(it) if it.why == Why::TooManyNamed));
}

#[test]
fn strangers_are_kept_and_answered_alike_whomever_they_name() {
    for from in [
        "From: alice@example.net\n",
        "From: zork@example.org\n",
        "From: bob@evil.example\n",
        "From: \u{212a}im@example.org\n",
    ] {
        let answers = ["bob", "zork"].map(|name| decided(from, "Priority rebuild", name));
        for answer in answers {
            let Decision::Unclear(unclear) = answer else { panic!("{from}") };
            assert_eq!(unclear.why, Why::Stranger);
            assert!(unclear.answered.is_some());
        }
    }
}

#[test]
fn without_one_sender_nobody_is_answered_and_a_person_reads_it() {
    let from = "From: alice@example.org, bob@example.org\n";
    let Decision::Unclear(unclear) = decided(from, "Priority rebuild", "Hi\u{7}\n") else {
        panic!()
    };
    assert_eq!((unclear.answered, unclear.why), (None, Why::NoSender));
    assert_eq!((unclear.subject.as_str(), unclear.text.as_str()), ("Priority rebuild", "Hi"));
}

#[test]
fn what_is_kept_for_operators_is_short() {
    let text = "\u{e9}".repeat(5000);
    let Decision::Unclear(unclear) = decided("", "x", &text) else { panic!() };
    assert_eq!(unclear.text, "\u{e9}".repeat(1024));
}

#[test]
fn what_is_automatic_is_ignored_even_from_an_operator() {
    for fields in ["Auto-Submitted: auto-replied\n", "Return-Path: <>\n", "List-Id: x\n"] {
        for from in [OPERATOR, ALICE, "From: x@y\n"] {
            let decision = decided(&format!("{from}{fields}"), "Priority rebuild bob", "");
            assert_eq!(decision, Decision::Ignored);
        }
    }
}
