//! `muster keys`: the key files of this host, and what the repository's key document says of them.

use muster_signing::Role;
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::{CommandError, Kind, usage};
use crate::exit::Exit;
use crate::keyfiles;
use crate::ui::{Table, Tone};

/// Make and list the keys that sign
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  muster keys list
  muster keys generate pruner")]
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
}

pub(crate) fn run(context: &Context, args: Keys) -> Result<Exit, CommandError> {
    match args {
        Keys::Generate { roles } => generate(context, &roles),
        Keys::List => list(context),
    }
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
    }
    context.ui.document(&json!({
        "schema": "muster.keys list/1",
        "local": local,
        "repository": repository.as_ref().map(|repository| repository.id()),
        "epoch": repository.as_ref().map(|repository| repository.keys().epoch),
        "root_key_id": repository.as_ref().map(|repository| repository.root().id().to_string()),
        "keys": document,
    }));
    if exit == Exit::Key {
        context.ui.warn(
            "a key that the root does not vouch for cannot sign here: run `muster init` where root.pem is at hand",
        );
    }
    Ok(exit)
}
