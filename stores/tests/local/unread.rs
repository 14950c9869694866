//! A sink that knows a file already: the source does not read it, and tells everything else about it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use muster_stores::files::FilesSource;
use muster_stores::{Entry, EntryKind, FileTimes, Sink, SinkError, Source as _};

use crate::collected::scratch;

/// Knows every file whose name begins with "known".
#[derive(Default)]
struct Knowing {
    asked: Vec<(Vec<u8>, FileTimes)>,
    reused: Vec<Entry>,
    begun: Vec<Vec<u8>>,
    others: Vec<Entry>,
}

impl Sink for Knowing {
    fn entry(&mut self, entry: Entry) -> Result<(), SinkError> {
        self.others.push(entry);
        Ok(())
    }

    fn is_unchanged(&mut self, path: &[u8], times: &FileTimes) -> bool {
        self.asked.push((path.to_vec(), *times));
        path.starts_with(b"known")
    }

    fn reuse_file(&mut self, entry: Entry) -> Result<(), SinkError> {
        self.reused.push(entry);
        Ok(())
    }

    fn begin_file(&mut self, entry: Entry) -> Result<(), SinkError> {
        self.begun.push(entry.path);
        Ok(())
    }

    fn write(&mut self, _bytes: &[u8]) -> Result<(), SinkError> {
        Ok(())
    }

    fn zeros(&mut self, _length: u64) -> Result<(), SinkError> {
        Ok(())
    }

    fn end_file(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn unreadable(&mut self, path: &[u8], reason: String) {
        panic!("{}: {reason}", String::from_utf8_lossy(path));
    }

    fn note(&mut self, _what: &str) {}
}

#[test]
fn a_file_that_the_sink_knows_is_not_read_and_its_further_names_still_lead_to_it() {
    let tree = scratch();
    fs::write(tree.path().join("known"), b"12345").unwrap();
    fs::hard_link(tree.path().join("known"), tree.path().join("other name")).unwrap();
    fs::write(tree.path().join("new"), b"6").unwrap();
    let mut sink = Knowing::default();
    let taken = FilesSource::new::<&str>(tree.path(), &[], "2026-05-04T03:02:01Z".to_owned())
        .unwrap()
        .snapshot(&mut sink)
        .unwrap();
    assert_eq!(sink.begun, [b"new"]);
    let [known] = &sink.reused[..] else {
        panic!("{:?}", sink.reused);
    };
    let metadata = fs::metadata(tree.path().join("known")).unwrap();
    assert_eq!(
        (known.mode, known.mtime_seconds),
        (metadata.mode() & 0o7777, metadata.mtime())
    );
    let times = sink.asked[0].1;
    assert_eq!(
        (times.size, times.mtime.0, times.ctime.0),
        (5, metadata.mtime(), metadata.ctime())
    );
    let link = &sink.others[0];
    assert!(link.path == b"other name" && matches!(&link.kind, EntryKind::HardLink { to } if to == b"known"));
    assert_eq!(taken.consistency_point.position["files"], 2);
    assert_eq!(taken.consistency_point.position["bytes"], 6);
}
