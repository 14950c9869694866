//! Lines for `/etc/cron.d`.
//!
//! No `flock`: a second run of a store ends at once with code 11 by itself. cron mails what a job prints, so jobs are quiet
//! and print errors only.

use super::{Job, calendar};
use crate::config::duration_text;
use crate::error::{CommandError, config as wrong};

pub(super) fn table(job: &Job<'_>, user: &str) -> Result<String, CommandError> {
    if user.is_empty()
        || !user
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
    {
        return Err(wrong(format!("\"{user}\" is not the name of a user")));
    }
    let command = format!(
        "{} --config {} --quiet",
        quote(&job.program.to_string_lossy())?,
        quote(&job.config_path.to_string_lossy())?
    );
    let mut text = String::from(
        "# muster: printed by `muster schedule cron`. Mail goes to MAILTO; exit 11 (a run was still busy) is told there too.\nSHELL=/bin/sh\n",
    );
    for store in &job.config.stores {
        let interval = match calendar::interval(store.objectives.rpo) {
            Ok(interval) => interval,
            Err(shortest) => {
                let rpo = store.objectives.rpo.map(duration_text).unwrap_or_default();
                text.push_str(&format!(
                    "# {}: snapshots alone cannot meet an RPO of {rpo}\n",
                    store.name
                ));
                shortest
            }
        };
        text.push_str(&format!(
            "{} {user} {command} backup {} >/dev/null\n",
            interval.cron, store.name
        ));
    }
    for (index, store) in job.config.stores.iter().enumerate() {
        text.push_str(&format!(
            "{} 3 * * 0 {user} {command} rehearse {} >/dev/null\n",
            index % 60,
            store.name
        ));
    }
    text.push_str(&format!("30 5 * * * {user} {command} audit >/dev/null\n"));
    Ok(text)
}

/// A word of the command line: cron ends a command at `%`, the shell at much else.
fn quote(word: &str) -> Result<String, CommandError> {
    if word.contains(['\n', '\0']) {
        return Err(wrong(format!("the path {word:?} cannot stand in a crontab")));
    }
    let plain = word
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-' | b'+' | b'@'));
    Ok(if plain {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''").replace('%', r"\%"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_one_word_for_cron_and_shell() {
        assert_eq!(quote("/usr/bin/muster").unwrap(), "/usr/bin/muster");
        assert_eq!(quote("/srv/a b").unwrap(), "'/srv/a b'");
        assert_eq!(quote("/srv/it's 5%").unwrap(), r"'/srv/it'\''s 5\%'");
        assert!(quote("/srv/a\nb").is_err());
    }
}
