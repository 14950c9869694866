//! How a run and its child talk: frames of a tag, a length and a payload; values as tagged bytes.
//!
//! Values do not travel as text, so that a number arrives as it left and depth is bounded here. Nothing is allocated by a length
//! before that many bytes have arrived.

use std::io::{self, Read, Write};

use serde::de::value::Error;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Visitor};
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
    put(to, tag, payload)?;
    to.flush()
}

/// Writes one frame, which may wait for the next flush.
pub(super) fn put(to: &mut impl Write, tag: u8, payload: &[u8]) -> io::Result<()> {
    announce(to, tag, payload.len())?;
    to.write_all(payload)
}

/// Writes one frame that is a value, without a copy of it.
pub(super) fn send_value(to: &mut impl Write, tag: u8, value: &Value) -> io::Result<()> {
    announce(to, tag, length(value))?;
    write(value, to)?;
    to.flush()
}

fn announce(to: &mut impl Write, tag: u8, length: usize) -> io::Result<()> {
    let length = u32::try_from(length).map_err(|_| io::Error::other("more than 4 GiB at once"))?;
    to.write_all(&[tag])?;
    to.write_all(&length.to_le_bytes())
}

/// Reads the beginning of a frame: its tag, and how many bytes follow, at most so many; `None` where the other side has ended.
pub(super) fn next(from: &mut impl Read, most: u32) -> io::Result<Option<(u8, u32)>> {
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
    Ok(Some((tag[0], length)))
}

/// Reads what follows the beginning of a frame.
pub(super) fn rest(from: &mut impl Read, length: u32) -> io::Result<Vec<u8>> {
    let mut payload = Vec::new();
    from.take(u64::from(length)).read_to_end(&mut payload)?;
    match payload.len() == length as usize {
        true => Ok(payload),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Reads one frame of at most so many bytes; `None` where the other side has ended.
pub(super) fn receive(from: &mut impl Read, most: u32) -> io::Result<Option<(u8, Vec<u8>)>> {
    let Some((tag, length)) = next(from, most)? else {
        return Ok(None);
    };
    Ok(Some((tag, rest(from, length)?)))
}

/// Appends a value.
pub(super) fn encode(value: &Value, out: &mut Vec<u8>) {
    out.reserve(length(value));
    // A vector takes whatever is written to it.
    drop(write(value, out));
}

/// How many bytes a value is.
pub(super) fn length(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(_) => 9,
        Value::String(text) => 9 + text.len(),
        Value::Array(items) => 9 + items.iter().map(length).sum::<usize>(),
        Value::Object(fields) => {
            let each = fields.iter().map(|(key, value)| 9 + key.len() + length(value));
            9 + each.sum::<usize>()
        }
    }
}

fn write(value: &Value, out: &mut impl Write) -> io::Result<()> {
    match value {
        Value::Null => out.write_all(&[NULL]),
        Value::Bool(false) => out.write_all(&[FALSE]),
        Value::Bool(true) => out.write_all(&[TRUE]),
        Value::Number(number) => {
            let (tag, bits) = match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => (UNSIGNED, number.to_le_bytes()),
                (None, Some(number)) => (SIGNED, number.to_le_bytes()),
                (None, None) => (FLOAT, number.as_f64().unwrap_or_default().to_le_bytes()),
            };
            head(tag, bits, out)
        }
        Value::String(text) => string(text, out),
        Value::Array(items) => {
            head(ARRAY, (items.len() as u64).to_le_bytes(), out)?;
            items.iter().try_for_each(|item| write(item, out))
        }
        Value::Object(fields) => {
            head(OBJECT, (fields.len() as u64).to_le_bytes(), out)?;
            for (key, value) in fields {
                string(key, out)?;
                write(value, out)?;
            }
            Ok(())
        }
    }
}

fn head(tag: u8, number: [u8; 8], out: &mut impl Write) -> io::Result<()> {
    let [a, b, c, d, e, f, g, h] = number;
    out.write_all(&[tag, a, b, c, d, e, f, g, h])
}

fn string(text: &str, out: &mut impl Write) -> io::Result<()> {
    head(STRING, (text.len() as u64).to_le_bytes(), out)?;
    out.write_all(text.as_bytes())
}

/// Reads the one value that these bytes are, as whatever takes JSON values.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    decode_from(&mut &*bytes, bytes.len() as u64)
}

/// The same for the next so many bytes of what is read, as they arrive. After an error some of them are left.
pub(super) fn decode_from<T: DeserializeOwned>(from: &mut impl Read, length: u64) -> Result<T, String> {
    let mut decoder = Decoder {
        from,
        left: length,
        depth: 0,
        peeked: None,
        text: Vec::new(),
    };
    let value = T::deserialize(&mut decoder).map_err(|error| error.to_string())?;
    match decoder.left {
        0 => Ok(value),
        left => Err(format!("{left} bytes behind the value")),
    }
}

struct Decoder<'a, R> {
    from: &'a mut R,
    left: u64,
    depth: usize,
    peeked: Option<u8>,
    text: Vec<u8>,
}

/// A text of at most so many bytes is taken at once.
const AT_ONCE: usize = 64 << 10;

fn malformed(what: &str) -> Error {
    de::Error::custom(what)
}

impl<R: Read> Decoder<'_, R> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut taken = [0; N];
        self.left = self.left.checked_sub(N as u64).ok_or_else(|| malformed(SHORT))?;
        self.from.read_exact(&mut taken).map_err(|_| malformed(SHORT))?;
        Ok(taken)
    }

    fn tag(&mut self) -> Result<u8, Error> {
        match self.peeked.take() {
            Some(tag) => Ok(tag),
            None => self.take::<1>().map(|[tag]| tag),
        }
    }

    /// A number of bytes or of members, each of which is at least one byte.
    fn count(&mut self) -> Result<usize, Error> {
        let count = u64::from_le_bytes(self.take()?);
        let within = usize::try_from(count).ok().filter(|_| count <= self.left);
        within.ok_or_else(|| malformed(SHORT))
    }

    fn text(&mut self) -> Result<&str, Error> {
        let length = self.count()?;
        self.left -= length as u64;
        self.text.clear();
        let read = match length {
            0..=AT_ONCE => {
                self.text.resize(length, 0);
                self.from.read_exact(&mut self.text)
            }
            _ => {
                let text = (&mut *self.from).take(length as u64).read_to_end(&mut self.text);
                text.map(|_| ())
            }
        };
        if read.is_err() || self.text.len() != length {
            return Err(malformed(SHORT));
        }
        str::from_utf8(&self.text).map_err(|_| malformed("text that is not UTF-8"))
    }

    fn deeper<T>(&mut self, visit: impl FnOnce(Members<'_, Self>) -> Result<T, Error>) -> Result<T, Error> {
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

const SHORT: &str = "the value is cut short";

impl<'de, R: Read> de::Deserializer<'de> for &mut Decoder<'_, R> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.tag()? {
            NULL => visitor.visit_unit(),
            FALSE => visitor.visit_bool(false),
            TRUE => visitor.visit_bool(true),
            UNSIGNED => visitor.visit_u64(u64::from_le_bytes(self.take()?)),
            SIGNED => visitor.visit_i64(i64::from_le_bytes(self.take()?)),
            FLOAT => visitor.visit_f64(f64::from_le_bytes(self.take()?)),
            STRING => visitor.visit_str(self.text()?),
            ARRAY => self.deeper(|members| visitor.visit_seq(members)),
            OBJECT => self.deeper(|members| visitor.visit_map(members)),
            _ => Err(malformed("a value of no kind")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let tag = self.tag()?;
        self.peeked = Some(tag);
        match tag {
            NULL => self.deserialize_any(visitor),
            _ => visitor.visit_some(self),
        }
    }

    /// One of several names, without anything beneath it.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.tag()? {
            STRING => visitor.visit_enum(de::value::StrDeserializer::new(self.text()?)),
            _ => Err(malformed("a name that is no text")),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Members<'a, D> {
    decoder: &'a mut D,
    left: usize,
}

impl<'de, R: Read> de::SeqAccess<'de> for Members<'_, Decoder<'_, R>> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.decoder).map(Some)
    }
}

impl<'de, R: Read> de::MapAccess<'de> for Members<'_, Decoder<'_, R>> {
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
        assert_eq!(bytes(&value).len(), length(&value));
        let mut sent = Vec::new();
        send_value(&mut sent, b'I', &value).unwrap();
        assert_eq!(
            receive(&mut sent.as_slice(), u32::MAX).unwrap(),
            Some((b'I', bytes(&value)))
        );
        let regorus: regorus::Value = decode(&bytes(&value)).unwrap();
        assert_eq!(regorus, regorus::Value::from(value));
    }

    #[test]
    fn a_name_out_of_several_arrives() {
        use crate::builtins::Files;
        for files in [Files::None, Files::Beneath, Files::Any] {
            let sent = bytes(&serde_json::to_value(files).unwrap());
            assert_eq!(decode::<Files>(&sent), Ok(files));
        }
        assert!(decode::<Files>(&bytes(&json!("More"))).is_err());
        assert!(decode::<Files>(&bytes(&json!(1))).is_err());
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
