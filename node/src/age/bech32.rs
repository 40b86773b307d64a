//! Bech32 (BIP 173) without its limit of 90 characters, as age writes keys: a prefix, a `1`, five bits a character, six characters of checksum.

const CHARACTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const CHECKSUM: usize = 6;

fn polymod(values: impl Iterator<Item = u8>) -> u32 {
    const GENERATORS: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    values.fold(1, |sum: u32, value| {
        let top = sum >> 25;
        let shifted = ((sum & 0x01ff_ffff) << 5) ^ u32::from(value);
        let bits = GENERATORS.iter().enumerate().filter(|(bit, _)| (top >> bit) & 1 == 1);
        bits.fold(shifted, |sum, (_, generator)| sum ^ generator)
    })
}

fn expanded(prefix: &str) -> impl Iterator<Item = u8> {
    prefix.bytes().map(|b| b >> 5).chain([0]).chain(prefix.bytes().map(|b| b & 31))
}

/// Regroups bits; what is left over is padded with zeros, or must be such padding.
fn regrouped(values: &[u8], from: u32, to: u32, pad: bool) -> Option<Vec<u8>> {
    let (mut held, mut bits, mut out) = (0_u32, 0, Vec::new());
    let mask = (1_u32 << to) - 1;
    for value in values {
        held = ((held << from) | u32::from(*value)) & 0xfff;
        bits += from;
        while bits >= to {
            bits -= to;
            out.push(u8::try_from((held >> bits) & mask).ok()?);
        }
    }
    let rest = (held << (to - bits)) & mask;
    if pad && bits > 0 {
        out.push(u8::try_from(rest).ok()?);
    }
    (pad || (bits < from && rest == 0)).then_some(out)
}

pub(super) fn encode(prefix: &str, bytes: &[u8]) -> String {
    let data = regrouped(bytes, 8, 5, true).unwrap_or_default();
    let sum = polymod(expanded(prefix).chain(data.iter().copied()).chain([0; CHECKSUM])) ^ 1;
    let checksum = (0..CHECKSUM).map(|i| u8::try_from((sum >> (5 * (CHECKSUM - 1 - i))) & 31).unwrap_or_default());
    let characters = data.iter().copied().chain(checksum);
    let text = characters.filter_map(|value| CHARACTERS.get(usize::from(value)).map(|c| char::from(*c)));
    format!("{prefix}1{}", text.collect::<String>())
}

/// The prefix in small letters and the bytes; `None` for anything that [`encode`] did not write, but for the case of its letters.
pub(super) fn decode(text: &str) -> Option<(String, Vec<u8>)> {
    if text.bytes().any(|b| b.is_ascii_lowercase()) && text.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    let text = text.to_ascii_lowercase();
    let (prefix, data) = text.rsplit_once('1').filter(|(prefix, _)| !prefix.is_empty())?;
    let values = data.bytes().map(|b| u8::try_from(CHARACTERS.iter().position(|c| *c == b)?).ok());
    let values = values.collect::<Option<Vec<u8>>>()?;
    if polymod(expanded(prefix).chain(values.iter().copied())) != 1 {
        return None;
    }
    let payload = values.get(..values.len().checked_sub(CHECKSUM)?)?;
    Some((prefix.to_owned(), regrouped(payload, 5, 8, false)?))
}
