//! Bundles by someone who holds some of the keys and lies: each lie is told apart by the check that finds it.

use super::*;

#[test]
fn only_an_auditor_key_of_the_newest_key_document_signs_a_bundle() {
    for role in [Role::Root, Role::Writer, Role::Rehearser, Role::Pruner] {
        let mut members = members(&sealed());
        members.insert("trust/auditor.pub".to_owned(), key(role).public().to_pem().into_bytes());
        let why = refused(&resigned(members, &key(role), |_| ()), "statement");
        assert!(why.contains(key(role).public().id().as_str()), "{why}");
        assert!(matches!(bundle().seal(&key(role)), Err(BundleError::Invalid { .. })));
    }
    let again = resigned(members(&sealed()), &key(Role::Auditor), |_| ());
    assert!(
        verify_bundle(&again, Some(&root())).valid,
        "the lying builder of these tests can also tell the truth"
    );
}

#[test]
fn what_an_auditor_signs_must_be_a_statement_about_this_bundle() {
    let lie = |check: &str, change: &dyn Fn(&mut Value)| {
        refused(&resigned(members(&sealed()), &key(Role::Auditor), change), check)
    };
    assert_eq!(
        (STATEMENT_TYPE, PREDICATE_TYPE),
        ("https://in-toto.io/Statement/v1", "https://muster.dev/audit/v1")
    );
    lie("statement", &|statement| {
        statement["_type"] = json!("https://in-toto.io/Statement/v0.1")
    });
    lie("statement", &|statement| {
        statement["predicateType"] = json!("https://slsa.dev/provenance/v1")
    });
    lie("statement", &|statement| statement["more"] = json!(1));
    lie("statement", &|statement| {
        statement["predicate"]["repository"] = json!("01K0000000000000000000OTHER")
    });
    let why = lie("statement", &|statement| {
        statement["predicate"]["critical"] = json!(["quorum"])
    });
    assert!(why.contains("quorum"), "{why}");
    lie("subject", &|statement| {
        _ = statement["subject"].as_array_mut().unwrap().pop()
    });
    lie("subject", &|statement| {
        statement["subject"].as_array_mut().unwrap().swap(0, 1)
    });
    lie("subject", &|statement| {
        statement["subject"][0]["digest"]["sha256"] = json!(Digest::of(b"x").hex())
    });
    lie("statement", &|statement| {
        statement["subject"][0]["digest"]["md5"] = json!("d41d8cd98f00b204e9800998ecf8427e")
    });
    lie("results", &|statement| {
        statement["predicate"]["summary"]["fail"] = json!(0)
    });
    lie("stores", &|statement| {
        statement["predicate"]["stores"][0]["newest"]["manifest_digest"] = json!(Digest::of(b"x"))
    });
    lie("stores", &|statement| {
        statement["predicate"]["stores"][0]["newest"]["snapshot"] = json!("older")
    });
    lie("stores", &|statement| {
        statement["predicate"]["stores"][0]["rehearsal"]["verdict"] = json!("FAIL")
    });
    lie("stores", &|statement| {
        statement["predicate"]["stores"][0]["rehearsal"]["scorecard_digest"] = json!(Digest::of(b"x"))
    });
    lie("stores", &|statement| {
        statement["predicate"]["stores"][0]["store"] = json!("saves")
    });
}

#[test]
fn scorecards_and_manifests_must_be_signed_by_their_own_role() {
    let card = format!("rehearsals/accounts-{REHEARSAL}.dsse.json");
    let kept = format!("manifests/accounts-{SNAPSHOT}.dsse.json");
    for (name, payload_type, right) in [
        (&card, payload::SCORECARD, Role::Rehearser),
        (&kept, payload::MANIFEST, Role::Writer),
    ] {
        let check = name.split('/').next().unwrap();
        let honest = inspect(&members(&sealed())[name]).unwrap().payload;
        let with = |envelope: Vec<u8>| {
            let mut members = members(&sealed());
            members.insert(name.clone(), envelope);
            refused(&resigned(members, &key(Role::Auditor), |_| ()), check)
        };
        for role in Role::ALL.into_iter().filter(|role| *role != right) {
            assert!(with(seal(payload_type, &honest, &key(role))).contains(name.as_str()));
        }
        with(seal(payload_type, &honest, &SecretKey::generate([99; 32])));
        with(seal(payload::STATEMENT, &honest, &key(right)));
        with([&seal(payload_type, &honest, &key(right))[..], b"\n"].concat());
        with(seal(payload_type, b"{}", &key(right)));
        with(seal(payload_type, b"not json", &key(right)));
        let foreign: Vec<u8> = String::from_utf8(honest.clone())
            .unwrap()
            .replace("accounts", "others")
            .into_bytes();
        with(seal(payload_type, &foreign, &key(right)));
    }
    // A scorecard of another manifest than the one in the bundle.
    let claimed = inspect(&members(&sealed())[&card]).unwrap().payload;
    let mut claimed: Value = serde_json::from_slice(&claimed).unwrap();
    claimed["manifest_digest"] = json!(Digest::of(b"another"));
    let envelope = seal(
        payload::SCORECARD,
        &canonical_json(&claimed).unwrap(),
        &key(Role::Rehearser),
    );
    let mut swapped = members(&sealed());
    swapped.insert(card, envelope.clone());
    let why = refused(
        &resigned(swapped, &key(Role::Auditor), |statement| {
            statement["predicate"]["stores"][0]["rehearsal"]["scorecard_digest"] = json!(Digest::of(&envelope));
        }),
        "stores",
    );
    assert!(why.contains("not the manifest that was rehearsed"), "{why}");
}

#[test]
fn the_files_for_openssl_say_what_the_envelopes_say() {
    let writer = format!("trust/signers/{}.pub", key(Role::Writer).public().id());
    for name in [
        "trust/root.pub",
        "trust/descriptor.pae",
        "trust/descriptor.sig",
        "trust/keys-00000001.pae",
        &writer,
    ] {
        let mut members = members(&sealed());
        let mut bytes = members[name].clone();
        bytes.push(b'\n');
        members.insert(name.to_owned(), bytes);
        assert!(refused(&resigned(members, &key(Role::Auditor), |_| ()), "openssl-files").contains(name));
    }
    for name in ["trust/more.pub", "trust/keys-00000003.pae"] {
        let mut members = members(&sealed());
        members.insert(name.to_owned(), b"x".to_vec());
        assert!(refused(&resigned(members, &key(Role::Auditor), |_| ()), "openssl-files").contains(name));
    }
    for wrong in ["statement.pae", "statement.sig", "statement.dsse.json"] {
        let mut members = members(&sealed());
        members.get_mut(wrong).unwrap()[10] ^= 1;
        assert!(!verify_bundle(&summed(members), Some(&root())).valid, "{wrong}");
    }
}

#[test]
fn the_key_chain_in_a_bundle_is_whole() {
    for gone in ["trust/keys-00000001", "trust/keys-00000002"] {
        let mut members = members(&sealed());
        members.retain(|name, _| !name.starts_with(gone));
        let bundle = resigned(members, &key(Role::Auditor), |_| ());
        // Whoever cuts the newest epoch off shows an older state: only a pin or an earlier bundle tells.
        assert_eq!(
            verify_bundle(&bundle, Some(&root())).valid,
            gone.ends_with('2'),
            "{gone}"
        );
    }
    let mut renamed = members(&sealed());
    let second = renamed.remove("trust/keys-00000002.dsse.json").unwrap();
    renamed.insert("trust/keys-2.dsse.json".to_owned(), second);
    refused(&resigned(renamed, &key(Role::Auditor), |_| ()), "keys");
}

#[test]
fn a_log_head_of_another_key_or_log_is_refused() {
    let writer = key(Role::Writer).public().id();
    let name = format!("ledger/{writer}/{INCARNATION}.checkpoint");
    let head = |incarnation: &str, key: &SecretKey| {
        let origin = format!("muster/{REPOSITORY}/{incarnation}");
        Checkpoint {
            origin,
            size: 7,
            root: Digest::of(b"root"),
        }
        .sign(key)
        .unwrap()
        .into_bytes()
    };
    let with = |name: &str, bytes: Vec<u8>| {
        let mut members = members(&sealed());
        members.insert(name.to_owned(), bytes);
        refused(&resigned(members, &key(Role::Auditor), |_| ()), "checkpoints")
    };
    with(&name, head("0-2", &key(Role::Writer)));
    with(&name, head("0-1", &key(Role::Rehearser)));
    with(
        &format!("ledger/{}/0-1.checkpoint", key(Role::Rehearser).public().id()),
        head("0-1", &key(Role::Writer)),
    );
    with(
        &format!("ledger/{}/0-1.checkpoint", root().id()),
        head("0-1", &key(Role::Root)),
    );
    with("ledger/abc/0-1.checkpoint", head("0-1", &key(Role::Writer)));
    with("ledger/0-1.checkpoint", head("0-1", &key(Role::Writer)));
}

#[test]
fn the_results_must_add_up() {
    let with = |results: &str| {
        let bundle = Bundle {
            results: results.as_bytes().to_vec(),
            ..bundle()
        };
        match bundle.seal(&key(Role::Auditor)) {
            Err(BundleError::Invalid { check, detail }) => assert_eq!(check, "results", "{detail}"),
            other => panic!("{other:?}"),
        }
    };
    with("not json");
    with("{}");
    with(r#"{"summary":{"pass":3},"results":[]}"#);
    with(r#"{"summary":{"pass":1},"results":[{"verdict":"pass"}]}"#);
    // The statement and the document agree on a number that the results do not give.
    let mut padded = bundle();
    padded.audit.summary = [("pass".to_owned(), 3)].into();
    padded.results = br#"{"summary":{"pass":3},"results":[{"verdict":"pass"}]}"#.to_vec();
    match padded.seal(&key(Role::Auditor)) {
        Err(BundleError::Invalid { check, detail }) => assert_eq!(check, "results", "{detail}"),
        other => panic!("{other:?}"),
    }
}

/// Results that are sorted by a framework, and what the statement then says of it.
fn sorted() -> (Value, Framework) {
    let rule = |rule: &str, verdict: &str| json!({"rule": rule, "profile": "p", "verdict": verdict});
    let control = |control: &str, verdict: &str, rules: Vec<Value>| json!({"control": control, "title": "t", "verdict": verdict, "rules": rules, "shows": "", "not_shown": "much"});
    let summary = json!({"fail": 1, "unknown": 1, "not_evaluated": 1, "no_rule": 1, "error": 1, "pass": 0});
    let results = json!({
        "summary": {"pass": 2, "fail": 1, "unknown": 1},
        "results": [
            {"rule": "A", "verdict": "pass"}, {"rule": "A", "verdict": "fail"}, {"rule": "B", "verdict": "pass"}, {"rule": "C", "verdict": "unknown"},
        ],
        "frameworks": [{"framework": "f", "title": "F", "source": "s", "scope": "all", "summary": summary, "controls": [
            control("1", "fail", vec![rule("A", "fail"), rule("B", "pass")]),
            control("2", "unknown", vec![rule("B", "pass"), rule("C", "unknown"), rule("D", "not_evaluated")]),
            control("3", "not_evaluated", vec![rule("D", "not_evaluated")]),
            control("4", "no_rule", vec![]),
            control("5", "error", vec![rule("B", "pass"), rule("E", "error")]),
        ], "unlisted": []}],
    });
    let stated = Framework {
        framework: "f".to_owned(),
        summary: serde_json::from_value(results["frameworks"][0]["summary"].clone()).unwrap(),
    };
    (results, stated)
}

fn sorted_bundle(results: &Value, stated: Vec<Framework>) -> Result<Vec<u8>, BundleError> {
    let mut bundle = bundle();
    bundle.audit.summary = serde_json::from_value(results["summary"].clone()).unwrap();
    bundle.audit.frameworks = stated;
    bundle.results = results.to_string().into_bytes();
    bundle.seal(&key(Role::Auditor))
}

#[test]
fn the_standing_of_each_control_follows_from_the_results_of_its_rules() {
    let (results, stated) = sorted();
    let honest = sorted_bundle(&results, vec![stated.clone()]).unwrap();
    let (found, opened) = open_bundle(&honest, Some(&root()));
    assert!(found.valid, "{found:?}");
    assert!(found.checks.iter().any(|check| check.name == "frameworks"));
    assert_eq!(opened.unwrap().results["frameworks"], results["frameworks"]);

    let lies = |lies: &[(&str, Value)]| {
        let mut results = results.clone();
        for (path, value) in lies {
            *results.pointer_mut(path).unwrap() = value.clone();
        }
        let stated = Framework {
            summary: serde_json::from_value(results["frameworks"][0]["summary"].clone()).unwrap(),
            ..stated.clone()
        };
        match sorted_bundle(&results, vec![stated]) {
            Err(BundleError::Invalid { check, detail }) => assert_eq!(check, "frameworks", "{lies:?}: {detail}"),
            other => panic!("{lies:?}: {:?}", other.map(|_| "sealed")),
        }
    };
    let lie = |path: &str, value: Value| lies(&[(path, value)]);
    // A control that is painted green, or has its bad rule taken for a good or a missing one.
    lie("/frameworks/0/controls/0/verdict", json!("pass"));
    lie("/frameworks/0/controls/0/rules/0/verdict", json!("pass"));
    lie("/frameworks/0/controls/0/rules/0/verdict", json!("not_evaluated"));
    lie("/frameworks/0/controls/1/verdict", json!("pass"));
    lie("/frameworks/0/controls/2/verdict", json!("pass"));
    lie("/frameworks/0/controls/2/rules/0/verdict", json!("pass"));
    lie("/frameworks/0/controls/2/rules", json!([]));
    lie("/frameworks/0/controls/3/verdict", json!("pass"));
    lie("/frameworks/0/controls/3/verdict", json!("not_evaluated"));
    lie("/frameworks/0/summary/no_rule", json!(0));
    lie(
        "/frameworks/0/controls/4",
        results["frameworks"][0]["controls"][3].clone(),
    );
    // A lie that is told everywhere but in the results.
    lies(&[
        ("/frameworks/0/controls/1/rules/1/verdict", json!("pass")),
        ("/frameworks/0/controls/1/verdict", json!("pass")),
        ("/frameworks/0/summary/unknown", json!(0)),
        ("/frameworks/0/summary/pass", json!(1)),
    ]);
}

#[test]
fn statement_and_results_name_the_same_frameworks() {
    let (results, stated) = sorted();
    let refused = |stated: Vec<Framework>, results: &Value| match sorted_bundle(results, stated) {
        Err(BundleError::Invalid { check, .. }) => assert_eq!(check, "frameworks"),
        other => panic!("{:?}", other.map(|_| "sealed")),
    };
    refused(Vec::new(), &results);
    refused(vec![stated.clone(), stated.clone()], &results);
    let mut other = stated.clone();
    other.framework = "g".to_owned();
    refused(vec![other], &results);
    let mut without = results.clone();
    without.as_object_mut().unwrap().remove("frameworks");
    refused(vec![stated.clone()], &without);
    let mut twice = results.clone();
    let framework = twice["frameworks"][0].clone();
    twice["frameworks"].as_array_mut().unwrap().push(framework);
    refused(vec![stated.clone(), stated], &twice);
}

#[test]
fn a_bundle_that_is_wrong_is_not_opened_and_one_of_an_unknown_signer_is_told_as_such() {
    let whole = sealed();
    let (found, opened) = open_bundle(&whole, Some(&root()));
    assert!(found.valid && opened.is_some());
    let (found, opened) = open_bundle(&whole, None);
    assert_eq!((found.failure, opened.is_some()), (Some(Failure::SignerUnknown), true));
    let mut damaged = whole.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    assert!(open_bundle(&damaged, Some(&root())).1.is_none());
    assert!(open_bundle(&whole, Some(&key(Role::Writer).public())).1.is_none());
    let lied = resigned(members(&whole), &key(Role::Auditor), |statement| {
        statement["predicate"]["summary"]["fail"] = json!(0)
    });
    assert!(open_bundle(&lied, Some(&root())).1.is_none());
}
