//! This same binary as another process, which answers questions by lines: so that CPU time is one side's alone.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{ChildStdin, ChildStdout, Command, Stdio},
};

use rustix::{
    thread::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
};

use super::Res;

/// A process, as a rule of this binary in another role. Ends when it is dropped.
pub struct Child {
    process: std::process::Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Child {
    /// Starts the role and waits for its first line. What it logs goes to `log`.
    pub fn start(role: &str, options: &[(&str, String)], log: &Path) -> Res<(Self, String)> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--role", role]);
        Self::run(command, options, log)
    }

    /// Starts a program that answers as a role does: a line to each of its lines, and `cpu` as [`answer`] says it.
    pub fn run(mut command: Command, options: &[(&str, String)], log: &Path) -> Res<(Self, String)> {
        for (name, value) in options {
            command.arg(format!("--{name}")).arg(value);
        }
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(log)?).spawn()?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (input, output) = input.zip(output).ok_or("a child without pipes")?;
        let mut child = Self { process, input, output: BufReader::new(output) };
        let first = child.line().map_err(|why| {
            let log = std::fs::read_to_string(log).unwrap_or_default();
            format!("{command:?} did not start: {why}\n{log}")
        })?;
        Ok((child, first))
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// One line to it, one line from it.
    pub fn ask(&mut self, line: &str) -> Res<String> {
        writeln!(self.input, "{line}")?;
        self.line()
    }

    /// CPU time of the process so far, nanoseconds.
    pub fn cpu_ns(&mut self) -> Res<u64> {
        Ok(self.ask("cpu")?.parse()?)
    }

    fn line(&mut self) -> Res<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err("the process has ended".into());
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // One that has ended by itself needs neither.
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

/// The child's side: answers until its parent is gone.
pub fn answer(mut to: impl FnMut(&str) -> String) -> Res<()> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let answer = if line == "cpu" { cpu_ns().to_string() } else { to(&line) };
        say(&answer)?;
    }
    Ok(())
}

/// One line to the parent.
pub fn say(line: &str) -> Res<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// CPU time of this process so far, all threads, nanoseconds.
pub fn cpu_ns() -> u64 {
    let at = clock_gettime(ClockId::ProcessCPUTime);
    let part = |n: i64| u64::try_from(n).unwrap_or(0);
    part(at.tv_sec) * 1_000_000_000 + part(at.tv_nsec)
}

/// Keeps this thread, and every thread that it starts from now on, on one core. A machine that has no such core keeps it nowhere.
pub fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    if core < std::thread::available_parallelism().map_or(1, usize::from) {
        let _allowed = sched_setaffinity(None, &set);
    }
}
