//! The digest of a database's schema, equal in the source and in what was restored.

use rusqlite::Connection;
use rusqlite::types::ValueRef;

/// BLAKE3 over the rows of `sqlite_schema`, each column with its kind and length.
pub(super) fn digest(connection: &Connection) -> rusqlite::Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut statement = connection
        .prepare("select type, name, tbl_name, sql from main.sqlite_schema order by type, name, tbl_name, sql")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        for column in 0..4 {
            let (kind, bytes) = match row.get_ref(column)? {
                ValueRef::Text(text) => (b't', text),
                ValueRef::Blob(blob) => (b'b', blob),
                // An index that SQLite made by itself has no text.
                _ => (b'n', &[][..]),
            };
            hasher.update(&[kind]);
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
    }
    Ok(format!("blake3:{}", hasher.finalize().to_hex()))
}
