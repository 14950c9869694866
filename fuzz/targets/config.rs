//! Configuration files under judgement, in every format that is read: an error, or values of bounded size.
//!
//! The first byte selects the format.

use muster_policies::fuzzing::{documents, formats};

/// New ones at the end: stored inputs begin with a number.
const FORMATS: [&str; 20] = [
    "cyclonedx",
    "dockerfile",
    "dotenv",
    "edn",
    "hcl1",
    "hcl2",
    "ignore",
    "ini",
    "json",
    "jsonc",
    "mariadb",
    "nginx",
    "pg_hba",
    "postgresql",
    "properties",
    "redis",
    "toml",
    "xml",
    "yaml",
    "spdx",
];

/// Formats that are read by others' parsers in a child process, which this one must not start.
const APART: [&str; 2] = ["jsonnet", "textproto"];

/// A text in each format, and the same again for formats with more to them.
const TEXTS: &[(&str, &str)] = &[
    (
        "cyclonedx",
        r#"{"bomFormat": "CycloneDX", "components": [{"name": "a"}]}"#,
    ),
    (
        "cyclonedx",
        "<bom xmlns=\"x\" version=\"1\"><metadata><tools><tool><name>t</name></tool></tools><licenses><expression>MIT</expression></licenses></metadata><components><component type=\"library\" bom-ref=\"a\"><name>a</name><hashes><hash alg=\"MD5\">0</hash></hashes><evidence><identity><confidence>0.1</confidence></identity></evidence><modified>true</modified></component></components><dependencies><dependency ref=\"a\"><dependency ref=\"b\"/></dependency></dependencies></bom>",
    ),
    (
        "dockerfile",
        "# escape=`\nARG V=1\nFROM a:$V AS b\n# why\nRUN --mount=type=cache [\"a\", \"b\"]\nENV a=b c='d e'\nENV x y z\nCOPY <<EOF /x\nhi\nEOF\nONBUILD ONBUILD RUN a `\n  b\nHEALTHCHECK --interval=1s CMD x\n",
    ),
    (
        "dotenv",
        "# c\nA=1\nexport B = two # why\nC: yaml\nD=\"x $A\\n${B}\\$A\"\nE='$A'\nF=\"two\nlines\"\nexport A\n",
    ),
    (
        "edn",
        "; c\n{:a [1 2.5 nil true], :b #{x} \"k\" #inst \"2020\" :c \\newline #_ignored :d (sym \"t\\n\\u00e9\")}",
    ),
    ("hcl1", "resource \"a\" \"b\" {\n  x = 1\n  y { z = \"${v}\" }\n}\n"),
    (
        "hcl2",
        "a \"b\" \"c\" {\n  n = \"n-${var.n}${~ if x ~}\"\n  e = [for x in y : x if x != -1.5e3]\n  f = test > 2 ? 1: !true\n  t = { N = \"x\", (k) = null, \"q\" = f(a[*].b, c[\"d\"]...) }\n  l = \"%{for k, x in l.arr}x,%{if a}b%{else}c%{endif}%{endfor}$${lit}\"\n  h = <<-EOF\n    one ${local.x}\n    EOF\n  s {}\n}\n",
    ),
    ("ignore", "# c\n*.log\n!/a/**\n\\#x\n"),
    (
        "ini",
        "[a]\nx = 1\ny: true ; c\nz = \"\"\"m\nn\"\"\"\n`k` = a \\\n  b\n[DEFAULT]\nq='1e3'\n",
    ),
    ("json", "{\"a\": [1, 2.5, -0.0, 1e400, null, true, \"\\ud83d\\ude00\"]}"),
    (
        "jsonc",
        "{ // a\n \"u\": \"http://x/*no*/\", /* é\n */ \"l\": [1, 2, ], }",
    ),
    (
        "mariadb",
        "[mysqld]\nlog-bin\nmax_x = '1' # c\n!include /a\n[client]\nport=1\n",
    ),
    (
        "nginx",
        "http { # c\n server { listen 80; location ~ \"\\.php$\" { return 200 '${a}x'; } }\n}\n",
    ),
    (
        "pg_hba",
        "# c\nlocal all \"a b\" trust\nhost all,b +c 10.0.0.0/8 ldap a=b x\nhost a b 1.2.3.4 255.255.255.0 md5\ninclude x\n",
    ),
    (
        "postgresql",
        "# c\nshared_buffers = 128MB\nlisten_addresses = 'a''b\\n'\ninclude_if_exists 'x'\nssl on\n",
    ),
    ("properties", "# c\na.b = x\\u00e9\\\n  y ${c}\nc: ${d}z\nd z\n! x\n"),
    ("redis", "# c\nsave 900 1\nrequirepass \"a\\x20b\\n\"\nuser 'x\\'y'\n"),
    (
        "spdx",
        "SPDXVersion: SPDX-2.2\nDataLicense: CC0-1.0\nSPDXID: SPDXRef-DOCUMENT\nDocumentName: h\n# c\nCreator: Tool: t\nCreated: 2021-08-26T01:46:00Z\n\nPackageName: p\nSPDXID: SPDXRef-p\nFilesAnalyzed: false\nPackageChecksum: SHA1: 85ed\nExternalRef: PACKAGE-MANAGER purl pkg:cargo/p@1\nPackageLicenseComments: <text>two\nlines</text>\nRelationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-p\nFileName: ./a\nSPDXID: SPDXRef-a\nFileChecksum: SHA1: 00\nLicenseID: LicenseRef-1\nExtractedText: <text>free</text>\n",
    ),
    (
        "toml",
        "a = 1\nb = [1.5, true, nan]\nc = 2026-01-02T03:04:05Z\n[d.\"e f\"]\ng.h = \"\"\"x\n\\u00e9\"\"\"\n[[i]]\nj = {k = 'l'}\n",
    ),
    (
        "xml",
        "<?xml version=\"1.0\"?>\n<!DOCTYPE a [<!ENTITY x \"y\">]>\n<n:a b=\"c&amp;\" n:d='e'>t&#65;<![CDATA[<x>]]><f/><f>g</f><!-- c --></n:a>\n",
    ),
    (
        "yaml",
        "%YAML 1.2\n---\na: &a [1, 0x1f, 1e3, .5, ~, yes, 0777, 2001-01-01]\nb: *a\n<<: {c: !!str 1}\n? d\n: !Ref e\n--- |\n  text\n--- >-\n  folded\n...\n",
    ),
    (
        "yaml",
        "a0: &a0 [x, x]\na1: &a1 [*a0, *a0]\na2: [*a1, *a1]\nf: \"\\u263a\\\n  b\"\ng: 'it''s'\n",
    ),
    ("properties", "a=${b}${b}\nb=${c}${c}\nc=x\n"),
    ("dotenv", "A=xx\nA=$A$A\nB=${A}${A}\n"),
];

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    for format in formats() {
        let own = FORMATS.contains(&format) && TEXTS.iter().any(|(known, _)| *known == format);
        assert!(own || APART.contains(&format), "{format} is not fuzzed");
    }
    let texts = TEXTS.iter().map(|(format, text)| (*format, (*text).to_owned()));
    let inputs = texts.chain(bombs());
    inputs
        .filter_map(|(format, text)| seed(format, text.as_bytes()))
        .collect()
}

/// A few bytes that stand for gigabytes. They are taken in a process that has not so much.
fn bombs() -> Vec<(&'static str, String)> {
    let anchors: String = (0..100).map(|n| format!("&a{n} [")).collect();
    let aliases: String = (1..20)
        .map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(",")))
        .collect();
    let doubled: String = (0..60).map(|n| format!("a{n}=${{a{0}}}${{a{0}}}\n", n + 1)).collect();
    let entities: String = (1..20)
        .map(|n| format!("<!ENTITY a{n} \"{}\">", format!("&a{};", n - 1).repeat(9)))
        .collect();
    vec![
        ("yaml", format!("{anchors}{}{}", "x,".repeat(50_000), "]".repeat(100))),
        ("yaml", format!("a0: &a0 [x]\n{aliases}")),
        ("properties", format!("{doubled}a60=\n")),
        ("properties", format!("{doubled}a60=x\n")),
        ("dotenv", format!("A=xxxxxxxx\n{}", "A=$A$A\n".repeat(60))),
        (
            "xml",
            format!("<!DOCTYPE a [<!ENTITY a0 \"x\">{entities}]><a>&a19;</a>"),
        ),
        ("json", "[".repeat(100_000)),
        ("edn", "[".repeat(100_000)),
        ("hcl2", format!("a = {}", "[".repeat(100_000))),
        ("dockerfile", format!("FROM a\n{}RUN b\n", "ONBUILD ".repeat(100_000))),
    ]
}

/// The input that is these bytes in this format.
pub(crate) fn seed(format: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let place = FORMATS.iter().position(|known| *known == format)?;
    Some([&[u8::try_from(place).ok()?], bytes].concat())
}

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else {
        return;
    };
    let format = FORMATS[usize::from(*first) % FORMATS.len()];
    match documents(format, bytes) {
        Ok(found) => {
            // No alias and no variable stands for much more than the file.
            let text = serde_json::to_string(&found).unwrap();
            let size: usize = 64 * bytes.len() + (256 << 20);
            assert!(
                text.len() <= size,
                "{} bytes of {format} became {}",
                bytes.len(),
                text.len()
            );
        }
        Err(why) => {
            assert!(!why.is_empty());
            assert!(!why.contains("internal fault"), "{why}");
        }
    }
}
