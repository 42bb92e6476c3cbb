//! Results on stdout, everything else on stderr, both by one thread.

use std::io::{self, ErrorKind, IsTerminal as _, Write};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};
use indicatif::ProgressDrawTarget;
use serde::Serialize;

use crate::progress::{Counts, INTERVAL, ProgressDisplay};
use crate::queue::{Line, Next, Queue, Stream};

/// Where a command prints. Dropping it waits until all is written; [`Self::finish`] also tells
/// whether it was.
pub struct Console {
    tool: &'static str,
    queue: Arc<Queue>,
    counts: Arc<Counts>,
    writing: Writing,
}

/// Who writes.
enum Writing {
    Thread(Option<JoinHandle<()>>),
    /// Whoever prints or says something, because no thread could be started: then that waits.
    Caller(Mutex<Writer>),
}

impl Console {
    /// That of the process. `progress` is whether how far the work is will be shown on stderr: as a
    /// bar on a terminal, as a line at intervals elsewhere.
    #[must_use]
    pub fn new(tool: &'static str, progress: bool) -> Self {
        let counts = Arc::<Counts>::default();
        let display = progress.then(|| {
            if io::stderr().is_terminal() {
                ProgressDisplay::on(ProgressDrawTarget::stderr(), tool, Arc::clone(&counts))
            } else {
                ProgressDisplay::in_lines(INTERVAL, tool, Arc::clone(&counts))
            }
        });
        let (stdout, stderr) = (Box::new(io::stdout()), Box::new(io::stderr()));
        Self::over(tool, Writer { stdout, stderr, display }, counts)
    }

    fn over(tool: &'static str, writer: Writer, counts: Arc<Counts>) -> Self {
        let queue = Arc::<Queue>::default();
        let lines = Arc::clone(&queue);
        let (hand_over, handed_over) = mpsc::sync_channel::<Writer>(1);
        let thread = std::thread::Builder::new().name("console".to_owned());
        let thread = thread.spawn(move || {
            if let Ok(writer) = handed_over.recv() {
                writer.run(&lines);
            }
        });
        let writing = match thread {
            Ok(thread) => match hand_over.send(writer) {
                Ok(()) => Writing::Thread(Some(thread)),
                Err(mpsc::SendError(writer)) => Writing::Caller(Mutex::new(writer)),
            },
            Err(_) => Writing::Caller(Mutex::new(writer)),
        };
        Self { tool, queue, counts, writing }
    }

    /// A line on stderr, after the tool's name. Never waits.
    pub fn say(&self, line: &str) {
        self.add(Line { stream: Stream::Stderr, text: format!("{}: {line}\n", self.tool) });
    }

    /// Text on stdout. Waits while too much is unwritten, so nobody calls this who holds a lock.
    pub fn print(&self, text: String) {
        if !text.is_empty() {
            self.add(Line { stream: Stream::Stdout, text });
            self.queue.wait_for_room();
        }
    }

    fn add(&self, line: Line) {
        self.queue.add(line);
        if let Writing::Caller(writer) = &self.writing {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.write_waiting(&self.queue);
        }
    }

    /// Waits until all is written; for the end of a command. An error is stdout's first, after which
    /// nothing went there; a reader that went away is none.
    pub fn finish(&self) -> Result<()> {
        self.queue
            .wait_until_written()
            .context("what was asked for is done, but not all that it tells went to stdout")
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
        if let Writing::Thread(thread) = &mut self.writing
            && let Some(thread) = thread.take()
        {
            // It only writes: how it ended is nobody's loss.
            let _ = thread.join();
        }
    }
}

/// What writes.
struct Writer {
    stdout: Box<dyn Write + Send>,
    stderr: Box<dyn Write + Send>,
    display: Option<ProgressDisplay>,
}

/// However the thread ends, nobody goes on waiting for it.
struct ClosesQueue<'a>(&'a Queue);

impl Drop for ClosesQueue<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Writer {
    fn run(mut self, queue: &Queue) {
        let _closes = ClosesQueue(queue);
        loop {
            self.show_progress();
            match queue.next() {
                Next::Line(line) => {
                    let outcome = self.write(&line);
                    queue.written(&line, outcome);
                }
                Next::Idle => {}
                Next::End => break,
            }
        }
        if let Some(display) = &mut self.display {
            display.clear();
        }
    }

    fn show_progress(&mut self) {
        if let Some(line) = self.display.as_mut().and_then(ProgressDisplay::refresh) {
            // Nobody who went away wants to know how far the work is.
            let _ = write_whole(&mut self.stderr, &line);
        }
    }

    /// Writes what waits, at once, without progress.
    fn write_waiting(&mut self, queue: &Queue) {
        while let Some(line) = queue.waiting() {
            let outcome = self.write(&line);
            queue.written(&line, outcome);
        }
    }

    /// Only of stdout, which has the results, are errors told. After one nothing goes there, lest
    /// there be a hole in the middle.
    fn write(&mut self, line: &Line) -> io::Result<()> {
        let Self { stdout, stderr, display } = self;
        let stream = if line.stream == Stream::Stdout { &mut *stdout } else { stderr };
        let mut write = || write_whole(stream, &line.text);
        let outcome = match display {
            Some(display) => display.above(write),
            None => write(),
        };
        let Err(error) = outcome else { return Ok(()) };
        if line.stream == Stream::Stderr {
            return Ok(());
        }
        *stdout = Box::new(io::sink());
        // A reader that went away has what it wanted.
        if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
    }
}

fn write_whole(stream: &mut dyn Write, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read as _};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn pipe_writer() -> (Writer, PipeReader) {
        let (reader, stdout) = io::pipe().unwrap();
        let stderr = Box::new(stdout.try_clone().unwrap());
        (Writer { stdout: Box::new(stdout), stderr, display: None }, reader)
    }

    fn over_pipe() -> (Console, PipeReader) {
        let (writer, reader) = pipe_writer();
        (Console::over("tool", writer, Arc::default()), reader)
    }

    /// Tells of progress in lines, as often as it can.
    fn telling_over_pipe() -> (Console, PipeReader) {
        let ((writer, reader), counts) = (pipe_writer(), Arc::<Counts>::default());
        let display = ProgressDisplay::in_lines(Duration::ZERO, "tool", Arc::clone(&counts));
        (Console::over("tool", Writer { display: Some(display), ..writer }, counts), reader)
    }

    fn text_of(mut reader: PipeReader) -> String {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    }

    /// More than may be unwritten.
    fn print_much(console: &Console) {
        (0..64).for_each(|_| console.print("x".repeat(1 << 16)));
    }

    /// Fails at the second line, and would take the third.
    #[derive(Clone, Default)]
    struct FullDisk(Arc<Mutex<(usize, String)>>);

    impl Write for FullDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut state = self.0.lock().unwrap();
            state.0 += 1;
            if state.0 == 2 {
                return Err(ErrorKind::StorageFull.into());
            }
            state.1.push_str(std::str::from_utf8(bytes).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Panics;

    impl Write for Panics {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            panic!("a defect in what writes");
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_said_and_printed_comes_in_order_and_whole() {
        let (console, reader) = over_pipe();
        console.say("one");
        console.print("two\n".to_owned());
        console.print_json(&3);
        drop(console);
        assert_eq!(text_of(reader), "tool: one\ntwo\n3\n");
    }

    #[test]
    fn without_a_thread_whoever_prints_writes() {
        let (writer, reader) = pipe_writer();
        let writing = Writing::Caller(Mutex::new(writer));
        let (queue, counts) = (Arc::default(), Arc::default());
        let console = Console { tool: "tool", queue, counts, writing };
        console.say("one");
        console.print("two\n".to_owned());
        console.finish().unwrap();
        drop(console);
        assert_eq!(text_of(reader), "tool: one\ntwo\n");
    }

    /// Found as a deadlock, twice: one worker's output was stuck in a full pipe, and another one
    /// that held a user's locks, or was just getting them, waited for it to say something.
    #[test]
    fn who_holds_a_lock_never_waits_for_who_reads() {
        let (console, mut reader) = over_pipe();
        let console = Arc::new(console);
        let printing = Arc::clone(&console);
        let stuck = std::thread::spawn(move || {
            print_much(&printing);
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
    fn a_reader_that_went_away_stops_nobody_and_is_no_error() {
        let (console, reader) = over_pipe();
        drop(reader);
        print_much(&console);
        console.finish().unwrap();
    }

    #[test]
    fn progress_is_told_where_everything_else_is_said() {
        let (console, reader) = telling_over_pipe();
        console.expect(3, 100);
        console.print("result\n".to_owned());
        console.finish().unwrap();
        drop(console);
        let text = text_of(reader);
        assert!(text.contains(" tool: 0/3 mailboxes, 0/100 messages"), "{text}");
    }

    /// Telling of progress to a stderr that nobody reads any more once ended the thread that writes,
    /// and then everybody waited for it.
    #[test]
    fn progress_that_nobody_reads_any_more_stops_nobody() {
        let (console, reader) = telling_over_pipe();
        drop(reader);
        console.expect(3, 100);
        print_much(&console);
        console.finish().unwrap();
    }

    #[test]
    fn nobody_waits_for_a_thread_that_writes_no_more() {
        let (writer, _reader) = pipe_writer();
        let writer = Writer { stdout: Box::new(Panics), ..writer };
        let console = Console::over("tool", writer, Arc::default());
        print_much(&console);
        assert!(console.finish().is_err());
    }

    /// Once a full disk cut the JSON, and the command ended with success.
    #[test]
    fn a_stdout_that_takes_no_more_is_an_error_and_gets_nothing_after_it() {
        let (disk, (writer, _reader)) = (FullDisk::default(), pipe_writer());
        let writer = Writer { stdout: Box::new(disk.clone()), ..writer };
        let console = Console::over("tool", writer, Arc::default());
        (1..=3).for_each(|number| console.print_json(&number));
        let error = console.finish().unwrap_err().downcast::<io::Error>().unwrap();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert_eq!(disk.0.lock().unwrap().1, "1\n");
    }
}
