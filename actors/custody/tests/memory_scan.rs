//! No copy of a key stays behind: after each use the process's own memory is searched for the key's bytes.
//!
//! The one place that may hold them is the slab (with `memfd_secret` not even that can be read this way). The search reads
//! `/proc/self/mem`, so it runs where the process may read its own memory.

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        os::unix::fs::FileExt,
        sync::atomic::{AtomicU8, Ordering},
    };

    use custody::{
        Error,
        aead::{Aead, AwsLc, Portable},
        object::{ObjectMeta, State, digest_of},
        vault::{Expose, Secret, Slab, Wanted},
    };

    const LOOK: Expose = Expose::because("a test uses a key");

    /// The key is never written down whole: what is searched for is compared byte by byte with a masked copy.
    struct Needle {
        masked: [u8; 32],
    }

    static MASK: AtomicU8 = AtomicU8::new(0xa5);

    impl Needle {
        fn plant(secret: &Secret) -> Self {
            let mask = MASK.load(Ordering::SeqCst);
            let mut masked = [0; 32];
            masked.iter_mut().zip(secret.expose(LOOK)).for_each(|(to, from)| *to = from ^ mask);
            Self { masked }
        }

        fn count(&self) -> usize {
            let mask = MASK.load(Ordering::SeqCst);
            let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux");
            let memory = File::open("/proc/self/mem").expect("this process may read itself");
            let mut found = 0;
            for line in maps.lines().filter(|line| line.contains(" rw") && !line.contains("secretmem")) {
                let (range, _) = line.split_once(' ').expect("a range");
                let (from, to) = range.split_once('-').expect("two ends");
                let (from, to) =
                    (u64::from_str_radix(from, 16).expect("hex"), u64::from_str_radix(to, 16).expect("hex"));
                let mut chunk = vec![0; 1 << 16];
                let mut at = from;
                while at < to {
                    let length = usize::try_from((to - at).min(1 << 16)).expect("small");
                    if memory.read_exact_at(&mut chunk[..length], at).is_ok() {
                        // The buffer itself lies in memory and may be met while it holds another's page: wiped before it counts twice.
                        found += chunk[..length]
                            .windows(32)
                            .filter(|window| window.iter().zip(&self.masked).all(|(a, b)| *a == b ^ mask))
                            .count();
                    }
                    at += 1 << 16;
                }
                chunk.fill(0);
            }
            found
        }
    }

    fn uses(provider: &dyn Aead) {
        let slab = Slab::open(64, Wanted::Best).expect("64 slots");
        if slab.usage().mode != custody::vault::Mode::SecretMemory {
            eprintln!("skipped: without secret memory the slab itself is found");
            return;
        }
        let key = slab.random(32).expect("a key");
        let needle = Needle::plant(&key);
        let (mut sealed, mut out) = (vec![0; 1000], vec![0; 1000]);
        let tag = provider.seal(key.expose(LOOK), &[9; 12], b"aad", &[1; 1000], &mut sealed).expect("sealed");
        provider.open(key.expose(LOOK), &[9; 12], b"aad", &sealed, &tag, &mut out).expect("opened");
        assert_eq!(needle.count(), 0, "{} leaves the key behind", provider.name());
    }

    #[test]
    fn the_search_finds_a_key_that_was_left() {
        let slab = Slab::open(64, Wanted::Best).expect("64 slots");
        let key = slab.random(32).expect("a key");
        let needle = Needle::plant(&key);
        let left = key.expose(LOOK).to_vec();
        assert!(needle.count() >= 1, "the search is blind");
        drop(std::hint::black_box(left));
    }

    #[test]
    fn a_digest_leaves_no_key_behind() {
        let slab = Slab::open(64, Wanted::Best).expect("64 slots");
        if slab.usage().mode != custody::vault::Mode::SecretMemory {
            eprintln!("skipped: without secret memory the slab itself is found");
            return;
        }
        let key = slab.random(32).expect("a key");
        let needle = Needle::plant(&key);
        let raw = ObjectMeta::new(2, State::Active, true);
        let transparent = ObjectMeta { key_format: Some(7), ..raw.clone() };
        for meta in [raw, transparent] {
            assert!(digest_of(&meta, key.expose(LOOK)).is_some());
        }
        assert_eq!(needle.count(), 0, "the digest leaves the key behind");
    }

    #[test]
    fn aws_lc_leaves_no_key_behind() {
        uses(&AwsLc);
    }

    #[test]
    fn the_portable_cipher_leaves_no_key_behind() {
        uses(&Portable);
    }

    #[test]
    fn a_dropped_secret_is_gone_from_locked_pages_too() {
        let slab = Slab::open(64, Wanted::LockedOnly).expect("64 slots");
        let key = slab.random(32).expect("a key");
        let needle = Needle::plant(&key);
        assert_eq!(needle.count(), 1, "the slab holds it once");
        drop(key);
        assert_eq!(needle.count(), 0);
        let failed: Result<Secret, Error> = slab.fill(32, |_| Err(Error::Seal));
        assert!(failed.is_err());
    }
}
