//! The bytes of one open file, holes as holes.
//!
//! Invariant: never gives more than the `size` that was asked for, so a file that grows for ever is read to an end.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{Advice, SeekFrom, fadvise, seek};
use rustix::io::Errno;

use super::attributes::Status;
use crate::{Sink, SinkError};

/// One read. Large enough for the disk, small enough for the cache.
const BUFFER: usize = 256 * 1024;

/// How the content came to its end.
#[derive(Debug)]
pub(super) enum Ending {
    /// All of `size`.
    Whole,
    /// The file ended early.
    Short,
    /// The file could not be read beyond this offset.
    Failed(u64, std::io::Error),
}

/// Whether a file whose blocks are fewer than its bytes really has a hole.
pub(super) fn has_hole(file: &File, size: u64) -> bool {
    seek(file, SeekFrom::Hole(0)).is_ok_and(|hole| hole < size)
}

/// Reads files; holds the one buffer that this needs.
#[derive(Debug)]
pub(super) struct ContentReader {
    buffer: Vec<u8>,
}

impl ContentReader {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; BUFFER],
        }
    }

    /// Gives the first `size` bytes of `file` to the sink's open file.
    pub(super) fn copy(
        &mut self,
        file: &File,
        size: u64,
        sparse: bool,
        sink: &mut dyn Sink,
    ) -> Result<Ending, SinkError> {
        if size > BUFFER as u64 {
            // Advice only: a file system that does not take it is read all the same.
            let _ = fadvise(file, 0, None, Advice::Sequential);
        }
        let mut position = 0;
        while position < size {
            let (start, end) = if sparse {
                next_extent(file, position, size)
            } else {
                (position, size)
            };
            if start > position {
                sink.zeros(start - position)?;
                position = start;
            }
            while position < end {
                let wanted = usize::try_from(end - position).map_or(BUFFER, |left| left.min(BUFFER));
                let Some(buffer) = self.buffer.get_mut(..wanted) else {
                    return Ok(Ending::Short);
                };
                match file.read_at(buffer, position) {
                    Ok(0) => return Ok(Ending::Short),
                    Ok(read) => {
                        sink.write(buffer.get(..read).unwrap_or_default())?;
                        position += read as u64;
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Ok(Ending::Failed(position, error)),
                }
            }
            if start == end && end < size {
                return Ok(Ending::Short);
            }
        }
        Ok(Ending::Whole)
    }
}

/// The next data at or after `position`, both ends at most `size`. An empty one below `size` says that the file ends there.
fn next_extent(file: &File, position: u64, size: u64) -> (u64, u64) {
    match seek(file, SeekFrom::Data(position)) {
        Ok(start) if start >= size => (size, size),
        Ok(start) => {
            let end = seek(file, SeekFrom::Hole(start)).unwrap_or(size).clamp(start, size);
            (start, if end == start { size } else { end })
        }
        // No data from here to the end of the file, wherever that is by now.
        Err(Errno::NXIO) => {
            let end = Status::of_file(file)
                .map_or(size, |status| status.size())
                .clamp(position, size);
            (end, end)
        }
        Err(_) => (position, size),
    }
}
