//! A server that is no good, or somebody in its place: a session ends with an error, and no password
//! is sent where it must not be.
#![allow(clippy::unwrap_used, reason = "a fake server that cannot be made fails its test")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use imap_client::{Address, Error, Login, NewMessage, Password, Server, Session, Together, Trust};

/// A server that says, for each line of the client, what `answer` makes of it; what it heard.
struct Fake {
    port: u16,
    heard: JoinHandle<Vec<String>>,
}

impl Fake {
    fn new(answer: impl Fn(&str, &str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = Vec::new();
            let _ = stream.write_all(b"* OK hello\r\n");
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            for line in lines.map_while(Result::ok) {
                let (tag, command) = line.split_once(' ').unwrap_or((&line, ""));
                let said = answer(tag, command);
                heard.push(command.to_owned());
                if say(&mut stream, &said).is_err() {
                    break;
                }
            }
            heard
        });
        Self { port, heard }
    }

    fn open(&self) -> Result<Session, Error> {
        let server = Server {
            address: Address { tls: false, host: "127.0.0.1".to_owned(), port: self.port },
            trust: authority(),
            allow_plaintext: false,
            patience: Duration::from_secs(20),
        };
        let (name, password) = ("alice".to_owned(), Password::new("secret"));
        Session::open(&server, &Login { name, acting_as: None, password })
    }

    fn heard(self) -> Vec<String> {
        self.heard.join().unwrap()
    }
}

fn say(stream: &mut TcpStream, said: &str) -> std::io::Result<()> {
    if said == ENDLESS {
        loop {
            stream.write_all(&[b'x'; 8192])?;
        }
    }
    stream.write_all(said.as_bytes())
}

/// Stands for a line without an end.
const ENDLESS: &str = "endless";

/// A certificate authority, of no consequence here.
fn authority() -> Trust {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), parameters.self_signed(&key).unwrap().pem()).unwrap();
    Trust::of_file(file.path()).unwrap()
}

/// What a good server says.
fn good(tag: &str, command: &str) -> String {
    match command.split(' ').next().unwrap_or_default() {
        "CAPABILITY" => {
            format!("* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR NAMESPACE\r\n{tag} OK\r\n")
        }
        "NAMESPACE" => format!("* NAMESPACE ((\"INBOX.\" \".\")) NIL NIL\r\n{tag} OK\r\n"),
        "EXAMINE" => format!("* OK [UIDVALIDITY 3] x\r\n* OK [UIDNEXT 9] y\r\n{tag} OK\r\n"),
        _ => format!("{tag} OK done\r\n"),
    }
}

#[test]
fn a_good_server_is_understood() {
    let fake = Fake::new(good);
    let mut session = fake.open().unwrap();
    assert_eq!(session.namespace().prefix, b"INBOX.");
    let examined = session.examine(b"INBOX").unwrap();
    assert_eq!((examined.uidvalidity, examined.uidnext), (Some(3), Some(9)));
    session.log_out();
    assert!(fake.heard().iter().any(|command| command.starts_with("AUTHENTICATE PLAIN")));
}

#[test]
fn what_is_said_in_the_clear_behind_starttls_ends_the_session_before_a_password() {
    let fake = Fake::new(|tag, command| match command {
        "CAPABILITY" => format!("* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN\r\n{tag} OK\r\n"),
        "STARTTLS" => format!("{tag} OK go\r\n* CAPABILITY AUTH=PLAIN\r\n{tag} OK injected\r\n"),
        _ => good(tag, command),
    });
    let error = fake.open().unwrap_err();
    assert!(matches!(error, Error::Insecure { .. }), "{error}");
    assert_eq!(fake.heard(), ["CAPABILITY", "STARTTLS"]);
}

#[test]
fn what_is_no_tls_behind_starttls_ends_the_session_before_a_password() {
    let fake = Fake::new(|tag, command| match command {
        "CAPABILITY" => format!("* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN\r\n{tag} OK\r\n"),
        "STARTTLS" => format!("{tag} OK go\r\n"),
        _ => "* this is no TLS\r\n".to_owned(),
    });
    let error = fake.open().unwrap_err();
    assert!(matches!(error, Error::Insecure { .. }), "{error}");
}

#[test]
fn who_offers_no_log_in_gets_no_password() {
    let fake = Fake::new(|tag, command| match command {
        "CAPABILITY" => format!("* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n{tag} OK\r\n"),
        _ => good(tag, command),
    });
    let error = fake.open().unwrap_err();
    assert!(matches!(error, Error::LoginRefused { .. }), "{error}");
    assert_eq!(fake.heard(), ["CAPABILITY"]);
}

#[test]
fn a_line_without_an_end_a_literal_beyond_bounds_and_a_farewell_end_a_command() {
    let said: [&str; 4] =
        [ENDLESS, "* 1 FETCH {99999999999}\r\n", "* BYE\r\n", "* 1 FETCH {9}\r\nx"];
    for said in said {
        let fake = Fake::new(move |tag, command| match command {
            "NOOP" => said.to_owned(),
            _ => good(tag, command),
        });
        let mut session = fake.open().unwrap();
        if said.ends_with('x') {
            // It waits for the rest.
            continue;
        }
        let error = session.noop().unwrap_err();
        assert!(error.is_of_the_connection(), "{said}: {error}");
    }
}

#[test]
fn nonsense_between_replies_is_passed_over() {
    let fake = Fake::new(|tag, command| match command {
        "NOOP" => format!("\r\n* \r\n*\r\n* XODD (((\r\n+ go\r\nr999 OK other\r\n{tag} OK\r\n"),
        _ => good(tag, command),
    });
    fake.open().unwrap().noop().unwrap();
}

#[test]
fn who_wants_to_be_asked_is_asked_before_each_message() {
    let fake = Fake::new(|tag, command| match command {
        _ if command.ends_with('}') => "+ go on\r\n".to_owned(),
        "" => String::new(),
        _ if command.starts_with("is the message") => "r5 OK [APPENDUID 3 9] done\r\n".to_owned(),
        _ => good(tag, command),
    });
    let mut session = fake.open().unwrap();
    let flags = ["\\Seen".to_owned()];
    let message = NewMessage { flags: &flags, date: Some(0), bytes: b"This is the message" };
    let appended = session.append(b"INBOX", &[message], Together::No).unwrap();
    assert_eq!(appended, [imap_client::Appended::There(Some((3, 9)))]);
    drop(session);
    let sent = "APPEND \"INBOX\" (\\Seen) \"01-Jan-1970 00:00:00 +0000\" {19}";
    assert!(fake.heard().iter().any(|command| command == sent));
}
