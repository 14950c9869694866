//! How a run and its child talk: frames of a tag, a length and a payload; values as tagged bytes.
//!
//! Values do not travel as text, so that a number arrives as it left and depth is bounded here. Nothing is allocated by a length
//! before that many bytes have arrived.

use std::io::{self, Read, Write};

use serde::Deserialize;
use serde::de::value::Error;
use serde::de::{self, DeserializeSeed, Visitor};
use serde_json::Value;

/// The deepest value that is taken.
const MAX_DEPTH: usize = 1_000;

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const UNSIGNED: u8 = 3;
const SIGNED: u8 = 4;
const FLOAT: u8 = 5;
const STRING: u8 = 6;
const ARRAY: u8 = 7;
const OBJECT: u8 = 8;

/// Writes one frame.
pub(super) fn send(to: &mut impl Write, tag: u8, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).map_err(|_| io::Error::other("more than 4 GiB at once"))?;
    to.write_all(&[tag])?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(payload)?;
    to.flush()
}

/// Reads one frame of at most so many bytes; `None` where the other side has ended.
pub(super) fn receive(from: &mut impl Read, most: u32) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut tag = [0];
    if from.read(&mut tag)? == 0 {
        return Ok(None);
    }
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > most {
        return Err(io::Error::other(format!("{length} bytes at once, the limit is {most}")));
    }
    let mut payload = Vec::new();
    from.take(u64::from(length)).read_to_end(&mut payload)?;
    if payload.len() != length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((tag[0], payload)))
}

/// Appends a value.
pub(super) fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(NULL),
        Value::Bool(false) => out.push(FALSE),
        Value::Bool(true) => out.push(TRUE),
        Value::Number(number) => {
            let (tag, bits) = match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => (UNSIGNED, number.to_le_bytes()),
                (None, Some(number)) => (SIGNED, number.to_le_bytes()),
                (None, None) => (FLOAT, number.as_f64().unwrap_or_default().to_le_bytes()),
            };
            out.push(tag);
            out.extend(bits);
        }
        Value::String(text) => string(text, out),
        Value::Array(items) => {
            out.push(ARRAY);
            out.extend((items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| encode(item, out));
        }
        Value::Object(fields) => {
            out.push(OBJECT);
            out.extend((fields.len() as u64).to_le_bytes());
            for (key, value) in fields {
                string(key, out);
                encode(value, out);
            }
        }
    }
}

fn string(text: &str, out: &mut Vec<u8>) {
    out.push(STRING);
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// Reads the one value that these bytes are, as whatever takes JSON values.
pub(super) fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, String> {
    let mut decoder = Decoder { rest: bytes, depth: 0 };
    let value = T::deserialize(&mut decoder).map_err(|error| error.to_string())?;
    match decoder.rest.is_empty() {
        true => Ok(value),
        false => Err(format!("{} bytes behind the value", decoder.rest.len())),
    }
}

struct Decoder<'de> {
    rest: &'de [u8],
    depth: usize,
}

fn malformed(what: &str) -> Error {
    de::Error::custom(what)
}

impl<'de> Decoder<'de> {
    fn take(&mut self, count: usize) -> Result<&'de [u8], Error> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| malformed("the value is cut short"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn eight(&mut self) -> Result<[u8; 8], Error> {
        self.take(8)?
            .try_into()
            .map_err(|_| malformed("the value is cut short"))
    }

    /// A number of bytes or of members, each of which is at least one byte.
    fn count(&mut self) -> Result<usize, Error> {
        let count = u64::from_le_bytes(self.eight()?);
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.rest.len())
            .ok_or_else(|| malformed("the value is cut short"))
    }

    fn deeper<T>(&mut self, visit: impl FnOnce(Members<'_, 'de>) -> Result<T, Error>) -> Result<T, Error> {
        let left = self.count()?;
        if self.depth >= MAX_DEPTH {
            return Err(de::Error::custom(format!("more than {MAX_DEPTH} values in each other")));
        }
        self.depth += 1;
        let value = visit(Members { decoder: self, left })?;
        self.depth -= 1;
        Ok(value)
    }
}

impl<'de> de::Deserializer<'de> for &mut Decoder<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.take(1)?[0] {
            NULL => visitor.visit_unit(),
            FALSE => visitor.visit_bool(false),
            TRUE => visitor.visit_bool(true),
            UNSIGNED => visitor.visit_u64(u64::from_le_bytes(self.eight()?)),
            SIGNED => visitor.visit_i64(i64::from_le_bytes(self.eight()?)),
            FLOAT => visitor.visit_f64(f64::from_le_bytes(self.eight()?)),
            STRING => {
                let length = self.count()?;
                let text = str::from_utf8(self.take(length)?).map_err(|_| malformed("text that is not UTF-8"))?;
                visitor.visit_borrowed_str(text)
            }
            ARRAY => self.deeper(|members| visitor.visit_seq(members)),
            OBJECT => self.deeper(|members| visitor.visit_map(members)),
            _ => Err(malformed("a value of no kind")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.rest.first() {
            Some(&NULL) => self.deserialize_any(visitor),
            _ => visitor.visit_some(self),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Members<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    left: usize,
}

impl<'de> de::SeqAccess<'de> for Members<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.decoder).map(Some)
    }
}

impl<'de> de::MapAccess<'de> for Members<'_, 'de> {
    type Error = Error;

    fn next_key_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        de::SeqAccess::next_element_seed(self, seed)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(&mut *self.decoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn bytes(value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        encode(value, &mut out);
        out
    }

    #[test]
    fn a_value_arrives_as_it_left() {
        let value = json!({
            "a": [null, true, false, 0, u64::MAX, i64::MIN, -1, 1.0, 0.1, 1e300, 5e-324],
            "": {"ü\u{0}": "text", "nested": [[], {}]},
        });
        assert_eq!(decode::<Value>(&bytes(&value)).unwrap(), value);
        let regorus: regorus::Value = decode(&bytes(&value)).unwrap();
        assert_eq!(regorus, regorus::Value::from(value));
    }

    #[test]
    fn what_is_cut_short_or_too_deep_is_refused() {
        let whole = bytes(&json!({"a": [1, "two", {"b": 3}]}));
        for end in 0..whole.len() {
            assert!(decode::<Value>(&whole[..end]).is_err(), "{end}");
        }
        let mut more = whole.clone();
        more.push(NULL);
        assert!(decode::<Value>(&more).unwrap_err().contains("behind"));
        let deep: Vec<u8> = [[ARRAY, 1, 0, 0, 0, 0, 0, 0, 0]; 5_000].concat();
        assert!(decode::<Value>(&deep).unwrap_err().contains("in each other"));
        assert!(decode::<Value>(&[STRING, 255, 255, 255, 255, 255, 255, 255, 255, 1]).is_err());
        assert!(decode::<Value>(&[9]).is_err());
    }

    #[test]
    fn a_frame_is_bounded_and_a_half_one_is_an_error() {
        let mut sent = Vec::new();
        send(&mut sent, b'E', b"data.main.deny").unwrap();
        assert_eq!(
            receive(&mut sent.as_slice(), 99).unwrap(),
            Some((b'E', b"data.main.deny".to_vec()))
        );
        assert!(receive(&mut sent.as_slice(), 3).is_err());
        assert_eq!(receive(&mut [].as_slice(), 3).unwrap(), None);
        for end in 1..sent.len() {
            assert!(receive(&mut &sent[..end], 99).is_err(), "{end}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_end_the_reader(any_bytes in proptest::collection::vec(prop_oneof![0u8..10, any::<u8>()], 0..200)) {
            if let Ok(value) = decode::<Value>(&any_bytes) {
                prop_assert!(!bytes(&value).is_empty());
            }
            let _ = receive(&mut any_bytes.as_slice(), 100);
        }
    }
}
