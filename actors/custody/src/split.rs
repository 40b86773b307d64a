//! A secret in parts, of which so many make it again (KMIP 1.4 §2.2.5): XOR, and polynomials over GF(2^8) and GF(2^16).
//!
//! Each piece of the secret is where a random polynomial crosses zero; a part holds where it stands at that part's number. Secret
//! numbers are multiplied without tables and branches, so that neither time nor cache tells about them. What the numbers of the parts
//! are is public.

use zeroize::Zeroizing;

use crate::error::Error;

/// Most parts of one secret.
pub const PARTS_MAX: u32 = 64;

/// How a secret is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// All parts are needed.
    Xor,
    /// Pieces of one byte, in the field of FIPS 197.
    Gf2To8,
    /// Pieces of two bytes.
    Gf2To16,
}

/// One part: its number, from 1, and its bytes.
pub type Part = (u16, Zeroizing<Vec<u8>>);

impl Method {
    /// Whether a secret of so many bytes can be split so.
    pub fn takes(self, bytes: usize) -> bool {
        self != Self::Gf2To16 || bytes.is_multiple_of(2)
    }

    fn width(self) -> usize {
        if self == Self::Gf2To16 { 2 } else { 1 }
    }

    fn times(self, a: u16, b: u16) -> u16 {
        if self == Self::Gf2To16 { times_16(a, b) } else { times_8(a, b) }
    }

    /// Of a public number that is not zero: a^(2^n - 2).
    fn inverse(self, a: u16) -> u16 {
        let bits = 8 * self.width();
        (1..bits)
            .fold((a, 1), |(square, all), _| {
                let square = self.times(square, square);
                (square, self.times(all, square))
            })
            .1
    }
}

/// Product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1.
fn times_8(a: u16, b: u16) -> u16 {
    let (mut a, mut product) = (a & 0xFF, 0);
    for bit in 0..8 {
        product ^= a & (((b >> bit) & 1).wrapping_neg());
        a = ((a << 1) ^ (0x11B & ((a >> 7) & 1).wrapping_neg())) & 0x1FF;
    }
    product & 0xFF
}

/// Product of uy + v in GF(2^8)[y] modulo y^2 + y + m, each byte as in §2.2.5: u first.
fn times_16(a: u16, b: u16) -> u16 {
    const M: u16 = 0x3A;
    let ((r, s), (u, v)) = ((a >> 8, a & 0xFF), (b >> 8, b & 0xFF));
    let low = times_8(s, v);
    let high = times_8(r ^ s, u ^ v) ^ low;
    (high << 8) | (times_8(times_8(r, u), M) ^ low)
}

/// Splits a secret into `parts`, any `threshold` of which make it again.
///
/// # Errors
/// [`Error::Random`] if the system gives no randomness; [`Error::Seal`] for numbers that [`Method`] or [`PARTS_MAX`] do not allow, which
/// the caller checks before.
pub fn split(method: Method, secret: &[u8], parts: u32, threshold: u32) -> Result<Vec<Part>, Error> {
    let is_right = (1..=PARTS_MAX).contains(&parts) && (1..=parts).contains(&threshold) && method.takes(secret.len());
    if !is_right || method == Method::Xor && threshold != parts {
        return Err(Error::Seal);
    }
    let drawn = |_| {
        let mut bytes = Zeroizing::new(vec![0; secret.len()]);
        getrandom::fill(&mut bytes).map_err(|error| Error::Random(error.to_string()))?;
        Ok(bytes)
    };
    let drawn: Vec<_> = (1..threshold).map(drawn).collect::<Result<_, Error>>()?;
    let numbered = (1..=parts).filter_map(|number| u16::try_from(number).ok());
    Ok(match method {
        Method::Xor => {
            let last = drawn.iter().fold(Zeroizing::new(secret.to_vec()), |mut rest, part| {
                add(&mut rest, part);
                rest
            });
            numbered.zip(drawn.into_iter().chain([last])).collect()
        }
        _ => numbered.map(|number| (number, at(method, number, secret, &drawn))).collect(),
    })
}

/// Where the polynomial of these coefficients stands at `number`, by Horner's rule.
fn at(method: Method, number: u16, secret: &[u8], coefficients: &[Zeroizing<Vec<u8>>]) -> Zeroizing<Vec<u8>> {
    let mut value = Zeroizing::new(vec![0; secret.len()]);
    for coefficient in coefficients.iter().rev() {
        add(&mut value, coefficient);
        scale(method, &mut value, number);
    }
    add(&mut value, secret);
    value
}

/// Joins parts; `None` if two have one number, or their lengths differ or do not go with the method. Whether there are enough of them,
/// and of one secret, does not show here.
pub fn join(method: Method, parts: &[Part]) -> Option<Zeroizing<Vec<u8>>> {
    let (_, first) = parts.first()?;
    let numbers: Vec<u16> = parts.iter().map(|(number, _)| *number).collect();
    let distinct =
        numbers.iter().enumerate().all(|(at, one)| *one != 0 && !numbers.iter().take(at).any(|other| other == one));
    if !distinct || !method.takes(first.len()) || parts.iter().any(|(_, bytes)| bytes.len() != first.len()) {
        return None;
    }
    let mut secret = Zeroizing::new(vec![0; first.len()]);
    for (number, bytes) in parts {
        let mut share = bytes.clone();
        if method != Method::Xor {
            scale(method, &mut share, weight(method, *number, &numbers));
        }
        add(&mut secret, &share);
    }
    Some(secret)
}

/// Lagrange's weight of one part at zero.
fn weight(method: Method, number: u16, numbers: &[u16]) -> u16 {
    let others = numbers.iter().filter(|other| **other != number);
    others.fold(1, |all, &other| method.times(all, method.times(other, method.inverse(other ^ number))))
}

fn add(to: &mut [u8], from: &[u8]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to ^= from);
}

fn scale(method: Method, bytes: &mut [u8], by: u16) {
    for piece in bytes.chunks_exact_mut(method.width()) {
        let value = piece.iter().fold(0, |value, byte| (value << 8) | u16::from(*byte));
        let [high, low] = method.times(value, by).to_be_bytes();
        match piece {
            [one] => *one = low,
            [one, other] => (*one, *other) = (high, low),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLYNOMIALS: [Method; 2] = [Method::Gf2To8, Method::Gf2To16];

    /// FIPS 197 §4.2 works this product out.
    #[test]
    fn the_field_of_aes() {
        assert_eq!(times_8(0x57, 0x83), 0xC1);
        assert_eq!(times_8(0x57, 0x13), 0xFE);
    }

    /// §2.2.5: the inverse of uy + v is u/d y + (u + v)/d, where d = (u + v)v + m u^2.
    #[test]
    fn the_inverse_that_the_specification_prints() {
        for a in (1..=u16::MAX).step_by(7) {
            let (u, v) = (a >> 8, a & 0xFF);
            let d = times_8(u ^ v, v) ^ times_8(0x3A, times_8(u, u));
            let by_d = Method::Gf2To8.inverse(d);
            assert_eq!(Method::Gf2To16.inverse(a), (times_8(u, by_d) << 8) | times_8(u ^ v, by_d), "{a:#x}");
        }
    }

    #[test]
    fn every_number_but_zero_has_an_inverse() {
        for a in 1..=0xFF {
            assert_eq!(times_8(a, Method::Gf2To8.inverse(a)), 1);
        }
        for a in (1..=u16::MAX).step_by(3) {
            assert_eq!(times_16(a, Method::Gf2To16.inverse(a)), 1);
        }
    }

    /// A secret of which one coefficient is known: 0x02 + 0x03 x at 1 is 0x01.
    #[test]
    fn a_part_is_the_polynomial_at_its_number() {
        let coefficients = [Zeroizing::new(vec![3])];
        assert_eq!(*at(Method::Gf2To8, 1, &[2], &coefficients), [1]);
        assert_eq!(*at(Method::Gf2To8, 2, &[2], &coefficients), [4]);
        assert_eq!(
            *at(Method::Gf2To16, 0x0100, &[0, 0], &[Zeroizing::new(vec![1, 0])]),
            [1, 0x3A],
            "y squared is y + m"
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let wrong = [
            (Method::Xor, 32, 3, 2),
            (Method::Gf2To16, 31, 3, 2),
            (Method::Gf2To8, 32, 2, 3),
            (Method::Gf2To8, 32, 3, 0),
            (Method::Gf2To8, 32, 0, 0),
            (Method::Gf2To8, 32, PARTS_MAX + 1, 2),
        ];
        for (method, bytes, parts, threshold) in wrong {
            assert!(
                split(method, &vec![1; bytes], parts, threshold).is_err(),
                "{method:?} {bytes} {parts} {threshold}"
            );
        }
        let part = |number, bytes| (number, Zeroizing::new(vec![1; bytes]));
        for wrong in [&[][..], &[part(1, 2), part(1, 2)], &[part(0, 2)], &[part(1, 2), part(2, 4)]] {
            assert!(join(Method::Gf2To8, wrong).is_none());
        }
        assert!(join(Method::Gf2To16, &[part(1, 3)]).is_none());
    }

    proptest! {
        #[test]
        fn any_parts_that_are_enough_make_the_secret(
            secret in proptest::collection::vec(any::<u8>(), 1..40),
            threshold in 1_u32..6,
            more in 0_u32..4,
            from in 0_usize..9,
        ) {
            let parts = threshold + more;
            for method in POLYNOMIALS.into_iter().filter(|method| method.takes(secret.len())) {
                let mut all = split(method, &secret, parts, threshold).unwrap();
                let from = from % all.len();
                all.rotate_left(from);
                let enough = &all[..threshold as usize];
                prop_assert_eq!(&*join(method, enough).unwrap(), &secret);
            }
            let all = split(Method::Xor, &secret, parts, parts).unwrap();
            prop_assert_eq!(&*join(Method::Xor, &all).unwrap(), &secret);
        }

        #[test]
        fn one_part_less_does_not_make_it(secret in proptest::collection::vec(any::<u8>(), 32..33), threshold in 2_u32..6) {
            for (method, parts) in [(Method::Xor, threshold), (Method::Gf2To8, 6), (Method::Gf2To16, 6)] {
                let all = split(method, &secret, parts, threshold).unwrap();
                let less = &all[..threshold as usize - 1];
                prop_assert_ne!(&*join(method, less).unwrap(), &secret);
            }
        }

        #[test]
        fn products_of_fields(a: u16, b: u16, c: u16) {
            for method in POLYNOMIALS {
                let (a, b, c) = if method == Method::Gf2To8 { (a & 0xFF, b & 0xFF, c & 0xFF) } else { (a, b, c) };
                prop_assert_eq!(method.times(a, b), method.times(b, a));
                prop_assert_eq!(method.times(a, b ^ c), method.times(a, b) ^ method.times(a, c));
                prop_assert_eq!(method.times(a, method.times(b, c)), method.times(method.times(a, b), c));
                prop_assert_eq!(method.times(a, 1), a);
            }
        }
    }
}
