//! A sink that keeps everything and holds its caller to the rules, with a hook to make trouble in the middle of a run.

use muster_stores::{Entry, EntryKind, Sink, SinkError, StoreError};

/// When the hook is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// An entry without content was given.
    Entry,
    /// A file was opened in the sink.
    Begin,
    /// Bytes are about to be taken.
    Write,
}

type Hook = Box<dyn FnMut(Moment, &[u8])>;

#[derive(Default)]
pub(crate) struct Collected {
    pub(crate) entries: Vec<Entry>,
    pub(crate) files: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) unreadable: Vec<(Vec<u8>, String)>,
    pub(crate) notes: Vec<String>,
    pub(crate) zeros: u64,
    /// Bytes after which no more are taken.
    pub(crate) room: Option<usize>,
    pub(crate) open: Option<(Vec<u8>, Vec<u8>)>,
    pub(crate) hook: Option<Hook>,
}

impl Collected {
    pub(crate) fn with(hook: impl FnMut(Moment, &[u8]) + 'static) -> Self {
        Self {
            hook: Some(Box::new(hook)),
            ..Self::default()
        }
    }

    pub(crate) fn entry_of(&self, path: impl AsRef<[u8]>) -> &Entry {
        let path = path.as_ref();
        self.entries
            .iter()
            .find(|entry| entry.path == path)
            .unwrap_or_else(|| panic!("{} is not among {:?}", path.escape_ascii(), self.paths()))
    }

    pub(crate) fn content_of(&self, path: impl AsRef<[u8]>) -> &[u8] {
        let path = path.as_ref();
        let found = self.files.iter().find(|(name, _)| name == path);
        found
            .map(|(_, content)| content.as_slice())
            .unwrap_or_else(|| panic!("no file {}", path.escape_ascii()))
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.entries
            .iter()
            .map(|entry| entry.path.escape_ascii().to_string())
            .collect()
    }

    pub(crate) fn told_of(&self, path: &str) -> &str {
        let found = self.unreadable.iter().find(|(name, _)| name == path.as_bytes());
        found
            .map(|(_, reason)| reason.as_str())
            .unwrap_or_else(|| panic!("{path} is not in {:?}", self.unreadable))
    }

    fn call(&mut self, moment: Moment, path: &[u8]) {
        if let Some(hook) = &mut self.hook {
            hook(moment, path);
        }
    }

    fn keep(&mut self, entry: Entry) {
        assert!(self.open.is_none(), "an entry while a file is open");
        assert!(
            !entry.path.is_empty() && !entry.path.starts_with(b"/"),
            "{:?}",
            entry.path
        );
        for name in entry.path.split(|byte| *byte == b'/') {
            assert!(
                !name.is_empty() && name != b"." && name != b".." && !name.contains(&0),
                "{:?}",
                entry.path
            );
        }
        assert!(
            self.entries
                .iter()
                .rev()
                .take(100)
                .all(|other| other.path != entry.path),
            "{:?} twice",
            entry.path
        );
        self.entries.push(entry);
    }
}

impl Sink for Collected {
    fn entry(&mut self, entry: Entry) -> Result<(), SinkError> {
        assert!(
            !matches!(entry.kind, EntryKind::File { .. }),
            "a file comes through begin_file"
        );
        let path = entry.path.clone();
        self.keep(entry);
        self.call(Moment::Entry, &path);
        Ok(())
    }

    fn begin_file(&mut self, entry: Entry) -> Result<(), SinkError> {
        assert!(matches!(entry.kind, EntryKind::File { .. }));
        let path = entry.path.clone();
        self.keep(entry);
        self.open = Some((path.clone(), Vec::new()));
        self.call(Moment::Begin, &path);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        let path = self.open.as_ref().expect("a file is open").0.clone();
        self.call(Moment::Write, &path);
        if let Some(room) = &mut self.room {
            *room = room.checked_sub(bytes.len()).ok_or(SinkError)?;
        }
        self.open.as_mut().expect("a file is open").1.extend_from_slice(bytes);
        Ok(())
    }

    fn zeros(&mut self, length: u64) -> Result<(), SinkError> {
        self.zeros += length;
        let content = &mut self.open.as_mut().expect("a file is open").1;
        content.resize(content.len() + usize::try_from(length).expect("a small hole"), 0);
        Ok(())
    }

    fn end_file(&mut self) -> Result<(), SinkError> {
        self.files.push(self.open.take().expect("a file is open"));
        Ok(())
    }

    fn unreadable(&mut self, path: &[u8], reason: String) {
        self.unreadable.push((path.to_vec(), reason));
    }

    fn note(&mut self, what: &str) {
        self.notes.push(what.to_owned());
    }
}

/// The whole text of an error, as a person would see it.
pub(crate) fn text(error: &StoreError) -> String {
    let mut text = error.to_string();
    if let StoreError::Refused { hint: Some(hint), .. } = error {
        text = format!("{text} ({hint})");
    }
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// A scratch folder on the disk that the build is on: it takes extended attributes and holes.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a scratch folder in target/tmp")
}
