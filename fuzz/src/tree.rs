//! Messages as trees that can be changed: lengths are always right again afterwards.
//!
//! libFuzzer changes bytes; a byte more in a value makes every length around it wrong, and the first check ends the run. Here a change is
//! one of an item: its value, its tag, its place, its number.

use kmip::{
    Tag,
    ttlv::{HEADER_BYTES, Item, Kind, Limits, Structure, parse},
};

/// Deepest tree that is written, and most items.
const LIMITS: Limits = Limits { message_bytes: 1 << 20, depth: 32, items: 4096 };
/// Most bytes that one change adds to a value.
const GROWTH_BYTES: usize = 32;

/// One item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    pub tag: Tag,
    pub value: Value,
}

/// What an item holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Leaf(Kind, Vec<u8>),
    Node(Vec<Tree>),
}

impl Tree {
    fn of(item: &Item<'_>) -> Self {
        let value = match item.structure() {
            Ok(structure) => Value::Node(fields(structure)),
            Err(_) => Value::Leaf(item.kind, item.raw_bytes().to_vec()),
        };
        Self { tag: item.tag, value }
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        let kind = match &self.value {
            Value::Leaf(kind, _) => *kind,
            Value::Node(_) => Kind::Structure,
        };
        out.extend_from_slice(&self.tag.0.to_be_bytes()[1..]);
        out.extend_from_slice(&[kind as u8, 0, 0, 0, 0]);
        let start = out.len();
        match &self.value {
            Value::Leaf(_, bytes) => out.extend_from_slice(bytes),
            Value::Node(fields) => fields.iter().for_each(|field| field.write(out)),
        }
        let length = out.len() - start;
        let announced = u32::try_from(length).expect("a message is short");
        out[start - 4..start].copy_from_slice(&announced.to_be_bytes());
        out.resize(start + length.next_multiple_of(8), 0);
    }

    fn count(&self) -> usize {
        match &self.value {
            Value::Leaf(..) => 1,
            Value::Node(fields) => 1 + fields.iter().map(Self::count).sum::<usize>(),
        }
    }

    /// The item of this number, counted from 0 in the order of the bytes.
    fn nth(&self, number: usize) -> Option<&Self> {
        let Some(mut rest) = number.checked_sub(1) else { return Some(self) };
        let Value::Node(fields) = &self.value else { return None };
        for field in fields {
            match field.nth(rest) {
                Some(found) => return Some(found),
                None => rest -= field.count(),
            }
        }
        None
    }

    /// Does something with the fields among which the item of this number is, and its place there. The root has no place.
    fn beside(&mut self, number: usize, change: &mut dyn FnMut(&mut Vec<Self>, usize)) {
        let Some(mut rest) = number.checked_sub(1) else { return };
        let Value::Node(fields) = &mut self.value else { return };
        for at in 0..fields.len() {
            let count = fields[at].count();
            if rest == 0 {
                return change(fields, at);
            }
            if rest < count {
                return fields[at].beside(rest, change);
            }
            rest -= count;
        }
    }
}

fn fields(structure: Structure<'_>) -> Vec<Tree> {
    structure.items().map(|item| Tree::of(&item)).collect()
}

/// Where the frame at the front of `bytes` ends, if all of it is there.
pub fn end_of(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(4..HEADER_BYTES)?.try_into().map(u32::from_be_bytes).ok()?;
    let end = HEADER_BYTES + usize::try_from(length).ok()?;
    (bytes.first() == Some(&0x42) && end.is_multiple_of(8) && end <= bytes.len()).then_some(end)
}

/// The messages that `bytes` are made of, if they are nothing else.
pub fn frames(mut bytes: &[u8]) -> Option<Vec<Tree>> {
    let mut frames = vec![];
    while !bytes.is_empty() {
        let (frame, rest) = bytes.split_at(end_of(bytes)?);
        let root = parse(frame, &LIMITS).ok()?;
        frames.push(Tree { tag: root.tag(), value: Value::Node(fields(root)) });
        bytes = rest;
    }
    Some(frames)
}

/// Random numbers from a seed (xorshift, Marsaglia 2003).
pub struct Draw(u64);

impl Draw {
    pub fn new(seed: u32) -> Self {
        Self(u64::from(seed) << 20 | 0x9E37_79B9)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0) % end.max(1)
    }
}

/// Changes the first `size` bytes of `data` as `bytes` does, or item by item where they are messages; `kept` bytes at the front are no
/// part of a message. Answers the new size, at most the length of `data`.
pub fn mutate(
    data: &mut [u8],
    size: usize,
    kept: usize,
    seed: u32,
    bytes: impl Fn(&mut [u8], usize, usize) -> usize,
) -> usize {
    let max = data.len();
    let mut draw = Draw::new(seed);
    let messages = if draw.below(5) == 0 { None } else { data.get(kept..size).and_then(frames) };
    let Some(mut messages) = messages.filter(|messages| !messages.is_empty()) else {
        return bytes(data, size, max);
    };
    for _ in 0..=draw.below(3) {
        change(&mut messages, &mut draw, &bytes);
    }
    let mut out = data[..kept].to_vec();
    messages.iter().for_each(|message| message.write(&mut out));
    if out.len() > max {
        return bytes(data, size, max);
    }
    data[..out.len()].copy_from_slice(&out);
    out.len()
}

fn change(messages: &mut Vec<Tree>, draw: &mut Draw, bytes: &impl Fn(&mut [u8], usize, usize) -> usize) {
    if messages.is_empty() {
        return;
    }
    let picked = draw.below(messages.len());
    let other = messages[draw.below(messages.len())].clone();
    if draw.below(12) == 0 {
        match draw.below(3) {
            0 if messages.len() > 1 => drop(messages.remove(picked)),
            1 => messages.push(other),
            _ => messages.insert(picked, other),
        }
        return;
    }
    let other = other.nth(draw.below(other.count())).unwrap_or(&other).clone();
    let message = &mut messages[picked];
    // The root has no place among others.
    let number = 1 + draw.below(message.count() - 1);
    let (kind, amount) = (draw.below(10), draw.below(96));
    message.beside(number, &mut |fields, at| match kind {
        0 => drop(fields.remove(at)),
        1 => fields.insert(at, fields[at].clone()),
        2 => fields[at] = other.clone(),
        3 => fields.insert(at, other.clone()),
        4 => fields[at].tag = other.tag,
        5 => {
            let to = amount % fields.len();
            fields.swap(at, to);
        }
        _ => change_value(&mut fields[at], amount, kind < 8, bytes),
    });
}

fn change_value(tree: &mut Tree, amount: usize, small: bool, bytes: &impl Fn(&mut [u8], usize, usize) -> usize) {
    let Value::Leaf(kind, value) = &mut tree.value else { return };
    let fixed = !matches!(kind, Kind::TextString | Kind::ByteString | Kind::BigInteger);
    if fixed && small {
        let last = value.len() - 1;
        value.fill(0);
        value[last] = u8::try_from(amount).unwrap_or(0);
        return;
    }
    let size = value.len();
    let room = if fixed { size } else { size + GROWTH_BYTES };
    value.resize(room, 0);
    let changed = bytes(value, size, room);
    value.truncate(if fixed { size } else { changed });
    if *kind == Kind::TextString && amount > 4 {
        *value = String::from_utf8_lossy(value).into_owned().into_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(tag: u32, value: &[u8]) -> Tree {
        Tree { tag: Tag(tag), value: Value::Leaf(Kind::ByteString, value.to_vec()) }
    }

    fn message() -> Tree {
        let inner =
            Tree { tag: Tag(0x42_0001), value: Value::Node(vec![leaf(0x42_0002, b"a"), leaf(0x42_0003, b"b")]) };
        Tree { tag: Tag(0x42_0078), value: Value::Node(vec![inner, leaf(0x42_0004, b"ninebytes")]) }
    }

    fn written(trees: &[Tree]) -> Vec<u8> {
        let mut out = vec![];
        trees.iter().for_each(|tree| tree.write(&mut out));
        out
    }

    #[test]
    fn messages_are_read_and_written() {
        let two = [message(), message()];
        assert_eq!(frames(&written(&two)).unwrap(), two);
        assert!(frames(&written(&two)[..40]).is_none());
    }

    #[test]
    fn items_are_counted_in_the_order_of_the_bytes() {
        let mut tree = message();
        let tags: Vec<u32> = (0..tree.count()).map(|number| tree.nth(number).unwrap().tag.0 & 0xff).collect();
        assert_eq!(tags, [0x78, 1, 2, 3, 4]);
        assert!(tree.nth(5).is_none());
        for (number, tag) in [(1, 1), (2, 2), (3, 3), (4, 4)] {
            let mut seen = 0;
            tree.beside(number, &mut |fields, at| seen = fields[at].tag.0 & 0xff);
            assert_eq!(seen, tag);
        }
    }

    #[test]
    fn what_is_changed_is_a_message_again() {
        let start = [&[7], written(&[message(), message()]).as_slice()].concat();
        let (mut whole, mut other) = (0, 0);
        for seed in 0..2_000 {
            let mut data = vec![0; 400];
            data[..start.len()].copy_from_slice(&start);
            let size = mutate(&mut data, start.len(), 1, seed, |data, size, _| {
                data[..size].iter_mut().for_each(|byte| *byte ^= 1);
                size
            });
            assert!(size <= 400);
            let read = frames(&data[1..size]);
            whole += usize::from(read.is_some() && data[0] == 7);
            other += usize::from(data[..size] != start);
        }
        assert!(whole > 1_200 && other > 1_600, "{whole} messages, {other} changed");
    }
}
