//! systemd service and timer pairs, as confined as the work allows.

use std::path::Path;

use super::{Job, calendar};
use crate::config::{StoreConfig, StoreKind, duration_text};
use crate::error::{CommandError, config as wrong};

/// File name and content of every unit.
pub(super) fn units(job: &Job<'_>) -> Result<Vec<(String, String)>, CommandError> {
    let mut units = Vec::new();
    for store in &job.config.stores {
        let name = format!("muster-backup-{}", store.name);
        let (interval, remark) = match calendar::interval(store.objectives.rpo) {
            Ok(interval) => (interval, String::new()),
            Err(shortest) => {
                let rpo = store.objectives.rpo.map(duration_text).unwrap_or_default();
                (shortest, format!("# Snapshots alone cannot meet an RPO of {rpo}.\n"))
            }
        };
        let about = format!("muster: back up {}", store.name);
        units.push((
            format!("{name}.service"),
            service(job, &about, &["backup", &store.name], Some(store))?,
        ));
        units.push((
            format!("{name}.timer"),
            timer(&about, interval.on_calendar, &remark, interval.seconds / 20),
        ));
    }
    for (index, store) in job.config.stores.iter().enumerate() {
        let name = format!("muster-rehearse-{}", store.name);
        let about = format!("muster: rehearse the restore of {}", store.name);
        let when = format!("Sun *-*-* 03:{:02}:00", index % 60);
        units.push((
            format!("{name}.service"),
            service(job, &about, &["rehearse", &store.name], None)?,
        ));
        units.push((format!("{name}.timer"), timer(&about, &when, "", 600)));
    }
    let about = "muster: collect, judge and sign the evidence";
    units.push(("muster-audit.service".into(), service(job, about, &["audit"], None)?));
    units.push(("muster-audit.timer".into(), timer(about, "*-*-* 05:30:00", "", 600)));
    Ok(units)
}

fn service(
    job: &Job<'_>,
    about: &str,
    arguments: &[&str],
    backed_up: Option<&StoreConfig>,
) -> Result<String, CommandError> {
    let mut writable = vec![job.config.state.clone()];
    if let Some(path) = job.config.repository.url.strip_prefix("file://") {
        writable.push(path.into());
    }
    if arguments == ["audit"] {
        writable.extend(job.config_path.parent().map(Path::to_owned));
    }
    // A reader of a SQLite database in WAL mode takes part in its locking, beside the database.
    if let Some(StoreConfig {
        kind: StoreKind::Sqlite { path },
        ..
    }) = backed_up
    {
        writable.extend(path.parent().map(Path::to_owned));
    }
    let writable = writable
        .iter()
        .map(|path| word(&path.to_string_lossy()))
        .collect::<Result<Vec<_>, _>>()?;
    // A backup reads what others own. A rehearsal hands the restored data to the engine's own user.
    let capabilities = match backed_up {
        Some(_) => "CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH",
        None => "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_KILL CAP_SETGID CAP_SETUID",
    };
    Ok(format!(
        "[Unit]
Description={about}
Documentation=man:muster(1)
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={program} --config {config} --quiet {arguments}
# 11: an earlier run of the same store is still busy, and will finish.
SuccessExitStatus=11
KillSignal=SIGTERM
TimeoutStopSec=60
UMask=0077
Nice=10
IOSchedulingClass=best-effort
IOSchedulingPriority=7
NoNewPrivileges=yes
CapabilityBoundingSet={capabilities}
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={writable}
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
SystemCallArchitectures=native
",
        program = word(&job.program.to_string_lossy())?,
        config = word(&job.config_path.to_string_lossy())?,
        arguments = arguments.join(" "),
        writable = writable
            .iter()
            .map(|path| format!("-{path}"))
            .collect::<Vec<_>>()
            .join(" "),
    ))
}

fn timer(about: &str, on_calendar: &str, remark: &str, jitter: u64) -> String {
    format!(
        "[Unit]
Description={about}

[Timer]
{remark}OnCalendar={on_calendar}
RandomizedDelaySec={jitter}
Persistent=yes

[Install]
WantedBy=timers.target
"
    )
}

/// A word in a unit file: `%` begins a specifier, white space and quotes end a word.
fn word(text: &str) -> Result<String, CommandError> {
    if text.chars().any(|character| {
        character.is_whitespace() || character.is_control() || matches!(character, '"' | '\'' | '\\' | '$')
    }) {
        return Err(wrong(format!(
            "the path {text:?} has characters that do not go into a unit file"
        )));
    }
    Ok(text.replace('%', "%%"))
}
