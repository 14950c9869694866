//! The questions, and what their answers mean.

use aws_sdk_s3::types::{
    BucketVersioningStatus, ExpirationStatus, Grant, LifecycleRule, PublicAccessBlockConfiguration,
    ReplicationRuleStatus,
};
use serde_json::{Value, json};

use super::{Question, Survey, Told};

const VERSIONING: Question = Question {
    fact: "versioning",
    query: "versioning",
    permission: "s3:GetBucketVersioning",
    absent: &[],
};
const OBJECT_LOCK: Question = Question {
    fact: "object_lock",
    query: "object-lock",
    permission: "s3:GetBucketObjectLockConfiguration",
    absent: &["ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration"],
};
const ENCRYPTION: Question = Question {
    fact: "encryption",
    query: "encryption",
    permission: "s3:GetEncryptionConfiguration",
    absent: &["ServerSideEncryptionConfigurationNotFoundError"],
};
const PUBLIC_ACCESS_BLOCK: Question = Question {
    fact: "public_access_block",
    query: "publicAccessBlock",
    permission: "s3:GetBucketPublicAccessBlock",
    absent: &["NoSuchPublicAccessBlockConfiguration"],
};
const POLICY: Question = Question {
    fact: "policy",
    query: "policy",
    permission: "s3:GetBucketPolicy",
    absent: &["NoSuchBucketPolicy"],
};
const POLICY_STATUS: Question = Question {
    fact: "policy_status",
    query: "policyStatus",
    permission: "s3:GetBucketPolicyStatus",
    absent: &["NoSuchBucketPolicy"],
};
const ACL: Question = Question {
    fact: "acl",
    query: "acl",
    permission: "s3:GetBucketAcl",
    absent: &[],
};
const LIFECYCLE: Question = Question {
    fact: "lifecycle",
    query: "lifecycle",
    permission: "s3:GetLifecycleConfiguration",
    absent: &["NoSuchLifecycleConfiguration"],
};
const REPLICATION: Question = Question {
    fact: "replication",
    query: "replication",
    permission: "s3:GetReplicationConfiguration",
    absent: &["ReplicationConfigurationNotFoundError"],
};

/// What a public access block is made of.
const BLOCKS: [&str; 4] = [
    "BlockPublicAcls",
    "IgnorePublicAcls",
    "BlockPublicPolicy",
    "RestrictPublicBuckets",
];

/// Sends a question with an ear on the wire.
macro_rules! asked {
    ($survey:ident, $question:ident, $call:ident) => {{
        let (client, bucket) = (&$survey.store.client, &$survey.store.bucket);
        $survey
            .ask(&$question, |ear| {
                client.$call().bucket(bucket).customize().interceptor(ear).send()
            })
            .await
    }};
}

impl Survey<'_> {
    pub(super) async fn ask_all(&mut self) {
        let told = asked!(self, VERSIONING, get_bucket_versioning);
        self.keep("versioning", told, &["mfa_delete"], |is| {
            let on = is.status() == Some(&BucketVersioningStatus::Enabled);
            (
                on,
                json!({"mfa_delete": is.mfa_delete().is_some_and(|said| said.as_str() == "Enabled")}),
            )
        });
        let told = asked!(self, OBJECT_LOCK, get_object_lock_configuration);
        self.keep("object_lock", told, &["mode", "days"], |is| {
            let lock = is.object_lock_configuration();
            let on = lock.and_then(|lock| lock.object_lock_enabled()).is_some();
            let kept = lock
                .and_then(|lock| lock.rule())
                .and_then(|rule| rule.default_retention());
            let years = kept.and_then(|kept| kept.years()).map(|years| i64::from(years) * 365);
            let days = kept.and_then(|kept| kept.days()).map(i64::from).or(years);
            let mode = kept.and_then(|kept| kept.mode()).map(|mode| mode.as_str().to_owned());
            (on, json!({"mode": mode, "days": days}))
        });
        let told = asked!(self, ENCRYPTION, get_bucket_encryption);
        self.keep("encryption", told, &["algorithm"], |is| {
            let rules = is
                .server_side_encryption_configuration()
                .map_or(&[][..], |all| all.rules());
            let by_default = rules
                .iter()
                .find_map(|rule| rule.apply_server_side_encryption_by_default());
            let algorithm = by_default.map(|by| by.sse_algorithm().as_str().to_owned());
            (algorithm.is_some(), json!({"algorithm": algorithm}))
        });
        let told = match asked!(self, PUBLIC_ACCESS_BLOCK, get_public_access_block) {
            Told::Is(is) => Told::Is(is.public_access_block_configuration().map(blocks)),
            Told::Absent => Told::Absent,
            Told::Unknown(why) => match self
                .raw
                .get(PUBLIC_ACCESS_BLOCK.fact)
                .and_then(|raw| misnamed_blocks(raw))
            {
                Some(blocks) => Told::Is(Some(blocks)),
                None => Told::Unknown(why),
            },
        };
        self.keep("public_access_block", told, &["missing"], |blocks| {
            let missing: Vec<_> = BLOCKS
                .iter()
                .zip(blocks.unwrap_or_default())
                .filter_map(|(name, set)| (!set).then_some(name))
                .collect();
            (missing.len() < BLOCKS.len(), json!({"missing": missing}))
        });
        self.ask_who_may().await;
        let told = asked!(self, LIFECYCLE, get_bucket_lifecycle_configuration);
        let prefix = self.store.prefix.clone();
        self.keep("lifecycle", told, &["rules"], |is| {
            let enabled = is
                .rules()
                .iter()
                .filter(|rule| *rule.status() == ExpirationStatus::Enabled);
            let rules: Vec<_> = enabled.map(|rule| lifecycle(rule, &prefix)).collect();
            (!rules.is_empty(), json!({"rules": rules}))
        });
        let told = asked!(self, REPLICATION, get_bucket_replication);
        self.keep("replication", told, &["rules"], |is| {
            let rules = is.replication_configuration().map_or(&[][..], |all| all.rules());
            let enabled = rules
                .iter()
                .filter(|rule| *rule.status() == ReplicationRuleStatus::Enabled);
            (true, json!({"rules": enabled.count()}))
        });
    }

    async fn ask_who_may(&mut self) {
        let told = asked!(self, POLICY, get_bucket_policy);
        let status = match &told {
            Told::Is(_) => match asked!(self, POLICY_STATUS, get_bucket_policy_status) {
                Told::Is(is) => is.policy_status().and_then(|status| status.is_public()),
                _ => None,
            },
            _ => None,
        };
        self.keep("policy", told, &["public"], |is| {
            let read = is.policy().and_then(|text| serde_json::from_str(text).ok());
            // Our own reading only ever adds what is plain.
            let public = status.or_else(|| read.as_ref().is_some_and(lets_everybody_in).then_some(true));
            (true, json!({"public": public}))
        });
        let told = asked!(self, ACL, get_bucket_acl);
        self.keep("acl", told, &["public"], |is| {
            let public: Vec<_> = is.grants().iter().filter_map(to_everybody).collect();
            (true, json!({"public": public}))
        });
    }
}

fn blocks(set: &PublicAccessBlockConfiguration) -> [bool; 4] {
    [
        set.block_public_acls(),
        set.ignore_public_acls(),
        set.block_public_policy(),
        set.restrict_public_buckets(),
    ]
    .map(|set| set == Some(true))
}

/// The blocks as Ceph answers: under another root than S3's, which the SDK does not take.
fn misnamed_blocks(answer: &[u8]) -> Option<[bool; 4]> {
    let text = std::str::from_utf8(answer).ok()?;
    let (_, text) = text.split_once("<BlockPublicAccessBlockConfiguration>")?;
    let mut found = [false; 4];
    for (name, found) in BLOCKS.iter().zip(&mut found) {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        *found = match rest.split_once(&format!("</{name}>"))?.0 {
            "true" => true,
            "false" => false,
            _ => return None,
        };
    }
    Some(found)
}

/// Whether a statement allows everybody something, on no condition.
fn lets_everybody_in(policy: &Value) -> bool {
    let statements = match &policy["Statement"] {
        Value::Array(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    let all = |who: &Value| who == "*" || who.as_array().is_some_and(|who| who.iter().any(|who| who == "*"));
    statements.iter().any(|statement| {
        let who = &statement["Principal"];
        statement["Effect"] == "Allow" && statement["Condition"].is_null() && (all(who) || all(&who["AWS"]))
    })
}

fn to_everybody(grant: &Grant) -> Option<String> {
    let group = grant.grantee()?.uri()?.rsplit('/').next()?;
    let to = matches!(group, "AllUsers" | "AuthenticatedUsers").then_some(group)?;
    Some(format!("{to} {}", grant.permission().map_or("", |may| may.as_str())))
}

fn lifecycle(rule: &LifecycleRule, repository: &str) -> Value {
    #[expect(deprecated, reason = "servers still answer in the older form")]
    let older = rule.prefix();
    let filter = rule.filter();
    let prefix = filter
        .and_then(|filter| filter.prefix().or_else(|| filter.and()?.prefix()))
        .or(older)
        .unwrap_or_default();
    let expires = rule
        .expiration()
        .is_some_and(|when| when.days().is_some() || when.date().is_some());
    json!({
        "id": rule.id().unwrap_or("(without a name)"),
        "prefix": prefix,
        "reaches": repository.starts_with(prefix) || prefix.starts_with(repository),
        "expires": expires,
        "expires_noncurrent": rule.noncurrent_version_expiration().is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_for_everybody_is_seen_in_each_of_its_spellings() {
        let statement = |more: Value| {
            let mut statement = json!({"Effect": "Allow", "Action": "s3:GetObject"});
            if let (Some(into), Value::Object(more)) = (statement.as_object_mut(), more) {
                into.extend(more);
            }
            json!({"Statement": [statement]})
        };
        for everybody in [json!("*"), json!({"AWS": "*"}), json!({"AWS": ["arn:x", "*"]})] {
            assert!(lets_everybody_in(&statement(json!({"Principal": everybody}))));
        }
        let one = json!({"Statement": {"Effect": "Allow", "Principal": "*"}});
        assert!(lets_everybody_in(&one));
        for not in [
            json!({"Principal": {"AWS": "arn:aws:iam::1:root"}}),
            json!({"Principal": "*", "Effect": "Deny"}),
            json!({"Principal": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}),
        ] {
            assert!(!lets_everybody_in(&statement(not)));
        }
        assert!(!lets_everybody_in(&json!(null)));
    }

    #[test]
    fn cephs_name_for_the_public_access_block_is_read_too() {
        let answer = |acls: &str| {
            format!(
                "<?xml version=\"1.0\"?><BlockPublicAccessBlockConfiguration><BlockPublicAcls>{acls}</BlockPublicAcls>\
                 <IgnorePublicAcls>false</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy>\
                 <RestrictPublicBuckets>false</RestrictPublicBuckets></BlockPublicAccessBlockConfiguration>"
            )
        };
        let read = |answer: &str| misnamed_blocks(answer.as_bytes());
        assert_eq!(read(&answer("true")), Some([true, false, true, false]));
        assert_eq!(read(&answer("maybe")), None);
        assert_eq!(read("<ListBucketResult/>"), None);
    }
}
