//! Changes of inputs that know nothing of any format: bits, numbers, pieces, and pieces of other inputs.
//!
//! Invariant: the same inputs and the same number give the same changes.

/// Longest input that is made.
const LONGEST: usize = 1 << 16;

/// A source of changes.
pub(crate) struct Mutator {
    state: u64,
}

impl Mutator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// One of the inputs, changed in a few places.
    pub(crate) fn change(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let Some(from) = self.one_of(inputs) else {
            return Vec::new();
        };
        let mut bytes = from.clone();
        for _ in 0..=self.below(4) {
            self.step(&mut bytes, inputs);
        }
        bytes.truncate(LONGEST);
        bytes
    }

    fn step(&mut self, bytes: &mut Vec<u8>, inputs: &[Vec<u8>]) {
        let at = self.below(bytes.len() + 1);
        let length = self.length(bytes.len() - at);
        match self.below(10) {
            0 => {
                let bit = 1 << self.below(8);
                bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= bit);
            }
            1 => {
                let value = self.next().to_le_bytes()[0];
                bytes.get_mut(at).into_iter().for_each(|byte| *byte = value);
            }
            2 => self.number(bytes, at),
            3 => drop(bytes.drain(at..at + length)),
            4 => bytes.truncate(at),
            5 => {
                let piece = bytes[at..at + length].to_vec();
                let again = 1 << self.below(8);
                insert(bytes, at, &piece.repeat(again));
            }
            6 => {
                let fresh: Vec<u8> = (0..=self.below(8)).map(|_| self.next().to_le_bytes()[0]).collect();
                insert(bytes, at, &fresh);
            }
            7 => {
                let piece = bytes[at..at + length].to_vec();
                let place = self.below(bytes.len() + 1);
                insert(bytes, place, &piece);
            }
            8 => {
                let Some(other) = self.one_of(inputs) else { return };
                let from = self.below(other.len() + 1);
                let length = self.length(other.len() - from);
                insert(bytes, at, &other[from..from + length]);
            }
            _ => {
                let Some(other) = self.one_of(inputs) else { return };
                let from = self.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }

    /// Writes a number that is often wrong, in 1 to 8 bytes or in decimal digits.
    fn number(&mut self, bytes: &mut Vec<u8>, at: usize) {
        const NUMBERS: [u64; 12] = [
            0,
            1,
            0x7f,
            0xff,
            0x8000,
            0xffff,
            1 << 24,
            0x7fff_ffff,
            0xffff_ffff,
            1 << 40,
            1 << 60,
            u64::MAX,
        ];
        let number = NUMBERS[self.below(NUMBERS.len())];
        let width = 1 << self.below(4);
        let written = match self.below(4) {
            0 => number.to_be_bytes()[8 - width..].to_vec(),
            1 => number.to_string().into_bytes(),
            _ => number.to_le_bytes()[..width].to_vec(),
        };
        let end = (at + written.len()).min(bytes.len());
        bytes.splice(at..end, written);
    }

    /// Short more often than long.
    fn length(&mut self, most: usize) -> usize {
        let short = self.below(most.min(8) + 1);
        if self.below(4) > 0 { short } else { self.below(most + 1) }
    }

    fn one_of<'a>(&mut self, inputs: &'a [Vec<u8>]) -> Option<&'a Vec<u8>> {
        inputs.get(self.below(inputs.len().max(1)))
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or(0)
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    if bytes.len() + piece.len() <= LONGEST {
        bytes.splice(at..at, piece.iter().copied());
    }
}
