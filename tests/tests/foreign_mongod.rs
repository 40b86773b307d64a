//! Genuine pymongo with a genuine mongod as its key vault, against a demo: client-side field encryption works until something stops it,
//! and what each driver sees then. The drivers' table of `docs/mongodb.md`.

#[path = "support/foreign.rs"]
#[cfg(test)]
mod support;

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        path::Path,
        process::{Child, ChildStdin, Stdio},
        sync::mpsc::Receiver,
    };

    use super::support::{Client, Demo, bounded_by, reading, script, until, venv};

    /// Of the script, and of the mongod that it starts: longer than either test takes.
    const SESSION_TIMEOUT_S: u32 = 240;
    /// How the script ends where there is no mongod.
    const SKIPPED: i32 = 77;
    /// `local` and `delegated`, each with a provider without a name and with one that has a name.
    const FLOWS: [&str; 4] = ["local", "delegated", "local-named", "delegated-named"];
    /// What a driver does that has to ask the region.
    const ASKING: [&str; 3] = ["make", "open", "expired"];
    const RIGHT: &str = "10 right, 0 skipped";

    /// Drivers that did their work in each flow and do more when they are told to, and their mongod. All end with this value.
    struct Drivers {
        process: Child,
        orders: Option<ChildStdin>,
        answers: Receiver<String>,
    }

    impl Drivers {
        /// `None` where there is no mongod.
        fn start(venv: &Path, client: &Client) -> Option<Self> {
            let mut python = bounded_by(SESSION_TIMEOUT_S, &venv.join("bin/python"));
            python.arg(script("mongod.py")).arg("--obey").stdin(Stdio::piped()).stdout(Stdio::piped());
            client.arguments(&mut python);
            let mut process = python.spawn().unwrap();
            let (orders, answers) = (process.stdin.take(), reading(process.stdout.take().unwrap()));
            let mut drivers = Self { process, orders, answers };
            let said: Vec<String> = drivers.answers.iter().take_while(|line| line != "ready").collect();
            if said.len() == 1 && drivers.process.wait().unwrap().code() == Some(SKIPPED) {
                println!("{}", said[0]);
                return None;
            }
            for flow in FLOWS {
                let right = format!("pymongo {flow}: {RIGHT}");
                assert!(said.contains(&right), "no `{right}` in: {}", said.join("\n"));
            }
            Some(drivers)
        }

        /// What a driver says to this: `ok`, or its error.
        #[track_caller]
        fn told(&mut self, word: &str, flow: &str) -> String {
            writeln!(self.orders.as_mut().unwrap(), "{word} {flow}").unwrap();
            self.answers.recv().expect("each order is answered")
        }

        /// Whoever has to ask is refused with these words, and whoever has its data key in its cache goes on.
        #[track_caller]
        fn fail(&mut self, why: &str) {
            for (word, flow) in each() {
                let said = self.told(word, flow);
                assert!(said.starts_with("EncryptionError") && said.contains(why), "{word} {flow}: {said}");
            }
            for flow in FLOWS {
                assert_eq!(self.told("cached", flow), "ok", "{flow}");
            }
        }

        #[track_caller]
        fn go_on(&mut self) {
            for (word, flow) in each().chain(FLOWS.map(|flow| ("cached", flow))) {
                assert_eq!(self.told(word, flow), "ok", "{word} {flow}");
            }
        }

        /// Until a driver that starts now is told this.
        #[track_caller]
        fn until(&mut self, why: &str) {
            until("a driver sees it", || self.told("open", "local"), |said| said.contains(why));
        }
    }

    impl Drop for Drivers {
        fn drop(&mut self) {
            // The end of its orders is its end; it takes its mongod along.
            self.orders = None;
            let _reaped = self.process.wait();
        }
    }

    fn each() -> impl Iterator<Item = (&'static str, &'static str)> {
        ASKING.iter().flat_map(|word| FLOWS.map(|flow| (*word, flow)))
    }

    #[test]
    fn pymongo_conforms_until_its_tenant_is_revoked() {
        let Some(venv) = venv("pymongo") else { return };
        let demo = Demo::start();
        let Some(mut drivers) = Drivers::start(&venv, &demo.client(0, "acme")) else { return };
        drivers.go_on();
        demo.revoke("acme");
        drivers.fail("Item Not Found");
        Drivers::start(&venv, &demo.client(0, "globex")).unwrap().go_on();
    }

    #[test]
    fn drivers_with_a_mongod_learn_what_stops_them() {
        let Some(venv) = venv("pymongo") else { return };
        let mut demo = Demo::start();
        let Some(mut drivers) = Drivers::start(&venv, &demo.client(0, "acme")) else { return };

        demo.json("alice", &["soft-l1", "disable", "--tenant", "acme"]).ends_with(0);
        drivers.until("Permission Denied");
        drivers.fail("Permission Denied");
        demo.json("alice", &["soft-l1", "enable", "--tenant", "acme"]).ends_with(0);
        drivers.until("ok");
        drivers.go_on();

        demo.kill("l1-acme");
        drivers.go_on();
        demo.kill("fra-1");
        drivers.fail("Connection refused");
        demo.run("fra-1");
        drivers.until("General Failure");
        drivers.fail("General Failure");
    }
}
