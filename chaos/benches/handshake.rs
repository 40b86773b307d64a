//! What a new connection costs: TCP, a full mutual TLS 1.3 handshake, one Get, and the end of it; and the same with a resumed session.
//!
//! Beside it the bare echo does the same: it shakes hands, answers as many bytes, and ends the connection as TLS has it. The client says
//! of each handshake whether it was full or resumed; one of the wrong kind ends the bench.

mod common;

use std::{sync::Arc, time::Duration};

use common::{
    Args, Res,
    ask::Ask,
    child::{self, Child},
    load::{self, Question},
    paper,
    rounds::{Round, Row, head},
    servers::{self, Bench, LOAD_CORE, Measured, SERVER_CORE, Started},
    stats::Aim,
};
use node::telemetry;
use rustls::{ClientConfig, client::Resumption};

const ROUNDS: usize = 10;
const WINDOW: Duration = Duration::from_millis(500);
const WARM_UP: Duration = Duration::from_millis(200);
/// Clients that come at once, each again as soon as it is gone.
const CLIENTS: [usize; 2] = [1, 8];
const SLOTS: usize = 4096;
const FULL_AIM: Aim = Aim::AtMost(1.4);

fn main() -> Res<()> {
    let args = Args::read();
    telemetry::start_tls()?;
    match args.get("role") {
        Some("region") => Started::serve(&args, SLOTS).and_then(|_region| child::answer(|_| String::new())),
        Some("echo") => servers::serve_echo(&args),
        _ => bench(&args),
    }
}

/// A server, and the clients that come to it with sessions of their own.
struct Door<'a> {
    server: &'a mut Child,
    port: u16,
    question: Question,
    full: Vec<Arc<ClientConfig>>,
    resumed: Vec<Arc<ClientConfig>>,
}

impl Door<'_> {
    fn window(&mut self, bench: &Bench, resumed: bool, duration: Duration) -> Res<Measured> {
        let clients = if resumed { &self.resumed } else { &self.full };
        for client in clients.iter().filter(|_| resumed) {
            // The full handshakes since the last window have put its session out of the server's cache.
            bench.runtime.block_on(load::visit(self.port, client, &self.question))?;
        }
        bench.measured(self.server, load::visits(clients, self.port, &self.question, resumed, duration))
    }
}

fn bench(args: &Args) -> Res<()> {
    let rounds = args.number("rounds", ROUNDS)?;
    let bench = Bench::start()?;
    let mut region = bench.region("region", &[])?;
    let key = region.keys.first().ok_or("a region without a key")?;
    let asked = Question::of(region.port, &bench.tls, Ask::Get.operation(), vec![Ask::Get.frame(key)]);
    let question = bench.runtime.block_on(asked)?;
    let (mut echo, ports) = bench.echo([question.answer_bytes])?;
    let echo_port = ports.first().copied().ok_or("the echo said no port")?;
    let mut lines = Vec::new();
    for clients in CLIENTS {
        let door = |server, port, question: Question| {
            let (full, resumed) = (configs(&bench, clients, false)?, configs(&bench, clients, true)?);
            Res::Ok(Door { server, port, question, full, resumed })
        };
        let mut at_echo = door(&mut echo, echo_port, question.of_echo())?;
        let mut at_region = door(&mut region.child, region.port, question.clone())?;
        for resumed in [false, true] {
            at_echo.window(&bench, resumed, WARM_UP)?;
            at_region.window(&bench, resumed, WARM_UP)?;
        }
        let (mut full, mut resumed) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            for (found, again) in [(&mut full, false), (&mut resumed, true)] {
                let other = at_echo.window(&bench, again, WINDOW)?;
                found.push(Round { other, region: at_region.window(&bench, again, WINDOW)? });
            }
        }
        for (operation, cpu, found) in
            [("full handshake, Get, close", FULL_AIM, full), ("resumed session, Get, close", Aim::None, resumed)]
        {
            lines.push(Row { operation, connections: clients, cpu, throughput: Aim::None }.line(&found));
            println!("{}", lines.last().map_or("", String::as_str));
        }
    }
    publish(&lines, rounds)
}

/// As many clients, with sessions to resume or without.
fn configs(bench: &Bench, count: usize, resumed: bool) -> Res<Vec<Arc<ClientConfig>>> {
    let one = |_| {
        let mut config = ClientConfig::clone(&*bench.pki.client()?);
        if !resumed {
            config.resumption = Resumption::disabled();
        }
        Ok(Arc::new(config))
    };
    (0..count).map(one).collect()
}

fn publish(lines: &[String], rounds: usize) -> Res<()> {
    let text = format!(
        "A client connects over TCP, shakes hands over mutual TLS 1.3 (X25519MLKEM768, ECDSA P-256 certificates on both sides), asks once, says that it\n\
         ends, and waits for the server's end; then it comes again. CPU is the server process's for each such connection. The echo is tokio-rustls alone:\n\
         the same certificates, an answer of as many bytes, a TLS close. A resumed session is one of TLS 1.3 by a ticket of the connection before, with a key exchange\n\
         of its own; the client verified of each handshake that it was full or resumed. Server on core {SERVER_CORE}, load on core {LOAD_CORE}, which never sleeps and needs about as long for\n\
         a handshake as the server. {rounds} rounds of alternating windows of {} ms; ratios are of the two windows of one round: median (lowest-highest).\n\n\
         {}\n{}",
        WINDOW.as_millis(),
        head("echo", "connections"),
        lines.join("\n")
    );
    paper::publish("handshake", "A new connection", &text)
}
