//! Results on stdout, everything else on stderr, both by one thread.

use std::io::{IsTerminal as _, Write};
use std::sync::Arc;
use std::thread::JoinHandle;

use serde::Serialize;

use crate::progress::{Counts, ProgressDisplay};
use crate::queue::{Line, Next, Queue, Stream};

/// Where a command prints. Dropping it waits until all is written.
pub struct Console {
    tool: &'static str,
    queue: Arc<Queue>,
    counts: Arc<Counts>,
    writer: Option<JoinHandle<()>>,
}

impl Console {
    /// That of the process. `progress` is whether how far the work is will be shown on stderr: as a
    /// bar on a terminal, as a line at intervals elsewhere.
    #[must_use]
    pub fn new(tool: &'static str, progress: bool) -> Self {
        let counts = Arc::<Counts>::default();
        let terminal = std::io::stderr().is_terminal();
        let display = progress.then(|| ProgressDisplay::new(tool, terminal, Arc::clone(&counts)));
        let (stdout, stderr) = (Box::new(std::io::stdout()), Box::new(std::io::stderr()));
        Self::over(tool, Writer { stdout, stderr, display }, counts)
    }

    fn over(tool: &'static str, writer: Writer, counts: Arc<Counts>) -> Self {
        let queue = Arc::<Queue>::default();
        let lines = Arc::clone(&queue);
        let thread = std::thread::Builder::new().name("console".to_owned());
        // Without a thread nothing can be said, but work goes on.
        let writer = thread.spawn(move || writer.run(&lines)).ok();
        Self { tool, queue, counts, writer }
    }

    /// A line on stderr, after the tool's name. Never waits.
    pub fn say(&self, line: &str) {
        self.queue.add(Line { stream: Stream::Stderr, text: format!("{}: {line}\n", self.tool) });
    }

    /// Text on stdout. Waits while too much is unwritten, so nobody calls this who holds a lock.
    pub fn print(&self, text: String) {
        if text.is_empty() || self.writer.is_none() {
            return;
        }
        self.queue.add(Line { stream: Stream::Stdout, text });
        self.queue.wait_for_room();
    }

    /// An object as one line on stdout. Waits as [`Self::print`].
    pub fn print_json(&self, object: &impl Serialize) {
        match serde_json::to_string(object) {
            Ok(text) => self.print(text + "\n"),
            Err(error) => self.say(&format!("cannot write JSON: {error}")),
        }
    }

    /// From now on progress is shown: towards so many mailboxes, and messages as far as is known.
    pub fn expect(&self, mailboxes: usize, messages: u64) {
        self.counts.expect(mailboxes, messages);
    }

    /// So much more is done. Only counts.
    pub fn advance(&self, messages: u64, bytes: u64) {
        self.counts.advance(messages, bytes);
    }

    /// A mailbox more is done. Only counts.
    pub fn mailbox_done(&self) {
        self.counts.mailbox_done();
    }

    /// Takes the progress away, for what is told at the end.
    pub fn work_ended(&self) {
        self.counts.end();
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            // It only writes: how it ended is nobody's loss.
            let _ = writer.join();
        }
    }
}

/// The thread that writes.
struct Writer {
    stdout: Box<dyn Write + Send>,
    stderr: Box<dyn Write + Send>,
    display: Option<ProgressDisplay>,
}

impl Writer {
    fn run(mut self, queue: &Queue) {
        loop {
            if let Some(display) = &mut self.display {
                display.refresh();
            }
            match queue.next() {
                Next::Line(line) => {
                    self.write(&line);
                    queue.written(&line);
                }
                Next::Idle => {}
                Next::End => break,
            }
        }
        if let Some(display) = &self.display {
            display.clear();
        }
    }

    fn write(&mut self, line: &Line) {
        let stream = match line.stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        // A reader that went away is no reason to stop.
        let mut write = || drop(stream.write_all(line.text.as_bytes()).and(stream.flush()));
        match &self.display {
            Some(display) => display.above(write),
            None => write(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read as _};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn over_pipe() -> (Console, PipeReader) {
        let (reader, stdout) = std::io::pipe().unwrap();
        let stderr = Box::new(stdout.try_clone().unwrap());
        let writer = Writer { stdout: Box::new(stdout), stderr, display: None };
        (Console::over("tool", writer, Arc::default()), reader)
    }

    #[test]
    fn what_is_said_and_printed_comes_in_order_and_whole() {
        let (console, mut reader) = over_pipe();
        console.say("one");
        console.print("two\n".to_owned());
        console.print_json(&3);
        drop(console);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "tool: one\ntwo\n3\n");
    }

    /// Found as a deadlock, twice: one worker's output was stuck in a full pipe, and another one
    /// that held a user's locks, or was just getting them, waited for it to say something.
    #[test]
    fn who_holds_a_lock_never_waits_for_who_reads() {
        let (console, mut reader) = over_pipe();
        let console = Arc::new(console);
        let printing = Arc::clone(&console);
        let stuck = std::thread::spawn(move || {
            for _ in 0..64 {
                printing.print("x".repeat(1 << 16));
            }
        });
        let (told, answer) = mpsc::channel();
        let saying = Arc::clone(&console);
        std::thread::spawn(move || {
            for _ in 0..1000 {
                saying.say("waiting");
                saying.advance(1, 1);
            }
            let _ = told.send(());
        });
        let answered = answer.recv_timeout(Duration::from_mins(1));
        assert!(!stuck.is_finished(), "what nobody reads piles up without end");
        std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        stuck.join().unwrap();
        assert!(answered.is_ok(), "it waited");
    }

    #[test]
    fn a_reader_that_went_away_stops_nobody() {
        let (console, reader) = over_pipe();
        drop(reader);
        (0..64).for_each(|_| console.print("x".repeat(1 << 16)));
    }
}
