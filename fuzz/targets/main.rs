//! Replays and mutates: every target's inputs, then changed ones for some seconds, without coverage, on the pinned toolchain.
//!
//! What coverage finds, libFuzzer finds (`bench/fuzz`); this keeps that from coming back, and sees to it that the targets build.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool of its own, which reports"
)]

mod child;
mod mutate;

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use muster_fuzz::{TARGETS, Target, sort, target};

const USAGE: &str =
    "muster-fuzz [--seconds N] [--jobs N] [--seed N] [TARGET…]   replay and mutate, all targets or these
muster-fuzz list                                             their names
muster-fuzz run TARGET FILE…                                 take these inputs
muster-fuzz sort REPOSITORY FOLDER [INDEX-KEY]               what lies in a repository, as inputs by target";

/// An input that takes longer is a finding; a policy may take 30 seconds.
const LONGEST: Duration = Duration::from_secs(90);

type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["list"] => {
            TARGETS.iter().for_each(|target| println!("{}", target.name));
            Ok(true)
        }
        ["run", name, files @ ..] => take(name, files),
        ["sort", repository, folder, key @ ..] => {
            sort::repository(Path::new(repository), Path::new(folder), key.first().map(Path::new)).map(|sorted| {
                println!("{sorted} inputs in {folder}");
                true
            })
        }
        ["child", name, seconds, seed, current] => be_child(name, seconds, seed, Path::new(current)),
        words => options(words).and_then(|options| all(&options)),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("muster-fuzz: {why}");
            ExitCode::from(2)
        }
    }
}

struct Options {
    seconds: u64,
    jobs: usize,
    seed: u64,
    targets: Vec<&'static Target>,
}

fn options(words: &[&str]) -> Result<Options> {
    let mut options = Options {
        seconds: 5,
        jobs: 2,
        seed: 0,
        targets: Vec::new(),
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut number = || -> Result<u64> {
            let text = words.next().ok_or_else(|| format!("{word} needs a number"))?;
            text.parse().map_err(|_| format!("{word} needs a number: {text}"))
        };
        match *word {
            "--seconds" => options.seconds = number()?,
            "--jobs" => options.jobs = usize::try_from(number()?.max(1)).unwrap_or(1),
            "--seed" => options.seed = number()?,
            name => options.targets.push(named(name)?),
        }
    }
    if options.targets.is_empty() {
        options.targets = TARGETS.iter().collect();
    }
    Ok(options)
}

fn named(name: &str) -> Result<&'static Target> {
    target(name).ok_or_else(|| format!("no target {name:?}; muster-fuzz list shows them all\n{USAGE}"))
}

/// `fuzz/`.
fn home() -> &'static Path {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR"));
    targets.parent().unwrap_or(targets)
}

/// What a target makes itself, and what is committed.
fn inputs(target: &Target) -> Result<Vec<Vec<u8>>> {
    let mut inputs = (target.seeds)();
    let folder = home().join("seeds").join(target.name);
    let Ok(listing) = fs::read_dir(&folder) else {
        return Ok(inputs);
    };
    let mut files: Vec<PathBuf> = listing.flatten().map(|entry| entry.path()).collect();
    files.sort();
    for file in files {
        inputs.push(fs::read(&file).map_err(|error| format!("read {}: {error}", file.display()))?);
    }
    Ok(inputs)
}

fn take(name: &str, files: &[&str]) -> Result<bool> {
    let target = named(name)?;
    for file in files {
        let bytes = fs::read(file).map_err(|error| format!("read {file}: {error}"))?;
        (target.check)(&bytes);
        println!("{file}: nothing found");
    }
    Ok(true)
}

fn be_child(name: &str, seconds: &str, seed: &str, current: &Path) -> Result<bool> {
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("no number: {text}"));
    let (target, time, seed) = (named(name)?, Duration::from_secs(number(seconds)?), number(seed)?);
    let inputs = inputs(target)?;
    let current = current.to_owned();
    // What panics and is contained, as an evaluator on a thread of its own, need not be told.
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() == Some("target") {
            told(info);
        }
    }));
    let thread = std::thread::Builder::new().name("target".to_owned());
    let thread = thread.spawn(move || child::run(target, &inputs, time, seed, &current));
    let done = thread.map_err(|error| format!("start a thread: {error}"))?;
    let done = done.join().map_err(|_| "a promise was broken".to_owned())??;
    println!("{done}");
    Ok(true)
}

/// A target that runs.
struct Running {
    target: &'static Target,
    child: Child,
    current: PathBuf,
    errors: PathBuf,
    seen: u64,
    since: Instant,
}

fn all(options: &Options) -> Result<bool> {
    let folder = tempfile::tempdir().map_err(|error| format!("make a folder: {error}"))?;
    let mut waiting: VecDeque<_> = options.targets.iter().copied().collect();
    let mut running: Vec<Running> = Vec::new();
    let (mut executions, mut findings) = (0, 0);
    while !(waiting.is_empty() && running.is_empty()) {
        while running.len() < options.jobs
            && let Some(target) = waiting.pop_front()
        {
            running.push(start(target, options, folder.path())?);
        }
        std::thread::sleep(Duration::from_millis(20));
        let mut still = Vec::new();
        for mut one in running {
            match ended(&mut one)? {
                None => still.push(one),
                Some(Ok(done)) => {
                    executions += done;
                    println!("{:<18} {done:>9} executions", one.target.name);
                }
                Some(Err(why)) => {
                    findings += 1;
                    println!("{:<18} FOUND {why}", one.target.name);
                }
            }
        }
        running = still;
    }
    println!(
        "fuzz: {} targets, {executions} executions, {findings} findings",
        options.targets.len()
    );
    Ok(findings == 0)
}

fn start(target: &'static Target, options: &Options, folder: &Path) -> Result<Running> {
    let program = std::env::current_exe().map_err(|error| format!("find this program: {error}"))?;
    let (current, errors) = (folder.join(target.name), folder.join(format!("{}.err", target.name)));
    let told = fs::File::create(&errors).map_err(|error| format!("make {}: {error}", errors.display()))?;
    let child = Command::new(program)
        .args(["child", target.name, &options.seconds.to_string(), &options.seed.to_string()])
        .arg(&current)
        // One arena: address space is what is limited, and each arena takes 64 MiB of it.
        .env("MALLOC_ARENA_MAX", "1")
        .stdout(Stdio::piped())
        .stderr(told)
        .spawn()
        .map_err(|error| format!("start {}: {error}", target.name))?;
    Ok(Running {
        target,
        child,
        current,
        errors,
        seen: u64::MAX,
        since: Instant::now(),
    })
}

/// How a target ended: so many executions, or a finding.
fn ended(one: &mut Running) -> Result<Option<std::result::Result<u64, String>>> {
    let waited = |error: std::io::Error| format!("wait for {}: {error}", one.target.name);
    let Some(status) = one.child.try_wait().map_err(waited)? else {
        let count = noted(&one.current).map_or(0, |(count, _)| count);
        if count != one.seen {
            (one.seen, one.since) = (count, Instant::now());
        } else if one.since.elapsed() > LONGEST {
            one.child
                .kill()
                .map_err(|error| format!("end {}: {error}", one.target.name))?;
            let _ = one.child.wait();
            let kept = keep(one)?;
            return Ok(Some(Err(format!("{kept}: takes longer than {} s", LONGEST.as_secs()))));
        }
        return Ok(None);
    };
    let mut said = String::new();
    if let Some(out) = &mut one.child.stdout {
        let _ = std::io::Read::read_to_string(out, &mut said);
    }
    if status.success() {
        return Ok(Some(
            said.trim().parse().map_err(|_| format!("an unexpected answer: {said}")),
        ));
    }
    let kept = keep(one)?;
    let told = fs::read_to_string(&one.errors).unwrap_or_default();
    Ok(Some(Err(format!("{kept}: {status}\n{told}"))))
}

/// How many inputs came before the one that is being taken, and that one.
fn noted(current: &Path) -> Option<(u64, Vec<u8>)> {
    let bytes = fs::read(current).ok()?;
    let (count, rest) = bytes.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    debug_assert_eq!(child::HEADER, count.len() + 8);
    Some((u64::from_le_bytes(*count), rest.get(..length)?.to_vec()))
}

fn keep(one: &Running) -> Result<String> {
    let Some((_, input)) = noted(&one.current) else {
        return Ok("no input".to_owned());
    };
    let folder = home().join("artifacts").join(one.target.name);
    let name = blake3::hash(&input).to_hex();
    let path = folder.join(format!("found-{}", &name[..16]));
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&path, &input))
        .map_err(|error| format!("keep {}: {error}", path.display()))?;
    Ok(path.display().to_string())
}
