//! BENCH.md: each bench rewrites its own section between its markers, with the command that reproduces it and the state of the machine.

use std::{fs, path::Path};

use super::Res;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../BENCH.md");

const HEAD: &str = "# Measurements\n\n\
`make bench` prints these tables and rewrites them here; `cargo bench --locked -p chaos --bench NAME` does one of them.\n\
Every figure is from one run on the machine that its section names. What compares is the ratio within a run: absolute times are\n\
that machine's, on loopback, with whatever else it was doing. Nothing here is asserted by a test.\n";

/// Prints a section and puts it into BENCH.md. `text` is Markdown.
pub fn publish(bench: &str, title: &str, text: &str) -> Res<()> {
    let machine = machine();
    let section =
        format!("## {title}\n\n`cargo bench --locked -p chaos --bench {bench}` · {machine}\n\n{}\n", text.trim_end());
    println!("\n{section}");
    let (begin, end) = (format!("<!-- begin {bench} -->\n"), format!("<!-- end {bench} -->\n"));
    let block = format!("{begin}{section}{end}");
    let file = Path::new(FILE);
    let before = if file.exists() { fs::read_to_string(file)? } else { HEAD.to_owned() };
    let after = match before.split_once(&begin).and_then(|(head, rest)| Some((head, rest.split_once(&end)?.1))) {
        Some((head, tail)) => format!("{head}{block}{tail}"),
        None => format!("{}\n\n{block}", before.trim_end()),
    };
    Ok(fs::write(file, after)?)
}

/// Cores, processor, kernel and load average.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    // Not what this process may use: a bench that pins itself has one.
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let model = model.trim_start_matches([' ', '\t', ':']);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    // The 19th field of proc_pid_stat(5), counted behind the name, which is the second and may hold spaces.
    let stat = read("/proc/self/stat");
    let nice = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(16)).unwrap_or("0");
    let nice = if nice == "0" { String::new() } else { format!(", run with `nice -n {nice}`") };
    format!("{cores} cores of {model}, Linux {}, load average at the end {load}{nice}", kernel.trim())
}
