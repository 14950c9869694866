//! What is asked of a server, and what would have to be granted for an answer.
//!
//! Invariant: queries read catalogs and statistics only, and none returns what may hold a secret: no options of `pg_hba.conf`
//! (LDAP passwords), no `primary_conninfo`, no verifiers of passwords.

/// One fact and its query, whose only value is JSON.
pub(super) struct Query {
    pub(super) fact: &'static str,
    pub(super) sql: &'static str,
    /// What lets a role that may only log in ask it; `{role}` is the role.
    pub(super) grant: Option<&'static str>,
}

/// What a role needs to see every setting.
pub(super) const SETTINGS_GRANT: &str = "GRANT pg_read_all_settings TO {role};";
/// What a role needs to see what others' sessions do.
pub(super) const STATS_GRANT: &str = "GRANT pg_read_all_stats TO {role};";

/// Told by value.
pub(super) const SETTINGS: [&str; 33] = [
    "archive_library",
    "archive_mode",
    "archive_timeout",
    "checkpoint_timeout",
    "cluster_name",
    "data_checksums",
    "default_transaction_read_only",
    "fsync",
    "full_page_writes",
    "hot_standby",
    "in_hot_standby",
    "listen_addresses",
    "log_connections",
    "log_disconnections",
    "log_statement",
    "logging_collector",
    "max_connections",
    "max_replication_slots",
    "max_slot_wal_keep_size",
    "max_wal_senders",
    "max_wal_size",
    "password_encryption",
    "port",
    "row_security",
    "server_version",
    "ssl",
    "ssl_min_protocol_version",
    "synchronous_commit",
    "synchronous_standby_names",
    "track_commit_timestamp",
    "wal_compression",
    "wal_keep_size",
    "wal_level",
];
/// Told as set or not: the value may hold a secret.
pub(super) const SET_OR_NOT: [&str; 2] = ["archive_command", "restore_command"];

/// Asked once per server, in the database that the URL names.
pub(super) const OF_THE_SERVER: [Query; 11] = [
    Query {
        fact: "server",
        sql: "\
select json_build_object('version', current_setting('server_version'), \
'major', (current_setting('server_version_num')::int / 10000)::text, \
'version_num', current_setting('server_version_num')::int, 'address', host(inet_server_addr()), 'port', inet_server_port(), \
'database', current_database(), 'in_recovery', pg_is_in_recovery(), \
'started_at', to_char(pg_postmaster_start_time() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), \
'clock', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'))",
        grant: None,
    },
    Query {
        fact: "identity",
        sql: "\
select json_build_object('system_identifier', (select system_identifier::text from pg_control_system()), \
'timeline', (select timeline_id from pg_control_checkpoint()))",
        grant: Some(
            "GRANT EXECUTE ON FUNCTION pg_control_system() TO {role}; GRANT EXECUTE ON FUNCTION pg_control_checkpoint() TO {role};",
        ),
    },
    Query {
        fact: "replication_slots",
        sql: "\
select coalesce(json_agg(json_build_object('name', slot_name, 'type', slot_type, 'active', active, 'temporary', temporary, \
'wal_status', wal_status, 'retained_bytes', pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn() \
else pg_current_wal_lsn() end, restart_lsn)) order by slot_name), '[]') from pg_replication_slots where not temporary",
        grant: Some("GRANT pg_monitor TO {role};"),
    },
    Query {
        fact: "archiver",
        sql: "\
select json_build_object('archived_count', archived_count, 'last_archived_wal', last_archived_wal, \
'last_archived_time', to_char(last_archived_time at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), \
'failed_count', failed_count, 'last_failed_wal', last_failed_wal, \
'last_failed_time', to_char(last_failed_time at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), \
'failing', last_failed_time is not null and (last_archived_time is null or last_failed_time > last_archived_time)) \
from pg_stat_archiver",
        grant: Some("GRANT pg_monitor TO {role};"),
    },
    Query {
        fact: "role",
        sql: "\
select json_build_object('name', rolname, 'superuser', rolsuper, 'replication', rolreplication, 'create_role', rolcreaterole, \
'create_database', rolcreatedb, 'bypass_row_security', rolbypassrls, \
'reads_all_data', pg_has_role(oid, 'pg_read_all_data', 'member'), 'monitors', pg_has_role(oid, 'pg_monitor', 'member'), \
'valid_until', to_char(rolvaliduntil at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')) \
from pg_roles where rolname = current_user",
        grant: None,
    },
    Query {
        fact: "session",
        sql: "\
select json_build_object('encrypted', ssl, 'protocol', version, 'cipher', cipher) from pg_stat_ssl where pid = pg_backend_pid()",
        grant: None,
    },
    Query {
        fact: "hba_rules",
        sql: "\
select coalesce(json_agg(json_build_object('line', line_number, 'type', type, 'database', database, 'user', user_name, \
'address', address, 'netmask', netmask, 'method', auth_method, 'error', error) order by line_number), '[]') from pg_hba_file_rules",
        grant: Some(
            "GRANT SELECT ON pg_hba_file_rules TO {role}; GRANT EXECUTE ON FUNCTION pg_hba_file_rules() TO {role};",
        ),
    },
    Query {
        fact: "roles",
        sql: "\
select coalesce(json_agg(json_build_object('name', rolname, 'login', rolcanlogin, 'superuser', rolsuper, \
'create_role', rolcreaterole, 'create_database', rolcreatedb, 'replication', rolreplication, 'bypass_row_security', rolbypassrls, \
'connection_limit', rolconnlimit, 'valid_until', to_char(rolvaliduntil at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')) \
order by rolname), '[]') from pg_roles where rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls",
        grant: None,
    },
    Query {
        fact: "role_counts",
        sql: "\
select json_build_object('all', count(*), 'login', count(*) filter (where rolcanlogin), \
'superuser', count(*) filter (where rolsuper)) from pg_roles",
        grant: None,
    },
    Query {
        fact: "database_bytes",
        sql: "select sum(pg_database_size(oid)) from pg_database",
        grant: Some(STATS_GRANT),
    },
    Query {
        fact: "standbys",
        sql: "\
select coalesce(json_agg(json_build_object('name', application_name, 'state', state, 'sync', sync_state, \
'replay_lag_seconds', extract(epoch from replay_lag)) order by pid), '[]') from pg_stat_replication",
        grant: Some(STATS_GRANT),
    },
];

/// The databases that anybody can be let into, templates among them: new databases inherit from those.
pub(super) const DATABASES: &str = "\
select coalesce(json_agg(datname order by datname), '[]') from pg_database where datallowconn";

/// What lets a role into a database.
pub(super) const DATABASE_GRANT: &str = "GRANT CONNECT ON DATABASE {database} TO {role};";

/// Asked once per database.
pub(super) const OF_A_DATABASE: &str = "\
select json_build_object(\
'public_may_create', exists (select from pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) as entry \
where nspname = 'public' and entry.grantee = 0 and entry.privilege_type = 'CREATE'), \
'untrusted_languages', (select coalesce(json_agg(lanname order by lanname), '[]') from pg_language \
where not lanpltrusted and lanname not in ('internal', 'c')), \
'policies_not_enforced', (select coalesce(json_agg(nspname || '.' || relname order by nspname, relname), '[]') from pg_class \
join pg_namespace on pg_namespace.oid = relnamespace where not relrowsecurity \
and exists (select from pg_policy where polrelid = pg_class.oid)), \
'extensions', (select coalesce(json_agg(json_build_object('name', extname, 'version', extversion, 'schema', nspname, \
'default_version', default_version) order by extname), '[]') from pg_extension \
join pg_namespace on pg_namespace.oid = extnamespace left join pg_available_extensions on name = extname))";

/// The settings as rows of name and value.
pub(super) fn settings() -> String {
    let quoted = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("'{name}'"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (told, hidden) = (quoted(&SETTINGS), quoted(&SET_OR_NOT));
    format!(
        "select name, case when name in ({hidden}) then case when setting in ('', '(disabled)') then 'not set' else 'set' end \
         else current_setting(name) end from pg_settings where name in ({told}, {hidden}) order by name"
    )
}

/// A name as SQL writes it.
pub(super) fn identifier(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.bytes().all(plain) && !name.starts_with(|first: char| first.is_ascii_digit()) && !name.is_empty() {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_plain_is_quoted() {
        assert_eq!(identifier("backup_2"), "backup_2");
        assert_eq!(identifier("Back\"up"), "\"Back\"\"up\"");
        assert_eq!(identifier("2nd"), "\"2nd\"");
    }
}
