//! `muster keys`: the key files of this host, what the repository's key document says of them, and the next such document.

use std::path::PathBuf;

use muster_archive::{InitOptions, Repository};
use muster_signing::{KeyEntry, Role};
use serde_json::{Value, json};

use super::init::host_name;
use crate::config::Config;
use crate::context::{Context, believed};
use crate::edge::{self, Edge};
use crate::error::{CommandError, Kind, usage};
use crate::exit::Exit;
use crate::keyfiles;
use crate::ui::{Table, Tone};

/// Make and list the keys that sign
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  muster keys list
  muster keys generate pruner
  muster keys rotate
  muster keys export --to public-keys")]
pub(crate) enum Keys {
    /// Make the key files that the configuration names and this host lacks
    #[command(
        after_help = "A key counts once the root has vouched for it: `muster init`, where root.pem is at hand, adds it
to the repository.

Examples:
  muster keys generate              writer, rehearser and auditor
  muster keys generate pruner       the one that `init` does not make"
    )]
    Generate {
        /// writer, rehearser, auditor or pruner; the first three when none is named
        #[arg(value_name = "ROLE")]
        roles: Vec<String>,
    },
    /// List this host's key files and the keys that the repository's root vouches for
    #[command(after_help = "Examples:
  muster keys list
  muster keys list --json")]
    List,
    /// Let the root sign the next key document: the recipients and keys that the configuration names
    #[command(
        after_help = "Needs root.pem. From the next backup on, new archives are sealed to these recipients and to
nobody else; what was written before stays readable for who could read it then, and for nobody
who came later. No key is taken off the list: what it signed would count no more.

Examples:
  muster keys rotate"
    )]
    Rotate,
    /// Write what others need to know: root.pub, the public keys of each role, and the recipients
    #[command(after_help = "Examples:
  muster keys export --to public-keys")]
    Export {
        /// Directory to write to; made where it is absent
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
}

pub(crate) fn run(context: &Context, args: Keys) -> Result<Exit, CommandError> {
    match args {
        Keys::Generate { roles } => generate(context, &roles),
        Keys::List => list(context),
        Keys::Rotate => rotate(context),
        Keys::Export { to } => export(context, &to),
    }
}

/// Whether the configuration names other recipients than the root does.
pub(crate) fn differs(config: &Config, repository: &Repository) -> bool {
    let Some(named) = &config.recipients else { return false };
    let signed = &repository.keys().recipients;
    named.len() != signed.len() || named.iter().any(|recipient| !signed.contains(recipient))
}

/// Refuses to write in the clear where the configuration asks for encryption, and tells where the root sees it otherwise.
pub(crate) fn check_recipients(
    context: &Context,
    config: &Config,
    repository: &Repository,
) -> Result<(), CommandError> {
    if !differs(config, repository) {
        return Ok(());
    }
    if !repository.is_encrypted() {
        return Err(crate::error::config(
            "[repository] recipients asks for encryption, and the root's key document demands none: nothing is written",
        )
        .hint("muster keys rotate   (where root.pem is at hand)"));
    }
    context.ui.warn(
        "[repository] recipients is not what the root signed, and the root's word counts: `muster keys list`, `muster keys rotate`",
    );
    Ok(())
}

fn rotate(context: &Context) -> Result<Exit, CommandError> {
    let config = context.config()?;
    let root = keyfiles::secret(&config, Role::Root)?;
    let before = context.repository(&config)?;
    let (host, now) = (host_name(), edge::rfc3339(edge::now()));
    let mut keys = Vec::new();
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Root) {
        if let Some(key) = keyfiles::read_secret(keyfiles::path(&config, role))? {
            keys.push(KeyEntry::new(role, key.public(), &host, &now));
        }
    }
    let options = InitOptions {
        root: Some(&root),
        believed: believed(&config)?,
        keys,
        recipients: config
            .recipients
            .clone()
            .unwrap_or_else(|| before.keys().recipients.clone()),
        lock: config.repository.object_lock.map(|lock| lock.mode),
        state_dir: &config.state,
    };
    let objects = context.objects(&config.repository)?;
    let (repository, changed) = context.wait(Repository::rotate(objects, options, &Edge))?;
    let keys = repository.keys();
    context.ui.document(&json!({
        "schema": "muster.keys rotate/1",
        "repository": repository.id(),
        "epoch": keys.epoch,
        "changed": changed,
        "encryption": keys.encryption,
        "recipients": keys.recipients,
    }));
    context.ui.say(match changed {
        true => format!("signed the key document of epoch {}", keys.epoch),
        false => format!("the key document of epoch {} says so already", keys.epoch),
    });
    show_recipients(context, &repository);
    if changed && before.keys().recipients != keys.recipients {
        context.ui.note(
            "the next backup of each store leans only on what every present recipient can read: it may store everything again",
        );
    }
    Ok(Exit::Done)
}

fn show_recipients(context: &Context, repository: &Repository) {
    match repository.keys().recipients.as_slice() {
        [] => context
            .ui
            .say("encryption none: whoever can read the repository reads the archives"),
        some => {
            context
                .ui
                .say(format!("encryption {}, to", repository.keys().encryption));
            some.iter().for_each(|recipient| {
                context
                    .ui
                    .say(format!("  {}", crate::ui::printable(recipient.as_bytes())))
            });
        }
    }
}

fn export(context: &Context, to: &std::path::Path) -> Result<Exit, CommandError> {
    let config = context.config()?;
    let repository = context.repository(&config)?;
    let mut files = vec![("root.pub".to_owned(), repository.root().to_pem())];
    for entry in &repository.keys().keys {
        let id: String = entry.key_id.to_string().chars().take(16).collect();
        files.push((format!("{}-{id}.pub", entry.role), entry.public_key.to_pem()));
    }
    if repository.is_encrypted() {
        let mut lines = repository.keys().recipients.join("\n");
        lines.push('\n');
        files.push(("recipients.txt".to_owned(), lines));
    }
    let attempt = |error: std::io::Error| {
        CommandError::new(Kind::Failed, error).context(format!("write the public keys to {}", to.display()))
    };
    std::fs::create_dir_all(to).map_err(attempt)?;
    for (name, text) in &files {
        std::fs::write(to.join(name), text).map_err(attempt)?;
        context.ui.say(format!("wrote {}", to.join(name).display()));
    }
    context.ui.document(&json!({
        "schema": "muster.keys export/1",
        "repository": repository.id(),
        "epoch": repository.keys().epoch,
        "to": to,
        "files": files.iter().map(|(name, _)| name).collect::<Vec<_>>(),
    }));
    Ok(Exit::Done)
}

fn generate(context: &Context, names: &[String]) -> Result<Exit, CommandError> {
    let config = context.config()?;
    let mut roles = Vec::new();
    for name in names {
        let role = Role::ALL
            .into_iter()
            .find(|role| role.as_str() == name && *role != Role::Root);
        roles.push(role.ok_or_else(|| {
            usage(format!(
                "\"{name}\" is not a role of this host: writer, rehearser, auditor or pruner"
            ))
            .hint("muster init   (makes the root key)")
        })?);
    }
    if roles.is_empty() {
        roles = vec![Role::Writer, Role::Rehearser, Role::Auditor];
    }
    let mut made = Vec::new();
    for role in roles {
        let path = keyfiles::path(&config, role);
        let (key, new) = keyfiles::ensure_secret(path)?;
        let id = key.public().id().to_string();
        context.ui.say(format!(
            "{} {role} {} {id}",
            if new { "made" } else { "kept" },
            path.display()
        ));
        made.push(json!({ "role": role.as_str(), "path": path, "key_id": id, "created": new }));
    }
    if made.iter().any(|key| key["created"] == true) {
        context
            .ui
            .note("a new key counts once the root has vouched for it: muster init");
    }
    context
        .ui
        .document(&json!({ "schema": "muster.keys generate/1", "keys": made }));
    Ok(Exit::Done)
}

fn list(context: &Context) -> Result<Exit, CommandError> {
    let config = context.config()?;
    // Without a repository the files of this host are still worth showing.
    let repository = match context.repository(&config) {
        Ok(repository) => Some(repository),
        Err(error) if matches!(error.kind(), Kind::RepositoryMissing | Kind::Key) => None,
        Err(error) => return Err(error),
    };
    let (mut table, mut local, mut exit) = (
        Table::new(&["role", "file", "!key id", "!vouched for"]),
        Vec::new(),
        Exit::Done,
    );
    for role in Role::ALL {
        let path = keyfiles::path(&config, role);
        let Some(key) = keyfiles::read_secret(path)? else {
            continue;
        };
        let id = key.public().id();
        let vouched = repository.as_ref().map(|repository| match role {
            Role::Root => repository.root() == key.public(),
            _ => repository.keys().role_of(&id) == Some(role),
        });
        let (word, tone) = match vouched {
            Some(true) => ("yes", Tone::Good),
            Some(false) => ("no", Tone::Bad),
            None => ("no repository", Tone::Doubtful),
        };
        if vouched == Some(false) {
            exit = Exit::Key;
        }
        let exposed = keyfiles::is_exposed(path);
        if exposed {
            context.ui.warn(format!(
                "others may read the secret key {0}: chmod 600 {0}",
                path.display()
            ));
        }
        table.row([
            (role.to_string(), None),
            (path.display().to_string(), None),
            (id.to_string().chars().take(16).collect(), None),
            (word.to_owned(), Some(tone)),
        ]);
        local.push(json!({ "role": role.as_str(), "path": path, "key_id": id.to_string(), "vouched_for": vouched, "exposed": exposed }));
    }
    context.ui.table(&table);
    let document: Vec<Value> = repository
        .iter()
        .flat_map(|repository| &repository.keys().keys)
        .map(|entry| json!(entry))
        .collect();
    if let Some(repository) = &repository {
        context.ui.say(format!(
            "\nrepository {}, key epoch {}, root {}\n",
            repository.id(),
            repository.keys().epoch,
            repository.root().id()
        ));
        let mut table = Table::new(&["role", "name", "key id", "added"]);
        for entry in &repository.keys().keys {
            table.plain([
                entry.role.to_string(),
                crate::ui::printable(entry.name.as_bytes()),
                entry.key_id.to_string().chars().take(16).collect(),
                crate::ui::date(&entry.added),
            ]);
        }
        context.ui.table(&table);
        context.ui.say("");
        show_recipients(context, repository);
    }
    context.ui.document(&json!({
        "schema": "muster.keys list/1",
        "local": local,
        "repository": repository.as_ref().map(|repository| repository.id()),
        "epoch": repository.as_ref().map(|repository| repository.keys().epoch),
        "root_key_id": repository.as_ref().map(|repository| repository.root().id().to_string()),
        "encryption": repository.as_ref().map(|repository| &repository.keys().encryption),
        "recipients": repository.as_ref().map(|repository| &repository.keys().recipients),
        "keys": document,
    }));
    if exit == Exit::Key {
        context.ui.warn(
            "a key that the root does not vouch for cannot sign here: run `muster init` where root.pem is at hand",
        );
    }
    Ok(exit)
}
