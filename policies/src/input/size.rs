//! How much memory a text will take as values, before it is parsed: a file of 200 MB may become 13 GB of them.
//!
//! Only a text that could take too much is looked at closely, so what is usual costs a count of two bytes.

/// The most memory that a document may take as values, in bytes; a Terraform plan takes six times its own size.
pub(super) const MOST: usize = 2 << 30;
/// The most documents that one file may hold.
pub(super) const MOST_DOCUMENTS: usize = 100_000;
/// What an object takes at least: a tree node with room for eleven members.
pub(super) const OBJECT: usize = 640;
/// What a member of an object or a list takes.
pub(super) const MEMBER: usize = 64;

/// Whether the values of a JSON text fit.
pub(super) fn json(text: &str) -> Result<(), String> {
    let count = |wanted: u8| text.bytes().filter(|byte| *byte == wanted).count();
    let most = needs(count(b'{'), count(b','));
    if most <= MOST {
        return Ok(());
    }
    let (mut objects, mut members, mut bytes) = (0, 0, text.bytes());
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' => objects += 1,
            b',' => members += 1,
            b'"' => pass(&mut bytes),
            _ => {}
        }
    }
    match needs(objects, members) {
        ..=MOST => Ok(()),
        _ => Err(too_much()),
    }
}

/// Why a text is not parsed.
pub(super) fn too_much() -> String {
    format!("its values would take more than {} GiB of memory: split it", MOST >> 30)
}

/// Goes on behind the end of a string.
fn pass(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => _ = bytes.next(),
            _ => {}
        }
    }
}

fn needs(objects: usize, members: usize) -> usize {
    objects
        .saturating_mul(OBJECT)
        .saturating_add(members.saturating_mul(MEMBER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_small_values_are_too_much_and_the_same_bytes_in_a_string_are_not() {
        let objects = "{},".repeat(MOST / OBJECT);
        assert!(json(&format!("[{objects}{{}}]")).is_err());
        assert!(json(&format!("[\"\\\"{objects}\"]")).is_ok());
        assert!(json(&format!("[\"\\\"\",{objects}{{}}]")).is_err());
        assert!(json(&"1,".repeat(1 << 20)).is_ok());
    }
}
