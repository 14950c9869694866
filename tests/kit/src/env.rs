//! One hermetic place per test: own folder, own HOME, nothing inherited but PATH, and the binary under test run in it.
//!
//! Invariant: no test reads the machine's configuration, credentials or locale, and none leaves a file behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Bytes that must be free in a file system in memory, so that tests side by side fit.
const ROOM: u64 = 512 << 20;

/// A test's own folder and the binary that it runs there.
#[derive(Debug)]
pub struct TestEnv {
    folder: TempDir,
    binary: PathBuf,
}

impl TestEnv {
    /// A fresh folder for `binary`, which is usually `env!("CARGO_BIN_EXE_muster")`.
    pub fn new(binary: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("mtest").tempdir();
        Self::within(folder.expect("make a scratch folder"), binary)
    }

    fn within(folder: TempDir, binary: &str) -> Self {
        // Servers run as other users and must be able to pass through.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("open the scratch folder");
        for place in ["home", "tmp"] {
            fs::create_dir(folder.path().join(place)).expect("make a home");
        }
        Self {
            folder,
            binary: PathBuf::from(binary),
        }
    }

    /// The same with its folder in memory, where there is such a place with half a GiB of room: for many short runs that sync much.
    pub fn in_memory(binary: &str) -> Self {
        let memory = Path::new("/dev/shm");
        let mut builder = tempfile::Builder::new();
        let room = rustix::fs::statvfs(memory).map_or(0, |place| place.f_bavail * place.f_frsize);
        let made = match room >= ROOM {
            true => builder.prefix("mtest").tempdir_in(memory),
            false => builder.prefix("mtest").tempdir(),
        };
        Self::within(made.expect("make a scratch folder"), binary)
    }

    /// A path in the test's folder.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// The same, as text for configuration files.
    pub fn text(&self, relative: &str) -> String {
        self.path(relative)
            .to_str()
            .expect("scratch paths are UTF-8")
            .to_owned()
    }

    /// Writes a file, making the folders above it.
    pub fn write(&self, relative: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("make folders");
        fs::write(&path, bytes).expect("write a test file");
        path
    }

    /// Writes `muster.toml` for a local repository in `repo`, keys in `keys`, and these stores.
    pub fn configure(&self, stores: &str) {
        self.configure_repository(&format!("url = \"file://{}\"", self.text("repo")), stores);
    }

    /// The same with a `[repository]` section of the test's own.
    pub fn configure_repository(&self, repository: &str, stores: &str) {
        let text = format!(
            "[repository]\n{repository}\n\n[signing]\nkey = \"keys/signing.pem\"\n\n[trust]\nroot = \"keys/root.pub\"\n\n{stores}\n"
        );
        self.write("muster.toml", text);
    }

    /// The binary with the test's environment and configuration, ready to get arguments.
    pub fn command(&self) -> Command {
        let mut command = self.bare_command();
        command.arg("--config").arg(self.path("muster.toml"));
        command
    }

    /// The same without `--config`.
    pub fn bare_command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("LANG", "C.UTF-8")
            .env("TZ", "Pacific/Chatham") // nobody's output may depend on the zone
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Demands that nothing of what ran here was left in the temporary folder.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        let left: Vec<_> = fs::read_dir(self.path("tmp"))
            .expect("read tmp")
            .map(|entry| entry.expect("entry").path())
            .collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }

    /// Runs `muster LINE` to its end; `line` is cut at white space.
    pub fn run(&self, line: &str) -> Outcome {
        let mut command = self.command();
        command.args(line.split_whitespace());
        Outcome::of(command)
    }

    /// Runs it and demands exit 0.
    #[track_caller]
    pub fn ok(&self, line: &str) -> Outcome {
        self.run(line).expect_code(0)
    }
}

/// How a run of the binary ended.
#[derive(Debug)]
pub struct Outcome {
    /// Exit status, or 128 + the signal that ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    shown: String,
}

impl Outcome {
    /// Runs `command` to its end.
    pub fn of(mut command: Command) -> Self {
        let shown = format!("{command:?}");
        let output = command.output().unwrap_or_else(|error| panic!("{shown}: {error}"));
        Self::from_output(shown, output)
    }

    /// From what a spawned child left.
    pub fn from_output(shown: String, output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let code = output
            .status
            .code()
            .unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            code,
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            shown,
        }
    }

    /// Demands an exit code, and shows everything when it is another.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "{}\n--- stdout\n{}\n--- stderr\n{}",
            self.shown, self.stdout, self.stderr
        );
        self
    }

    /// The one JSON document on standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!(
                "{}: not one JSON document: {error}\n--- stdout\n{}\n--- stderr\n{}",
                self.shown, self.stdout, self.stderr
            )
        })
    }

    /// Demands that standard error speaks of each of these.
    #[track_caller]
    pub fn expect_error_to_name(self, words: &[&str]) -> Self {
        for word in words {
            assert!(
                self.stderr.contains(word),
                "{}\nno `{word}` in\n{}",
                self.shown,
                self.stderr
            );
        }
        self
    }
}
