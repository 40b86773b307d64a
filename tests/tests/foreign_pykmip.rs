//! The PyKMIP client against a region of a demo: every operation, at each version from 1.0 to 1.4, over TLS 1.2 and 1.3.

#[path = "support/foreign.rs"]
#[cfg(test)]
mod support;

#[cfg(test)]
mod tests {
    use super::support::{Demo, Ran, bounded, script, venv};

    #[test]
    fn pykmip_conforms_at_each_version_and_over_both_tls() {
        let Some(venv) = venv("PyKMIP") else { return };
        let demo = Demo::start();
        for (region, tls) in [(0, None), (1, Some("--newest-tls"))] {
            let mut python = bounded(&venv.join("bin/python"));
            python.arg(script("pykmip_smoke.py")).args(tls);
            demo.client(region, "acme").arguments(&mut python);
            let ran = Ran::of(&python.output().unwrap()).ends_with(0);
            for version in ["1.0", "1.1", "1.2", "1.3", "1.4"] {
                assert!(ran.stdout.contains(&format!("pykmip {version}: TLS: TLSv1.{}", 2 + region)), "{}", ran.said());
            }
            let done = ran.stdout.lines().filter(|line| line.contains(" right, "));
            let done: Vec<&str> = done.collect();
            assert_eq!(done.len(), 5, "{}", ran.said());
            println!("{}", done.join("\n"));
        }
    }
}
