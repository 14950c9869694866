//! The configuration files of the servers that muster protects: PostgreSQL, its `pg_hba.conf`, Redis, MariaDB.
//!
//! PostgreSQL's settings are an object of names in lower case, the last one winning, as the server reads them; `include` lines are
//! listed and not followed. `pg_hba.conf` is a list of records. Redis' directives are an object of lists of argument lists, since
//! several may be repeated. MariaDB's options are an object of groups.

use serde_json::{Map, Value, json};

use super::places::Met;

/// `postgresql.conf`: `name = value`, quotes and units kept out of the way. Source: the server's `guc-file.l`.
pub(super) fn postgres(text: &str, met: &mut Met<'_>) -> Result<Value, String> {
    let mut settings = Map::new();
    let mut includes = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let refuse = |reason: &str| format!("line {}: {reason}: {line}", index + 1);
        let end = line
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')))
            .unwrap_or(line.len());
        let name = line[..end].to_ascii_lowercase();
        if name.is_empty() {
            return Err(refuse("no name of a setting"));
        }
        let rest = line[end..].trim_start();
        let rest = rest.strip_prefix('=').map_or(rest, str::trim_start);
        let value = if let Some(quoted) = rest.strip_prefix('\'') {
            let (value, after) = quoted_value(quoted).ok_or_else(|| refuse("a quote is not closed"))?;
            if !(after.trim_start().is_empty() || after.trim_start().starts_with('#')) {
                return Err(refuse("something follows the value"));
            }
            value
        } else {
            let bare = rest.split('#').next().unwrap_or_default().trim();
            if bare.is_empty() || bare.contains(char::is_whitespace) {
                return Err(refuse("a setting needs one value"));
            }
            bare.to_owned()
        };
        if name.starts_with("include") {
            met(&["includes", &includes.len().to_string()], index + 1);
            includes.push(json!({"kind": name, "file": value}));
        } else {
            met(&["settings", &name], index + 1);
            settings.insert(name, Value::String(value));
        }
    }
    Ok(json!({"settings": settings, "includes": includes}))
}

fn quoted_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' if chars.next_if(|(_, next)| *next == '\'').is_some() => value.push('\''),
            '\'' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                other => value.push(other),
            },
            _ => value.push(c),
        }
    }
    None
}

/// `pg_hba.conf`: one record per line. Source: PostgreSQL's manual, "The pg_hba.conf File".
pub(super) fn hba(text: &str, met: &mut Met<'_>) -> Result<Value, String> {
    let mut rules = Vec::new();
    for (index, line) in joined(text) {
        let mut fields = fields(&line)
            .map_err(|reason| format!("line {}: {reason}", index + 1))?
            .into_iter();
        let Some(kind) = fields.next() else { continue };
        met(&["rules", &rules.len().to_string()], index + 1);
        let refuse = |what: &str| format!("line {}: a rule without {what}: {}", index + 1, line.trim());
        if kind.starts_with("include") {
            rules.push(json!({"line": index + 1, "type": kind, "file": fields.next()}));
            continue;
        }
        if !["local", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"].contains(&kind.as_str()) {
            return Err(format!("line {}: no such connection type: {kind}", index + 1));
        }
        let split = |list: String| -> Vec<String> { list.split(',').map(str::to_owned).collect() };
        let databases = split(fields.next().ok_or_else(|| refuse("databases"))?);
        let users = split(fields.next().ok_or_else(|| refuse("users"))?);
        let address = if kind == "local" {
            None
        } else {
            Some(fields.next().ok_or_else(|| refuse("an address"))?)
        };
        let mut method = fields.next().ok_or_else(|| refuse("a method"))?;
        let mut netmask = None;
        if address.as_ref().is_some_and(|address| !address.contains('/')) && method.parse::<std::net::IpAddr>().is_ok()
        {
            netmask = Some(std::mem::replace(
                &mut method,
                fields.next().ok_or_else(|| refuse("a method"))?,
            ));
        }
        let options: Map<String, Value> = fields
            .map(|option| match option.split_once('=') {
                Some((name, value)) => (name.to_owned(), Value::String(value.to_owned())),
                None => (option, Value::Bool(true)),
            })
            .collect();
        rules.push(json!({
            "line": index + 1, "type": kind, "databases": databases, "users": users, "address": address, "netmask": netmask,
            "method": method, "options": options,
        }));
    }
    Ok(json!({"rules": rules}))
}

/// The lines with the number of each (zero-based), one that a backslash ends together with those behind it.
fn joined(text: &str) -> Vec<(usize, String)> {
    let mut joined: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (index, line) in text.lines().enumerate() {
        let continued = line.strip_suffix('\\');
        let part = continued.map_or_else(|| line.to_owned(), |line| format!("{line}  "));
        match joined.last_mut().filter(|_| goes_on) {
            Some((_, before)) => before.push_str(&part),
            None => joined.push((index, part)),
        }
        goes_on = continued.is_some();
    }
    joined
}

/// Words and quoted words of a line, up to a comment.
fn fields(line: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut field: Option<String> = None;
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                field.get_or_insert_default();
            }
            '#' if !quoted => break,
            c if c.is_whitespace() && !quoted => fields.extend(field.take()),
            c => field.get_or_insert_default().push(c),
        }
    }
    if quoted {
        return Err("a quote is not closed".to_owned());
    }
    fields.extend(field);
    Ok(fields)
}

/// `redis.conf`: each directive's arguments, once per line on which it stands. Source: Redis' `sdssplitargs`.
pub(super) fn redis(text: &str, met: &mut Met<'_>) -> Result<Value, String> {
    let mut directives: Map<String, Value> = Map::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = redis_words(line).ok_or_else(|| format!("line {}: unbalanced quotes: {line}", index + 1))?;
        if words.is_empty() {
            continue;
        }
        let name = words.remove(0).to_lowercase();
        if let Value::Array(list) = directives.entry(name.clone()).or_insert_with(|| json!([])) {
            met(&[&name, &list.len().to_string()], index + 1);
            list.push(json!(words));
        }
    }
    Ok(Value::Object(directives))
}

fn redis_words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let Some(first) = chars.next() else { return Some(words) };
        let mut word = String::new();
        if first == '"' || first == '\'' {
            loop {
                match chars.next()? {
                    c if c == first => break,
                    '\\' if first == '"' => match chars.next()? {
                        'n' => word.push('\n'),
                        'r' => word.push('\r'),
                        't' => word.push('\t'),
                        other => word.push(other),
                    },
                    '\\' if chars.next_if_eq(&'\'').is_some() => word.push('\''),
                    c => word.push(c),
                }
            }
            if chars.peek().is_some_and(|c| !c.is_whitespace()) {
                return None;
            }
        } else {
            word.push(first);
            while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
                word.push(c);
            }
        }
        words.push(word);
    }
}

/// MariaDB's option files: groups of options, `-` and `_` in a name being the same, an option without a value being `true`.
pub(super) fn mariadb(text: &str, met: &mut Met<'_>) -> Result<Value, String> {
    let mut groups: Map<String, Value> = Map::new();
    let mut includes = Vec::new();
    let mut group: Option<String> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(include) = line.strip_prefix('!') {
            met(&["includes", &includes.len().to_string()], index + 1);
            let (kind, file) = include.split_once(char::is_whitespace).unwrap_or((include, ""));
            includes.push(json!({"kind": kind, "file": file.trim()}));
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let end = rest
                .find(']')
                .ok_or_else(|| format!("line {}: unclosed group: {line}", index + 1))?;
            group = Some(rest[..end].trim().to_owned());
            met(&["groups", rest[..end].trim()], index + 1);
            groups.entry(rest[..end].trim().to_owned()).or_insert_with(|| json!({}));
            continue;
        }
        let group = group
            .as_ref()
            .ok_or_else(|| format!("line {}: an option before any group: {line}", index + 1))?;
        let (name, value) = match line.split_once('=') {
            None => (line, Value::Bool(true)),
            Some((name, value)) => (name, Value::String(mariadb_value(value))),
        };
        let name = name.split('#').next().unwrap_or_default().trim().replace('-', "_");
        met(&["groups", group, &name], index + 1);
        if let Some(Value::Object(options)) = groups.get_mut(group) {
            options.insert(name, value);
        }
    }
    Ok(json!({"groups": groups, "includes": includes}))
}

fn mariadb_value(text: &str) -> String {
    let text = text.trim();
    for quote in ['\'', '"'] {
        if let Some(rest) = text.strip_prefix(quote)
            && let Some(end) = rest.find(quote)
        {
            return rest[..end].to_owned();
        }
    }
    text.split('#').next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_settings_are_read_as_the_server_reads_them() {
        let parsed = postgres(
            "# c\nWAL_Level = replica # why\narchive_command 'cp %p ''x'' # no'\nport=5433\nport = 5434\ninclude_if_exists 'a.conf'\nmy.own = on\n", &mut |_, _| {})
        .unwrap();
        assert_eq!(
            parsed,
            json!({
                "settings": {"wal_level": "replica", "archive_command": "cp %p 'x' # no", "port": "5434", "my.own": "on"},
                "includes": [{"kind": "include_if_exists", "file": "a.conf"}],
            })
        );
        assert!(postgres("a = 'x\n", &mut |_, _| {}).unwrap_err().starts_with("line 1"));
        assert!(postgres("fsync\n", &mut |_, _| {}).is_err());
    }

    #[test]
    fn hba_records_have_their_fields_by_name() {
        let parsed = hba("# c\nlocal all \\\n all peer map=x\nhost a,\"b c\" +admins 10.0.0.0 255.0.0.0 scram-sha-256\nhostssl all all ::/0 cert clientcert=verify-full\n", &mut |_, _| {}).unwrap();
        let rules = parsed["rules"].as_array().unwrap();
        assert_eq!(
            rules[0],
            json!({"line": 2, "type": "local", "databases": ["all"], "users": ["all"], "address": null, "netmask": null, "method": "peer", "options": {"map": "x"}})
        );
        assert_eq!(
            (&rules[1]["netmask"], &rules[1]["databases"]),
            (&json!("255.0.0.0"), &json!(["a", "b c"]))
        );
        assert_eq!(
            (&rules[2]["options"], &rules[2]["line"]),
            (&json!({"clientcert": "verify-full"}), &json!(5))
        );
        assert!(
            hba("host all all\n", &mut |_, _| {})
                .unwrap_err()
                .contains("an address")
        );
    }

    #[test]
    fn redis_and_mariadb_keep_what_is_repeated_and_what_has_no_value() {
        assert_eq!(
            redis("save 900 1\nsave \"300 10\"\nrequirepass 'a b'\n", &mut |_, _| {}).unwrap(),
            json!({"save": [["900", "1"], ["300 10"]], "requirepass": [["a b"]]})
        );
        assert!(redis("a \"b\n", &mut |_, _| {}).is_err());
        assert_eq!(
            mariadb(
                "[mysqld]\nskip-name-resolve\nlog-bin = mysql # c\n!includedir /etc/x\n",
                &mut |_, _| {}
            )
            .unwrap(),
            json!({"groups": {"mysqld": {"skip_name_resolve": true, "log_bin": "mysql"}}, "includes": [{"kind": "includedir", "file": "/etc/x"}]})
        );
    }
}
