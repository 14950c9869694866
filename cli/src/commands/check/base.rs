//! The same files as a git revision has them, judged by the same policies.
//!
//! Invariant: the work tree and git's index are not touched; what the revision lacks is simply not there.

use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use muster_policies::{CheckOptions, Report};

use crate::error::{CommandError, Kind, usage};

/// Judges what `revision` has of these paths.
pub(super) fn report(revision: &str, paths: &[PathBuf], options: &CheckOptions) -> Result<Report, CommandError> {
    if revision.starts_with('-') {
        return Err(usage(format!("no git revision: {revision}")));
    }
    for path in paths {
        if !path
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        {
            return Err(usage(format!(
                "--base compares paths beneath the current folder, which {} is not",
                path.display()
            )));
        }
        if path.as_os_str() == "-" {
            return Err(usage("--base cannot compare standard input: name the files"));
        }
    }
    let scratch = tempfile::tempdir().map_err(|error| failed("make a folder for the base of the comparison", error))?;
    unpack(revision, scratch.path())?;
    let mut options = options.clone();
    let absolute = |path: &PathBuf| std::path::absolute(path).map_err(|error| failed("find the current folder", error));
    options.policies = options.policies.iter().map(absolute).collect::<Result<_, _>>()?;
    options.data = options.data.iter().map(absolute).collect::<Result<_, _>>()?;
    options.protos = options.protos.iter().map(absolute).collect::<Result<_, _>>()?;
    options.waivers = options.waivers.as_ref().map(absolute).transpose()?;
    let there: Vec<PathBuf> = paths
        .iter()
        .map(|path| scratch.path().join(path))
        .filter(|path| exists(path))
        .collect();
    let mut report = muster_policies::check(&there, &options)?;
    report.relocate(scratch.path());
    Ok(report)
}

/// Whether the path, or what a pattern begins with, is there.
fn exists(path: &Path) -> bool {
    path.exists() || path.to_string_lossy().contains(['*', '?', '[', '{'])
}

fn unpack(revision: &str, into: &Path) -> Result<(), CommandError> {
    let mut archive = Command::new("git")
        .args(["archive", "--format=tar", revision, "--", "."])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed("run git, which --base needs", error))?;
    let Some(bytes) = archive.stdout.take() else {
        return Err(CommandError::new(Kind::Failed, "git gave no output"));
    };
    let unpacked = Command::new("tar")
        .args(["--extract", "--no-same-owner", "--file=-", "--directory"])
        .arg(into)
        .stdin(bytes)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|error| failed("run tar, which --base needs", error))?;
    let output = archive
        .wait_with_output()
        .map_err(|error| failed("wait for git", error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let reason = said.lines().next().unwrap_or("no reason given").to_owned();
        return Err(usage(format!("git has no {revision} to compare with: {reason}")));
    }
    if !unpacked.success() {
        return Err(CommandError::new(
            Kind::Failed,
            format!("tar could not unpack {revision}"),
        ));
    }
    Ok(())
}

fn failed(attempt: &str, error: std::io::Error) -> CommandError {
    CommandError::new(Kind::Failed, error).context(attempt.to_owned())
}
