"""Invented inputs and policies of any size, the same ones for the same seed: a Terraform plan, Kubernetes files, a suite of tests.

What is written looks like what people have: `terraform show -json` writes each resource several times (planned values, changes,
configuration), a rule asks for one or two kinds of resources, most of which are in order, and helper functions are shared.
"""

import json
import os
import random

SEED = 20251125

# Kinds of resources: how often, and what can be wrong with them.
KINDS = [
    ("aws_iam_policy", 9), ("aws_iam_role", 9), ("aws_iam_role_policy_attachment", 10), ("aws_security_group", 7),
    ("aws_security_group_rule", 12), ("aws_s3_bucket", 6), ("aws_s3_bucket_public_access_block", 5), ("aws_instance", 8),
    ("aws_ebs_volume", 5), ("aws_db_instance", 4), ("aws_kms_key", 3), ("aws_lambda_function", 6), ("aws_subnet", 4),
    ("aws_lb_listener", 3), ("aws_cloudwatch_log_group", 5), ("aws_sqs_queue", 2), ("aws_sns_topic", 2),
    ("aws_route53_record", 6), ("aws_eks_cluster", 1), ("aws_efs_file_system", 1),
]  # fmt: skip
TEAMS = ["payments", "search", "core", "data", "edge", "risk"]
REGIONS = ["eu-west-1", "eu-central-1", "us-east-1"]


def chance(rng, likely):
    return rng.random() < likely


def tags(rng, name):
    given = {"Name": name, "team": rng.choice(TEAMS), "environment": rng.choice(["prod", "stage", "dev"]), "cost-center": f"cc-{rng.randrange(90)}"}
    if chance(rng, 0.004):
        del given["cost-center"]
    return given


def statement(rng, name):
    wide = chance(rng, 0.003)
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Sid": "Main", "Effect": "Allow", "Action": "*" if wide else ["s3:GetObject", "s3:ListBucket"], "Resource": "*" if wide else f"arn:aws:s3:::{name}/*"}]}
    )


def values(rng, kind, name):
    """What a resource of this kind has, nearly always as it should be."""
    good = lambda likely=0.998: chance(rng, likely)
    own = {
        "aws_iam_policy": lambda: {"path": "/", "policy": statement(rng, name)},
        "aws_iam_role": lambda: {"path": "/", "max_session_duration": 3600 if good() else 43200, "assume_role_policy": statement(rng, name)},
        "aws_iam_role_policy_attachment": lambda: {"role": name, "policy_arn": f"arn:aws:iam::123456789012:policy/{name}" if good() else "arn:aws:iam::aws:policy/AdministratorAccess"},
        "aws_security_group": lambda: {
            "vpc_id": "vpc-0a1b2c3d",
            "revoke_rules_on_delete": False,
            "ingress": [{"from_port": port, "to_port": port, "protocol": "tcp", "cidr_blocks": ["10.0.0.0/8"] if good() else ["0.0.0.0/0"], "description": "from within", "self": False} for port in (443, 8443, 22)],
        },
        "aws_security_group_rule": lambda: {"type": rng.choice(["ingress", "egress"]), "from_port": 443, "to_port": 443, "protocol": "tcp", "cidr_blocks": ["10.1.0.0/16"] if good() else ["0.0.0.0/0"], "security_group_id": "sg-0123456789abcdef0"},
        "aws_s3_bucket": lambda: {
            "bucket": name,
            "acl": "private" if good() else "public-read",
            "force_destroy": not good(),
            "versioning": [{"enabled": good(), "mfa_delete": False}],
            "server_side_encryption_configuration": [{"rule": [{"apply_server_side_encryption_by_default": [{"sse_algorithm": "aws:kms" if good() else "AES256"}]}]}] if good() else [],
            "logging": [{"target_bucket": "logs", "target_prefix": name}] if good() else [],
        },
        "aws_s3_bucket_public_access_block": lambda: {"bucket": name, "block_public_acls": good(), "block_public_policy": good(), "ignore_public_acls": good(), "restrict_public_buckets": good()},
        "aws_instance": lambda: {
            "ami": f"ami-{rng.randrange(16**12):012x}",
            "instance_type": rng.choice(["t3.medium", "m6i.large"]) if good() else "m1.small",
            "ebs_optimized": good(),
            "monitoring": good(),
            "associate_public_ip_address": not good(),
            "metadata_options": [{"http_endpoint": "enabled", "http_tokens": "required" if good() else "optional", "http_put_response_hop_limit": 1}],
            "root_block_device": [{"encrypted": good(), "volume_size": 30, "volume_type": "gp3", "delete_on_termination": True}],
        },
        "aws_ebs_volume": lambda: {"availability_zone": "eu-west-1a", "size": rng.choice([20, 100, 500]), "type": "gp3" if good() else "gp2", "encrypted": good()},
        "aws_db_instance": lambda: {
            "engine": "postgres",
            "engine_version": "16.4" if good() else "11.22",
            "instance_class": "db.r6g.large",
            "allocated_storage": 200,
            "backup_retention_period": 14 if good() else 0,
            "deletion_protection": good(),
            "multi_az": good(),
            "publicly_accessible": not good(),
            "storage_encrypted": good(),
            "iam_database_authentication_enabled": good(),
        },
        "aws_kms_key": lambda: {"description": name, "enable_key_rotation": good(), "deletion_window_in_days": 30 if good() else 7, "policy": statement(rng, name)},
        "aws_lambda_function": lambda: {
            "function_name": name,
            "runtime": "python3.12" if good() else "python3.6",
            "handler": "main.handle",
            "memory_size": 512,
            "timeout": 30 if good() else 900,
            "reserved_concurrent_executions": 10 if good() else -1,
            "tracing_config": [{"mode": "Active" if good() else "PassThrough"}],
            "environment": [{"variables": {"LOG_LEVEL": "info", "STAGE": "prod"}}],
        },
        "aws_subnet": lambda: {"vpc_id": "vpc-0a1b2c3d", "cidr_block": f"10.{rng.randrange(250)}.{rng.randrange(250)}.0/24", "map_public_ip_on_launch": not good()},
        "aws_lb_listener": lambda: {"port": 443, "protocol": "HTTPS" if good() else "HTTP", "ssl_policy": "ELBSecurityPolicy-TLS13-1-2-2021-06" if good() else "ELBSecurityPolicy-2016-08"},
        "aws_cloudwatch_log_group": lambda: {"name": f"/aws/{name}", "retention_in_days": 365 if good() else 0, "kms_key_id": "arn:aws:kms:eu-west-1:123456789012:key/1" if good() else None},
        "aws_sqs_queue": lambda: {"name": name, "sqs_managed_sse_enabled": good(), "message_retention_seconds": 345600, "policy": statement(rng, name)},
        "aws_sns_topic": lambda: {"name": name, "kms_master_key_id": "alias/sns" if good() else None},
        "aws_route53_record": lambda: {"name": f"{name}.example.org", "type": "A", "ttl": 300 if good() else 5, "records": [f"10.0.{rng.randrange(250)}.{rng.randrange(250)}"]},
        "aws_eks_cluster": lambda: {"name": name, "version": "1.31" if good() else "1.21", "vpc_config": [{"endpoint_public_access": not good(), "public_access_cidrs": []}], "enabled_cluster_log_types": ["api", "audit"] if good() else []},
        "aws_efs_file_system": lambda: {"encrypted": good(), "performance_mode": "generalPurpose", "throughput_mode": "bursting"},
    }[kind]()
    given = tags(rng, name)
    return {**own, "tags": given, "tags_all": {**given, "managed-by": "terraform", "repository": "infrastructure/live"}, "timeouts": None}


def plan(path, resources=15_000, size=60_000_000, seed=SEED):
    """Writes a plan of so many resources and about so many bytes."""
    rng = random.Random(seed)
    kinds = [kind for kind, often in KINDS for _ in range(often)]
    changes, planned, configured = [], [], []
    for number in range(resources):
        kind = rng.choice(kinds)
        name = f"{rng.choice(TEAMS)}_{kind.split('_', 1)[1]}_{number}"
        module = f"module.{rng.choice(TEAMS)}"
        address = f"{module}.{kind}.{name}"
        after = values(rng, kind, name)
        unknown = {"arn": True, "id": True, "tags": {}, "tags_all": {}}
        about = {"address": address, "mode": "managed", "type": kind, "name": name, "provider_name": "registry.terraform.io/hashicorp/aws"}
        action = rng.choices([["create"], ["update"], ["no-op"], ["delete", "create"]], [70, 15, 10, 5])[0]
        before = None if action == ["create"] else after
        change = {"actions": action, "before": before, "after": after, "after_unknown": unknown if before is None else {}, "before_sensitive": False if before is None else {}, "after_sensitive": {"tags": {}, "tags_all": {}}}
        changes.append({"module_address": module, **about, "change": change})
        planned.append((module, {**about, "schema_version": 1, "values": after, "sensitive_values": {"tags": {}, "tags_all": {}}}))
        expressions = {key: {"constant_value": value} if rng.random() < 0.7 else {"references": [f"var.{key}", "local.name"]} for key, value in after.items() if value is not None and not isinstance(value, (list, dict))}
        configured.append((module, {**about, "provider_config_key": "aws", "expressions": expressions, "schema_version": 1}))
    modules = sorted({module for module, _ in planned})
    of = lambda items, module: [item for of_module, item in items if of_module == module]
    document = {
        "format_version": "1.2",
        "terraform_version": "1.9.8",
        "planned_values": {"root_module": {"child_modules": [{"address": module, "resources": of(planned, module)} for module in modules]}},
        "resource_changes": changes,
        "configuration": {"provider_config": {"aws": {"name": "aws", "expressions": {"region": {"constant_value": REGIONS[0]}}}}, "root_module": {"module_calls": {module.split(".")[1]: {"source": f"./{module}", "module": {"resources": of(configured, module)}} for module in modules}}},
        "timestamp": "2025-11-25T00:00:00Z",
        "errored": False,
    }
    text = json.dumps(document, separators=(",", ":"))
    # Real resources have more attributes, most of them short: as many to each as bring the plan to its size.
    given = 0
    while len(text) < size - resources:
        room = (size - len(text)) / resources
        more = max(int(room / 60), 1)
        for number, change in enumerate(changes):
            further = {f"attribute_{n}": rng.choice(["a short value", "", True, None, number, ["one", "two"]]) for n in range(given, given + more)}
            change["change"]["after"].update(further)
        given += more
        text = json.dumps(document, separators=(",", ":"))
    with open(path, "w") as file:
        file.write(text)
    return len(text)


HELPERS = """package main

import rego.v1

changes contains r if {
	some r in input.resource_changes
	some action in r.change.actions
	action in {"create", "update"}
}

touched(r) if {
	some action in r.change.actions
	action in {"create", "update"}
}

of_kind(kind) := [r | some r in input.resource_changes; r.type == kind; touched(r)]

missing(r, wanted) := {tag | some tag in wanted; not r.change.after.tags[tag]}

said(r, what) := {"msg": sprintf("%s: %s", [r.address, what]), "resource": r.address}
"""

# (kind, field, what is wrong, what is said). `{v}` stands for what the resource will be.
FAULTS = [
    ("aws_s3_bucket", "acl", '{v}.acl != "private"', "its ACL is not private"),
    ("aws_s3_bucket", "destroy", "{v}.force_destroy", "it may be destroyed with all that it holds"),
    ("aws_s3_bucket", "versioning", "not {v}.versioning[0].enabled", "it keeps no versions"),
    ("aws_s3_bucket", "encryption", "count({v}.server_side_encryption_configuration) == 0", "it is not encrypted"),
    ("aws_s3_bucket", "kms", 'some c in {v}.server_side_encryption_configuration; some rule in c.rule; some by in rule.apply_server_side_encryption_by_default; by.sse_algorithm != "aws:kms"', "it is not encrypted by KMS"),
    ("aws_s3_bucket", "logging", "count({v}.logging) == 0", "nobody logs its access"),
    ("aws_s3_bucket_public_access_block", "acls", "not {v}.block_public_acls", "public ACLs are not blocked"),
    ("aws_s3_bucket_public_access_block", "policy", "not {v}.block_public_policy", "public policies are not blocked"),
    ("aws_s3_bucket_public_access_block", "ignored", "not {v}.ignore_public_acls", "public ACLs are not ignored"),
    ("aws_s3_bucket_public_access_block", "restricted", "not {v}.restrict_public_buckets", "public buckets are not restricted"),
    ("aws_security_group", "open_ssh", 'some rule in {v}.ingress; rule.from_port <= 22; rule.to_port >= 22; "0.0.0.0/0" in rule.cidr_blocks', "SSH is open to the world"),
    ("aws_security_group", "open", 'some rule in {v}.ingress; some cidr in rule.cidr_blocks; endswith(cidr, "/0")', "it is open to the world"),
    ("aws_security_group", "described", 'some rule in {v}.ingress; object.get(rule, "description", "") == ""', "a rule says not what it is for"),
    ("aws_security_group_rule", "open", '{v}.type == "ingress"; "0.0.0.0/0" in {v}.cidr_blocks', "it is open to the world"),
    ("aws_security_group_rule", "ports", "{v}.to_port - {v}.from_port > 100", "it opens more than a hundred ports"),
    ("aws_instance", "imds", 'some o in {v}.metadata_options; o.http_tokens != "required"', "its metadata needs no token"),
    ("aws_instance", "root", "some d in {v}.root_block_device; not d.encrypted", "its root device is not encrypted"),
    ("aws_instance", "public", "{v}.associate_public_ip_address == true", "it has a public address"),
    ("aws_instance", "kind", 'regex.match(`^(m1|m2|t1)\\.`, {v}.instance_type)', "it is of a kind that is no longer made"),
    ("aws_instance", "monitored", "not {v}.monitoring", "it is not monitored"),
    ("aws_ebs_volume", "encrypted", "not {v}.encrypted", "it is not encrypted"),
    ("aws_ebs_volume", "kind", '{v}.type == "gp2"', "gp3 costs less"),
    ("aws_db_instance", "backups", "{v}.backup_retention_period < 7", "it keeps backups for less than a week"),
    ("aws_db_instance", "protected", "not {v}.deletion_protection", "it may be deleted"),
    ("aws_db_instance", "zones", "not {v}.multi_az", "it stands in one zone"),
    ("aws_db_instance", "public", "{v}.publicly_accessible", "it is reachable by everybody"),
    ("aws_db_instance", "encrypted", "not {v}.storage_encrypted", "it is not encrypted"),
    ("aws_db_instance", "version", 'to_number(split({v}.engine_version, ".")[0]) < 13', "its version has no support"),
    ("aws_kms_key", "rotated", "not {v}.enable_key_rotation", "it is never rotated"),
    ("aws_kms_key", "window", "{v}.deletion_window_in_days < 14", "it is gone too soon"),
    ("aws_iam_policy", "wide", 'some s in json.unmarshal({v}.policy).Statement; s.Effect == "Allow"; s.Action == "*"', "it allows everything"),
    ("aws_iam_role", "session", "{v}.max_session_duration > 14400", "its sessions are too long"),
    ("aws_iam_role_policy_attachment", "admin", 'contains({v}.policy_arn, "AdministratorAccess")', "it makes an administrator"),
    ("aws_lambda_function", "runtime", '{v}.runtime in {{"python3.6", "python3.7", "nodejs12.x"}}', "its runtime has no support"),
    ("aws_lambda_function", "traced", 'every t in {v}.tracing_config {{ t.mode != "Active" }}', "nobody traces it"),
    ("aws_lambda_function", "timeout", "{v}.timeout > 300", "it may run too long"),
    ("aws_lambda_function", "limited", "{v}.reserved_concurrent_executions < 0", "nothing limits how often it runs"),
    ("aws_subnet", "public", "{v}.map_public_ip_on_launch", "whatever starts in it has a public address"),
    ("aws_lb_listener", "https", '{v}.protocol == "HTTP"', "it speaks without encryption"),
    ("aws_lb_listener", "tls", 'not contains({v}.ssl_policy, "TLS13")', "it accepts old TLS"),
    ("aws_cloudwatch_log_group", "kept", "{v}.retention_in_days == 0", "it grows for ever"),
    ("aws_cloudwatch_log_group", "key", "is_null({v}.kms_key_id)", "it is not encrypted"),
    ("aws_sqs_queue", "encrypted", "not {v}.sqs_managed_sse_enabled", "it is not encrypted"),
    ("aws_sns_topic", "encrypted", "is_null({v}.kms_master_key_id)", "it is not encrypted"),
    ("aws_route53_record", "ttl", "{v}.ttl < 60", "its TTL is too short"),
    ("aws_eks_cluster", "version", 'semver.compare(concat("", [{v}.version, ".0"]), "1.28.0") < 0', "its version has no support"),
    ("aws_eks_cluster", "audit", 'not "audit" in {v}.enabled_cluster_log_types', "it keeps no audit log"),
    ("aws_efs_file_system", "encrypted", "not {v}.encrypted", "it is not encrypted"),
]


def terraform_rules(folder, count=141, apart=True):
    """Writes so many rules over a plan; each has a name of its own, or all are called deny."""
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/helpers.rego", "w") as file:
        file.write(HELPERS)
    rules = []
    for kind, field, wrong, said in FAULTS:
        v = "r.change.after"
        rules.append((f"{kind}_{field}", f'some r in input.resource_changes\n\tr.type == "{kind}"\n\ttouched(r)\n\t{wrong.format(v=v)}', "r", said))
        rules.append((f"{kind}_{field}_new", f'some i\n\tinput.resource_changes[i].type == "{kind}"\n\t"create" in input.resource_changes[i].change.actions\n\t{wrong.format(v="input.resource_changes[i].change.after")}', "input.resource_changes[i]", said))
    for kind, _ in KINDS:
        rules.append((f"{kind}_tagged", f'some r in of_kind("{kind}")\n\tcount(missing(r, {{"team", "environment", "cost-center"}})) > 0', "r", "a tag is missing"))
    for kind, _ in KINDS:
        rules.append((f"{kind}_named", f'some module in input.planned_values.root_module.child_modules\n\tsome r in module.resources\n\tr.type == "{kind}"\n\tnot startswith(r.name, split(module.address, ".")[1])\n\tcount(r.name) > 60', "r", "its name is too long"))
    for number in range(count - len(rules)):
        limit = 20 + number
        rules.append((f"many_{number}", f'count([r | some r in input.resource_changes; r.change.actions == ["delete"]]) > {limit}\n\tr := {{"address": "plan"}}', "r", f"more than {limit} resources go"))
    rules = rules[:count]
    if len(rules) < count:
        raise SystemExit(f"there are only {len(rules)} rules")
    for number, (name, body, resource, said) in enumerate(rules):
        head = f"deny_{name}" if apart else "deny"
        mode = "a" if number >= 12 else "w"
        with open(f"{folder}/rules_{number % 12:02}.rego", mode) as file:
            if mode == "w":
                file.write("package main\n\nimport rego.v1\n")
            file.write(f'\n# METADATA\n# title: {name}\n# custom:\n#   severity: high\n{head} contains said({resource}, "{said}") if {{\n\t{body}\n}}\n')
    return [f"data.main.deny_{name}" if apart else "data.main.deny" for name, *_ in rules]


def workload(rng, number):
    """One Kubernetes file, nearly always as it should be."""
    good = lambda likely=0.97: chance(rng, likely)
    name, team = f"service-{number}", rng.choice(TEAMS)
    kind = rng.choice(["Deployment"] * 5 + ["StatefulSet", "CronJob", "Service", "Ingress", "ConfigMap", "NetworkPolicy", "Role"])
    head = f"apiVersion: {'apps/v1' if kind in ('Deployment', 'StatefulSet') else 'batch/v1' if kind == 'CronJob' else 'v1'}\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: {team}\n  labels:\n    app: {name}\n    team: {team}\n"
    if good():
        head += "    app.kubernetes.io/managed-by: argo\n"
    if kind == "Service":
        return head + f"spec:\n  type: {'ClusterIP' if good() else 'NodePort'}\n  selector:\n    app: {name}\n  ports:\n    - name: http\n      port: 80\n      targetPort: 8080\n"
    if kind == "Ingress":
        return head + "spec:\n  rules:\n    - host: example.org\n      http:\n        paths:\n          - path: /\n" + (f"  tls:\n    - hosts: [example.org]\n      secretName: {name}\n" if good() else "")
    if kind == "ConfigMap":
        return head + "data:\n  level: info\n" + "".join(f"  key{n}: value {n}\n" for n in range(20))
    if kind == "NetworkPolicy":
        return head + "spec:\n  podSelector: {}\n  policyTypes: [Ingress, Egress]\n"
    if kind == "Role":
        verbs = "[get, list, watch]" if good() else '["*"]'
        return head + f"rules:\n  - apiGroups: ['']\n    resources: [pods]\n    verbs: {verbs}\n"

    def container(n):
        text = f"- name: main-{n}\n  image: registry.example.org/{name}:{'1.4.' + str(n) if good() else 'latest'}\n  imagePullPolicy: IfNotPresent\n  ports:\n    - containerPort: 8080\n  env:\n"
        text += "".join(f"    - name: VARIABLE_{k}\n      value: \"{k}\"\n" for k in range(8))
        if good():
            text += "  resources:\n    requests: {cpu: 100m, memory: 128Mi}\n    limits: {cpu: '1', memory: 256Mi}\n"
        if good():
            text += f"  securityContext:\n    runAsNonRoot: {str(good()).lower()}\n    privileged: {str(not good()).lower()}\n    allowPrivilegeEscalation: false\n    readOnlyRootFilesystem: true\n    capabilities:\n      drop: [ALL]\n"
        return text + "  livenessProbe:\n    httpGet: {path: /live, port: 8080}\n" + ("  readinessProbe:\n    httpGet: {path: /ready, port: 8080}\n" if good() else "")

    indent = lambda text, by: "".join(" " * by + line + "\n" for line in text.splitlines())
    containers = "".join(container(n) for n in range(rng.randrange(1, 4)))
    pod = f"serviceAccountName: {name}\nautomountServiceAccountToken: {str(not good()).lower()}\nhostNetwork: {str(not good()).lower()}\ncontainers:\n{indent(containers, 2)}volumes:\n  - name: tmp\n    emptyDir: {{}}\n"
    template = f"template:\n  metadata:\n    labels:\n      app: {name}\n  spec:\n{indent(pod, 4)}"
    if kind == "CronJob":
        return head + f"spec:\n  schedule: '*/5 * * * *'\n  jobTemplate:\n    spec:\n{indent(template, 6)}"
    return head + f"spec:\n  replicas: {rng.choice([2, 3]) if good() else 1}\n  selector:\n    matchLabels:\n      app: {name}\n{indent(template, 2)}"


def kubernetes(folder, files=1_000, seed=SEED):
    rng = random.Random(seed)
    for number in range(files):
        place = f"{folder}/{number % 20:02}"
        os.makedirs(place, exist_ok=True)
        with open(f"{place}/service-{number}.yaml", "w") as file:
            file.write(workload(rng, number))


PODS = """package main

import rego.v1

pod := input.spec.template.spec if input.kind in {"Deployment", "StatefulSet"}

pod := input.spec.jobTemplate.spec.template.spec if input.kind == "CronJob"

containers contains c if some c in pod.containers

containers contains c if some c in pod.initContainers

name := sprintf("%s/%s", [input.kind, input.metadata.name])

context(c, field) := value if value := c.securityContext[field]
"""

# (name, what is wrong, what is said); `c` is a container where it stands in the statement.
POD_FAULTS = [
    ("latest", 'endswith(c.image, ":latest")', "has an image that changes"),
    ("untagged", 'not contains(c.image, ":")', "has an image without a tag"),
    ("registry", 'not startswith(c.image, "registry.example.org/")', "has an image from elsewhere"),
    ("root", "not context(c, \"runAsNonRoot\")", "may run as root"),
    ("privileged", "context(c, \"privileged\") == true", "is privileged"),
    ("escalation", 'not context(c, "allowPrivilegeEscalation") == false', "may gain privileges"),
    ("writable", "not c.securityContext.readOnlyRootFilesystem", "may write its root file system"),
    ("capabilities", 'not "ALL" in c.securityContext.capabilities.drop', "keeps capabilities"),
    ("added", 'some added in c.securityContext.capabilities.add; added in {"SYS_ADMIN", "NET_ADMIN"}', "gains capabilities"),
    ("cpu", "not c.resources.requests.cpu", "asks for no CPU"),
    ("memory", "not c.resources.limits.memory", "has no limit of memory"),
    ("much", 'units.parse_bytes(c.resources.limits.memory) > units.parse_bytes("8Gi")', "may take much memory"),
    ("live", "not c.livenessProbe", "has no liveness probe"),
    ("ready", "not c.readinessProbe", "has no readiness probe"),
    ("pull", 'c.imagePullPolicy == "Never"', "is never pulled"),
    ("port", "some p in c.ports; p.containerPort < 1024", "listens on a low port"),
    ("host_port", "some p in c.ports; p.hostPort", "takes a port of its host"),
    ("secret", 'some e in c.env; regex.match(`(?i)(password|secret|token)$`, e.name); e.value', "has a secret in its environment"),
    ("variables", "count(c.env) > 30", "has many variables"),
    ("named", 'not regex.match(`^[a-z][a-z0-9-]*$`, c.name)', "has a strange name"),
]
FILE_FAULTS = [
    ("network", "pod.hostNetwork == true", "shares the network of its host"),
    ("pid", "pod.hostPID", "sees the processes of its host"),
    ("ipc", "pod.hostIPC", "shares memory with its host"),
    ("token", "pod.automountServiceAccountToken", "has a token that it does not need"),
    ("account", "pod; not pod.serviceAccountName", "has no account of its own"),
    ("host_path", "some v in pod.volumes; v.hostPath", "mounts a path of its host"),
    ("replicas", 'input.kind == "Deployment"; input.spec.replicas < 2', "stands alone"),
    ("selector", 'input.kind == "Deployment"; input.spec.selector.matchLabels.app != input.spec.template.metadata.labels.app', "selects others"),
    ("node_port", 'input.kind == "Service"; input.spec.type == "NodePort"', "opens a port on each node"),
    ("balancer", 'input.kind == "Service"; input.spec.type == "LoadBalancer"', "is open to the world"),
    ("tls", 'input.kind == "Ingress"; not input.spec.tls', "speaks without encryption"),
    ("hosts", 'input.kind == "Ingress"; some r in input.spec.rules; not r.host', "takes every host"),
    ("verbs", 'input.kind == "Role"; some r in input.rules; "*" in r.verbs', "may do everything"),
    ("resources", 'input.kind == "Role"; some r in input.rules; "secrets" in r.resources', "may read secrets"),
    ("namespace", 'object.get(input.metadata, "namespace", "default") == "default"', "stands in the default namespace"),
    ("team", "not input.metadata.labels.team", "belongs to nobody"),
    ("managed", 'not input.metadata.labels["app.kubernetes.io/managed-by"]', "is managed by nobody"),
    ("size", 'input.kind == "ConfigMap"; count(input.data) > 100', "holds much"),
    ("private", 'input.kind == "ConfigMap"; some key, _ in input.data; contains(lower(key), "password")', "holds a password"),
    ("egress", 'input.kind == "NetworkPolicy"; not "Egress" in input.spec.policyTypes', "lets everything out"),
]


def kubernetes_rules(folder, count=50):
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/pods.rego", "w") as file:
        file.write(PODS)
    rules = [(name, f"some c in containers\n\t{wrong}", 'sprintf("%s: container %s %s", [name, c.name, "{}"])'.replace("{}", said)) for name, wrong, said in POD_FAULTS]
    rules += [(name, wrong, f'sprintf("%s %s", [name, "{said}"])') for name, wrong, said in FILE_FAULTS]
    for number in range(count - len(rules)):
        rules.append((f"label_{number}", f'some key, value in input.metadata.labels\n\tcount(value) > {50 + number}', 'sprintf("%s: label %s is long", [name, key])'))
    for number, (name, wrong, said) in enumerate(rules[:count]):
        mode = "a" if number >= 5 else "w"
        with open(f"{folder}/rules_{number % 5}.rego", mode) as file:
            if mode == "w":
                file.write("package main\n\nimport rego.v1\n")
            file.write(f"\ndeny_{name} contains msg if {{\n\t{wrong}\n\tmsg := {said}\n}}\n")
    return [f"data.main.deny_{name}" for name, *_ in rules[:count]]


def suite(folder, tests=1_000, seed=SEED):
    """Policies with their tests: twenty tests to a module, each over a document of its own."""
    rng = random.Random(seed)
    for module in range(tests // 20):
        place = f"{folder}/m{module}"
        os.makedirs(place, exist_ok=True)
        with open(f"{place}/policy.rego", "w") as file:
            file.write(f"package suite.m{module}\n\nimport rego.v1\n\npod := input.spec.template.spec\n\ncontainers contains c if some c in pod.containers\n\ncontext(c, field) := value if value := c.securityContext[field]\n")
            for name, wrong, said in POD_FAULTS[: 10]:
                file.write(f'\ndeny contains sprintf("%s {said}", [c.name]) if {{\n\tsome c in containers\n\t{wrong}\n}}\n')
        with open(f"{place}/policy_test.rego", "w") as file:
            file.write(f"package suite.m{module}_test\n\nimport rego.v1\n\nimport data.suite.m{module}\n")
            for test in range(20):
                good = test % 2 == 0
                document = {
                    "kind": "Deployment",
                    "metadata": {"name": f"s{test}", "labels": {"team": rng.choice(TEAMS)}},
                    "spec": {"template": {"spec": {"containers": [{
                        "name": f"c{n}",
                        "image": f"registry.example.org/s{test}:{'1.' + str(n) if good else 'latest'}",
                        "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "128Mi"}},
                        "securityContext": {"runAsNonRoot": True, "privileged": False, "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
                    } for n in range(1 + test % 3)]}}},
                }  # fmt: skip
                expected = 0 if good else 1 + test % 3
                file.write(f"\ntest_{test} if {{\n\tfound := m{module}.deny with input as {json.dumps(document)}\n\tcount(found) == {expected}\n}}\n")
    return tests // 20 * 20
