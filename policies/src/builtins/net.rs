//! CIDR blocks: containment, intersection, expansion, merging. Nothing here asks the network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use regorus::Value;

use super::call::{Call, Outcome, array, set, wrong};
use super::{Failure, Family};

pub(super) const FAMILY: Family = &[
    ("net.cidr_contains", contains),
    ("net.cidr_overlap", contains),
    ("net.cidr_contains_matches", contains_matches),
    ("net.cidr_expand", expand),
    ("net.cidr_intersects", intersects),
    ("net.cidr_is_valid", |call| {
        Ok(matches!(call.any(0), Value::String(text) if block(text).is_ok()).into())
    }),
    ("net.cidr_merge", merge),
];

/// The largest block that is written out.
const MOST_ADDRESSES: u128 = 1 << 20;

/// Addresses from `first` to `last`, of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Block {
    v6: bool,
    first: u128,
    last: u128,
}

impl Block {
    fn covers(&self, other: &Self) -> bool {
        self.v6 == other.v6 && self.first <= other.first && other.last <= self.last
    }

    fn bits(&self) -> u32 {
        if self.v6 { 128 } else { 32 }
    }
}

fn single(address: IpAddr) -> Block {
    let (v6, value) = match address {
        IpAddr::V4(address) => (false, u128::from(u32::from(address))),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => (false, u128::from(u32::from(address))),
            None => (true, u128::from(address)),
        },
    };
    Block {
        v6,
        first: value,
        last: value,
    }
}

fn block(text: &str) -> Result<Block, Failure> {
    let wrong = || Failure::Error(format!("invalid CIDR address: {text}"));
    let (address, length) = text.split_once('/').ok_or_else(wrong)?;
    let plain = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let length: u32 = length.parse().ok().filter(|_| plain).ok_or_else(wrong)?;
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let (v6, value, length) = match address {
        IpAddr::V4(address) => (false, u128::from(u32::from(address)), length),
        // As in Go, what holds addresses of version 4 only is a block of those.
        IpAddr::V6(address) => match (address.to_ipv4_mapped(), length) {
            (Some(address), 96..=128) => (false, u128::from(u32::from(address)), length - 96),
            _ => (true, u128::from(address), length),
        },
    };
    let bits: u32 = if v6 { 128 } else { 32 };
    let host = bits_set(bits.checked_sub(length).ok_or_else(wrong)?);
    Ok(Block {
        v6,
        first: value & !host,
        last: value | host,
    })
}

fn bits_set(count: u32) -> u128 {
    1u128.checked_shl(count).map_or(u128::MAX, |power| power - 1)
}

fn block_or_address(text: &str) -> Result<Block, Failure> {
    match text.parse() {
        Ok(address) => Ok(single(address)),
        Err(_) => block(text)
            .map_err(|_| format!("not a valid textual representation of an IP address or CIDR: {text}").into()),
    }
}

fn shown(v6: bool, value: u128) -> String {
    match u32::try_from(value) {
        Ok(value) if !v6 => Ipv4Addr::from(value).to_string(),
        _ => Ipv6Addr::from(value).to_string(),
    }
}

fn contains(call: &mut Call<'_>) -> Outcome {
    let (whole, part) = (block(call.string(0)?)?, block_or_address(call.string(1)?)?);
    Ok(whole.covers(&part).into())
}

fn intersects(call: &mut Call<'_>) -> Outcome {
    let (one, other) = (block(call.string(0)?)?, block(call.string(1)?)?);
    Ok((one.v6 == other.v6 && one.first <= other.last && other.first <= one.last).into())
}

fn expand(call: &mut Call<'_>) -> Outcome {
    let block = block(call.string(0)?)?;
    if block.last - block.first >= MOST_ADDRESSES {
        return Err(Failure::Halt(
            "the block holds more than a million addresses".to_owned(),
        ));
    }
    Ok(set(
        (block.first..=block.last).map(|value| shown(block.v6, value).into())
    ))
}

/// The blocks of an operand, each with what names it: itself, its index, or its key.
fn named(
    call: &Call<'_>,
    place: usize,
    read: fn(&str) -> Result<Block, Failure>,
) -> Result<Vec<(Value, Block)>, Failure> {
    let one = |value: &Value| -> Result<Block, Failure> {
        let text = match value {
            Value::String(text) => text,
            Value::Array(items) => match items.first() {
                Some(Value::String(text)) => text,
                _ => return Err(format!("operand {} must hold arrays that begin with a string", place + 1).into()),
            },
            other => return Err(wrong(place, "string, array", other)),
        };
        read(text)
    };
    let items: Vec<(Value, &Value)> = match call.any(place) {
        value @ Value::String(_) => vec![(value.clone(), value)],
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(place, item)| (Value::from(place), item))
            .collect(),
        Value::Set(items) => items.iter_sorted().map(|item| (item.clone(), item)).collect(),
        Value::Object(fields) => fields.iter_sorted().map(|(key, value)| (key.clone(), value)).collect(),
        other => return Err(wrong(place, "string, array, set, object", other)),
    };
    items.into_iter().map(|(name, value)| Ok((name, one(value)?))).collect()
}

fn contains_matches(call: &mut Call<'_>) -> Outcome {
    let (wholes, parts) = (named(call, 0, block)?, named(call, 1, block_or_address)?);
    let mut pairs = Vec::new();
    for (whole_name, whole) in &wholes {
        for (part_name, _) in parts.iter().filter(|(_, part)| whole.covers(part)) {
            pairs.push(array([whole_name.clone(), part_name.clone()]));
        }
    }
    Ok(set(pairs))
}

/// An address without a length stands for the network of its class, as in Go; one of version 6 has none.
fn classful(text: &str) -> Result<Block, Failure> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => match address.octets()[0] {
            0..=127 => block(&format!("{text}/8")),
            128..=191 => block(&format!("{text}/16")),
            192..=223 => block(&format!("{text}/24")),
            _ => Err(format!("IPv4 invalid: {text} needs prefix length").into()),
        },
        Ok(IpAddr::V6(_)) => Err("IPv6 invalid: needs prefix length".into()),
        Err(_) => block(text),
    }
}

/// The fewest blocks that hold the same addresses.
fn merge(call: &mut Call<'_>) -> Outcome {
    let mut blocks = call
        .strings(0)?
        .into_iter()
        .map(classful)
        .collect::<Result<Vec<_>, _>>()?;
    blocks.sort();
    let mut joined: Vec<Block> = Vec::new();
    for block in blocks {
        match joined.last_mut() {
            Some(last) if last.v6 == block.v6 && block.first <= last.last.saturating_add(1) => {
                last.last = last.last.max(block.last);
            }
            _ => joined.push(block),
        }
    }
    Ok(set(joined.iter().flat_map(split).map(Value::from)))
}

/// A range as CIDR blocks, each as large as its first address and the range allow.
fn split(range: &Block) -> Vec<String> {
    let mut out = Vec::new();
    let mut first = range.first;
    loop {
        let mut size = first.trailing_zeros().min(range.bits());
        while first | bits_set(size) > range.last {
            size -= 1;
        }
        out.push(format!("{}/{}", shown(range.v6, first), range.bits() - size));
        match (first | bits_set(size)).checked_add(1) {
            Some(next) if next <= range.last => first = next,
            _ => return out,
        }
    }
}
