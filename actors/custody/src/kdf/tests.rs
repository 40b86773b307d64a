//! Known answers of NIST, of RFC 6070 and of another implementation; and what a stop does to a derivation.

use std::sync::Arc;

use orbital::names::{Digest, System, TenantId};

use super::*;
use crate::{
    aead::{Chaining, Padding},
    clock::hand::HandClock,
    key_table::{Entry, KeyTable, LEASE_UNLIMITED, Opening, Purpose, Stop, Stops},
    names::{Epoch, Generation, KeyId, ObjectId},
    object::{ObjectMeta, State},
    vault::{Slab, Wanted},
};

const TENANT: TenantId = TenantId(Digest([1; 32]));
const LOOK: Expose = Expose::because("a test looks");

/// A table with one key.
struct Rig {
    table: KeyTable,
    key: KeyId,
    system: System,
}

impl Rig {
    fn new(key: &[u8]) -> Self {
        let table = KeyTable::new(Arc::new(HandClock::default()));
        let (stops, epoch, generation) = (Stops(0), Epoch(1), Generation(1));
        assert!(table.open(TENANT, Opening { stops, epoch, generation, lease_until_ms: LEASE_UNLIMITED }));
        let slab = Slab::open(1024, Wanted::Best).unwrap();
        let secret = slab.fill(key.len(), |slot| {
            slot.copy_from_slice(key);
            Ok::<(), Error>(())
        });
        let rig =
            Self { table, key: KeyId::Object(ObjectId::from_random([5; 16])), system: System::new("orders").unwrap() };
        let meta = Some(Arc::new(ObjectMeta::new(2, State::Active, true)));
        let (key, system) = (rig.key.clone(), Some(rig.system.clone()));
        rig.table
            .insert(&TENANT, Entry { key, secret: secret.unwrap(), system, meta, revision: 1 }, generation)
            .unwrap();
        rig
    }

    fn borrow(&self) -> Result<Borrow, Unborrowed> {
        self.table.borrow(&TENANT, &self.key, Some(&self.system), Purpose::Protect)
    }

    fn derive(&self, kdf: Kdf<'_>, bytes: usize) -> Result<String, Error> {
        let borrow = self.borrow().unwrap();
        let derived = borrow.derive(kdf, bytes)?;
        Ok(hex_of(borrow.finish(derived).unwrap().expose(LOOK)))
    }

    /// The derived bytes, and in how many steps.
    fn pbkdf2(&self, hmac: Hmac, salt: &[u8], iterations: u32, bytes: usize) -> (String, usize) {
        let mut work = Pbkdf2::new(hmac, salt, iterations, bytes).unwrap();
        let mut steps = 1;
        while !self.step(&mut work).unwrap() {
            steps += 1;
        }
        (hex_of(work.finish().unwrap().expose(LOOK)), steps)
    }

    fn step(&self, work: &mut Pbkdf2) -> Result<bool, Error> {
        let borrow = self.borrow().map_err(|why| match why {
            Unborrowed::Refused(refused) => Error::Refused(refused),
            Unborrowed::Miss => Error::Unavailable,
        })?;
        let done = work.step(&borrow)?;
        borrow.finish(done).map_err(Error::Refused)
    }
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// NIST CAVP, KDF in Counter Mode, HMAC-SHA-256, counter of 32 bits before the fixed data: counts 0 and 30.
#[test]
fn counter_mode_is_nist_s() {
    let rig = Rig::new(&hex("dd1d91b7d90b2bd3138533ce92b272fbf8a369316aefe242e659cc0ae238afe0"));
    let fixed = hex(
        "01322b96b30acd197979444e468e1c5c6859bf1b1cf951b7e725303e237e46b864a145fab25e517b08f8683d0315bb2911d80a0e8aba17f3b413faac",
    );
    let counter = Kdf::Counter { hmac: Hmac::Sha256, fixed: &fixed };
    assert_eq!(rig.derive(counter, 16).unwrap(), "10621342bfb0fd40046c0e29f2cfdbf0");
    let rig = Rig::new(&hex("c4bedbddb66493e7c7259a3bbbc25f8c7e0ca7fe284d92d431d9cd99a0d214ac"));
    let fixed = hex(
        "1c69c54766791e315c2cc5c47ecd3ffab87d0d273dd920e70955814c220eacace6a5946542da3dfe24ff626b4897898cafb7db83bdff3c14fa46fd4b",
    );
    let counter = Kdf::Counter { hmac: Hmac::Sha256, fixed: &fixed };
    assert_eq!(
        rig.derive(counter, 40).unwrap(),
        "1da47638d6c9c4d04d74d4640bbd42ab814d9e8cc22f4326695239f96b0693f12d0dd1152cf44430"
    );
}

/// NIST CAVP, KDF in Feedback Mode, HMAC-SHA-256, counter of 32 bits after the iteration variable: count 0.
#[test]
fn feedback_mode_is_nist_s() {
    let rig = Rig::new(&hex("93f698e842eed75394d629d957e2e89c6e741f810b623c8b901e38376d068e7b"));
    let iv = hex("9f575d9059d3e0c0803f08112f8a806de3c3471912cdf42b095388b14b33508e");
    let fixed =
        hex("53b89c18690e2057a1d167822e636de50be0018532c431f7f5e37f77139220d5e042599ebe266af5767ee18cd2c5c19a1f0f80");
    let feedback = Kdf::Feedback { hmac: Hmac::Sha256, iv: &iv, fixed: &fixed };
    assert_eq!(
        rig.derive(feedback, 64).unwrap(),
        "bd1476f43a4e315747cf5918e0ea5bc0d98769457477c3ab18b742def0e079a9\
         33b756365afb5541f253fee43c6fd788a44041038509e9eeb68f7d65ffbb5f95"
    );
}

/// Python's `hmac`, by the formula of SP 800-108 §4.3.
#[test]
fn double_pipeline_mode_is_another_s() {
    let rig = Rig::new(&hex("dd1d91b7d90b2bd3138533ce92b272fbf8a369316aefe242e659cc0ae238afe0"));
    let fixed = hex(
        "01322b96b30acd197979444e468e1c5c6859bf1b1cf951b7e725303e237e46b864a145fab25e517b08f8683d0315bb2911d80a0e8aba17f3b413faac",
    );
    assert_eq!(
        rig.derive(Kdf::DoublePipeline { hmac: Hmac::Sha256, fixed: &fixed }, 40).unwrap(),
        "cdc81673f2929486ec4ac3f718bfd34a76980ef7b1f11543c9869ccabdad2a72f849ab5d78293249"
    );
}

/// RFC 6070, and Python's `hashlib.pbkdf2_hmac` where more than one step is needed.
#[test]
fn pbkdf2_is_that_of_the_rfc_in_however_many_steps() {
    let password = Rig::new(b"password");
    for (iterations, expected, steps) in [
        (1, "0c60c80f961f0e71f3a9b524af6012062fe037a6", 1),
        (2, "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957", 1),
        (4096, "4b007901b765489abead49d926f721d065a429c1", 5),
    ] {
        assert_eq!(password.pbkdf2(Hmac::Sha1, b"salt", iterations, 20), (expected.to_owned(), steps));
    }
    let longer = Rig::new(b"passwordPASSWORDpassword");
    let derived = longer.pbkdf2(Hmac::Sha1, b"saltSALTsaltSALTsaltSALTsaltSALTsalt", 4096, 25);
    assert_eq!(derived, ("3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038".to_owned(), 10));
    let zero = Rig::new(b"pass\0word");
    assert_eq!(zero.pbkdf2(Hmac::Sha1, b"sa\0lt", 4096, 16).0, "56fa6aa75548099dcc37d7f03425e0c3");
    let key = Rig::new(&[0x11; 32]);
    let (derived, steps) = key.pbkdf2(Hmac::Sha256, b"salt", 3_001, 40);
    assert_eq!(derived, "b154f3cdcac85836de72c8cb0797219b0f2d5f7d0d5e0e3fa07f4a1cb6141f4fc2ccfd0a4b06d172");
    assert_eq!(steps, 8);
    let (derived, _) = longer.pbkdf2(Hmac::Sha512, b"salt", 2_500, 200);
    assert!(derived.starts_with("37a0064c55e1aa8d475e0a5fb00a8e1c") && derived.ends_with("dc036e849bd91771eaa"));
}

#[test]
fn hash_hmac_and_encryption_give_no_more_than_they_have() {
    let key: Vec<u8> = (0..32).collect();
    let rig = Rig::new(&key);
    let digest = "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd";
    assert_eq!(rig.derive(Kdf::Hash(Hmac::Sha256), 32).unwrap(), digest);
    let short = rig.derive(Kdf::Hash(Hmac::Sha256), 5).unwrap();
    assert!(short.len() == 10 && digest.starts_with(&short));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA384, &key), b"data");
    assert_eq!(rig.derive(Kdf::Hmac(Hmac::Sha384, b"data"), 48).unwrap(), hex_of(tag.as_ref()));
    let block = Block { chaining: Chaining::Cbc, padding: Padding::Pkcs5 };
    let encrypt = Kdf::Encrypt { block, iv: Some(&[7; 16]), data: &[1; 16] };
    let mut whole = [0; 32];
    block.encrypt(&key, Some(&[7; 16]), &[1; 16], &mut whole).unwrap();
    let whole = hex_of(&whole);
    assert_eq!(rig.derive(encrypt, 32).unwrap(), whole);
    assert_eq!(rig.derive(Kdf::Copy, 1).unwrap(), hex_of(&key));
    for (kdf, bytes) in [(Kdf::Hash(Hmac::Sha256), 33), (Kdf::Hmac(Hmac::Sha1, b""), 21), (encrypt, 33)] {
        assert!(matches!(rig.derive(kdf, bytes), Err(Error::Cipher { .. })), "{kdf:?}");
    }
}

#[test]
fn what_would_take_too_long_does_not_begin() {
    let refused =
        |salt: usize, iterations, bytes| Pbkdf2::new(Hmac::Sha256, &vec![0; salt], iterations, bytes).is_err();
    assert!(!refused(SALT_BYTES_MAX, 10_000_000, 32));
    assert!(refused(SALT_BYTES_MAX + 1, 1, 32));
    assert!(refused(0, 10_000_001, 32));
    assert!(refused(0, 5_000_001, 33), "two blocks take twice as long");
    assert!(refused(0, u32::MAX, usize::MAX));
    assert!(refused(0, 0, 32) && refused(0, 1, 0));
}

#[test]
fn a_stop_waits_for_one_step_and_ends_the_derivation() {
    let rig = Rig::new(b"password");
    let mut work = Pbkdf2::new(Hmac::Sha256, b"salt", 1_000_000, 32).unwrap();
    assert!(!rig.step(&mut work).unwrap());
    assert_eq!(work.done, STEP_ITERATIONS);
    rig.table.kill(&TENANT, Stop::Killed).unwrap();
    assert!(matches!(rig.step(&mut work), Err(Error::Refused(refused)) if refused.why == Stop::Killed));
}
