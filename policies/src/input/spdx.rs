//! SPDX 2 as tags and values, in the JSON that SPDX's own tools and so Conftest give it: version 2.3 whatever the file says.
//!
//! A file that belongs to a package stands in it; annotations stand at the document. Snippets and reviews are refused by name. Source of
//! the facts: the SPDX specification 2.3 and the names of `tools-golang`'s fields.

use serde_json::{Map, Value, json};

/// How the value of a tag is kept.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Many,
    Truth,
    Checksum,
    Verification,
    External,
}

/// What the tags speak of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Document,
    Creation,
    Package,
    File,
    License,
    Annotation,
}

use Kind::{Checksum, External, Many, Text, Truth, Verification};
use Part::{Annotation, Creation, Document, File, License, Package};

/// Tags, what they speak of (a file and a package share some), and their names.
const TAGS: &[(&str, &[Part], &str, Kind)] = &[
    ("SPDXVersion", &[Document], "spdxVersion", Text),
    ("DataLicense", &[Document], "dataLicense", Text),
    ("SPDXID", &[Document, Package, File], "SPDXID", Text),
    ("DocumentName", &[Document], "name", Text),
    ("DocumentNamespace", &[Document], "documentNamespace", Text),
    ("DocumentComment", &[Document], "comment", Text),
    ("LicenseListVersion", &[Creation], "licenseListVersion", Text),
    ("Creator", &[Creation], "creators", Many),
    ("Created", &[Creation], "created", Text),
    ("CreatorComment", &[Creation], "comment", Text),
    ("PackageName", &[Package], "name", Text),
    ("PackageVersion", &[Package], "versionInfo", Text),
    ("PackageFileName", &[Package], "packageFileName", Text),
    ("PackageSupplier", &[Package], "supplier", Text),
    ("PackageOriginator", &[Package], "originator", Text),
    ("PackageDownloadLocation", &[Package], "downloadLocation", Text),
    ("FilesAnalyzed", &[Package], "filesAnalyzed", Truth),
    (
        "PackageVerificationCode",
        &[Package],
        "packageVerificationCode",
        Verification,
    ),
    ("PackageChecksum", &[Package], "checksums", Checksum),
    ("PackageHomePage", &[Package], "homepage", Text),
    ("PackageSourceInfo", &[Package], "sourceInfo", Text),
    ("PackageLicenseConcluded", &[Package], "licenseConcluded", Text),
    ("PackageLicenseInfoFromFiles", &[Package], "licenseInfoFromFiles", Many),
    ("PackageLicenseDeclared", &[Package], "licenseDeclared", Text),
    ("PackageLicenseComments", &[Package], "licenseComments", Text),
    ("PackageCopyrightText", &[Package], "copyrightText", Text),
    ("PackageSummary", &[Package], "summary", Text),
    ("PackageDescription", &[Package], "description", Text),
    ("PackageComment", &[Package], "comment", Text),
    ("ExternalRef", &[Package], "externalRefs", External),
    ("PackageAttributionText", &[Package], "attributionTexts", Many),
    ("PrimaryPackagePurpose", &[Package], "primaryPackagePurpose", Text),
    ("ReleaseDate", &[Package], "releaseDate", Text),
    ("BuiltDate", &[Package], "builtDate", Text),
    ("ValidUntilDate", &[Package], "validUntilDate", Text),
    ("FileName", &[File], "fileName", Text),
    ("FileType", &[File], "fileTypes", Many),
    ("FileChecksum", &[File], "checksums", Checksum),
    ("LicenseConcluded", &[File], "licenseConcluded", Text),
    ("LicenseInfoInFile", &[File], "licenseInfoInFiles", Many),
    ("LicenseComments", &[File], "licenseComments", Text),
    ("FileCopyrightText", &[File], "copyrightText", Text),
    ("FileComment", &[File], "comment", Text),
    ("FileNotice", &[File], "noticeText", Text),
    ("FileContributor", &[File], "fileContributors", Many),
    ("FileDependency", &[File], "fileDependencies", Many),
    ("FileAttributionText", &[File], "attributionTexts", Many),
    ("LicenseID", &[License], "licenseId", Text),
    ("ExtractedText", &[License], "extractedText", Text),
    ("LicenseName", &[License], "name", Text),
    ("LicenseCrossReference", &[License], "seeAlsos", Many),
    ("LicenseComment", &[License], "comment", Text),
    ("Annotator", &[Annotation], "annotator", Text),
    ("AnnotationDate", &[Annotation], "annotationDate", Text),
    ("AnnotationType", &[Annotation], "annotationType", Text),
    ("AnnotationComment", &[Annotation], "comment", Text),
];

/// Parses a document.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut reader = Reader {
        document: Map::from_iter([("creationInfo".to_owned(), json!({}))]),
        part: Document,
    };
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let at = |why: String| format!("line {number}: {why}");
        let (tag, value) = line
            .split_once(':')
            .ok_or_else(|| at("no tag with a colon".to_owned()))?;
        let mut value = value.trim().to_owned();
        if let Some(begun) = value.strip_prefix("<text>") {
            let mut whole = begun.to_owned();
            while !whole.contains("</text>") {
                let (_, line) = lines.next().ok_or_else(|| at("<text> without an end".to_owned()))?;
                whole.push('\n');
                whole.push_str(line);
            }
            value = whole.split("</text>").next().unwrap_or_default().to_owned();
        }
        reader.tag(tag.trim(), value).map_err(at)?;
    }
    reader.finish()
}

struct Reader {
    document: Map<String, Value>,
    part: Part,
}

impl Reader {
    fn tag(&mut self, tag: &str, value: String) -> Result<(), String> {
        match tag {
            "PackageName" => self.begin(Package, "packages", json!({"filesAnalyzed": true})),
            "FileName" => self.begin(File, "files", json!({"checksums": null, "copyrightText": ""})),
            "LicenseID" => self.begin(License, "hasExtractedLicensingInfos", json!({})),
            "Annotator" => self.begin(Annotation, "annotations", json!({})),
            "Relationship" => return self.relationship(&value),
            "ExternalDocumentRef" => return self.external_document(&value),
            "ExternalRefComment" => {
                let package = last(&mut self.document, "packages");
                return comment(package.and_then(|package| last(package, "externalRefs")), value);
            }
            "RelationshipComment" => return comment(last(&mut self.document, "relationships"), value),
            "Creator" | "Created" | "CreatorComment" | "LicenseListVersion" => self.part = Creation,
            "DocumentComment" => self.part = Document,
            _ if tag.starts_with("Snippet") || tag.starts_with("Review") => {
                return Err(format!(
                    "{tag} is not read: remove snippets and reviews, or convert the file to JSON"
                ));
            }
            _ => {}
        }
        let part = self.part;
        let known = TAGS
            .iter()
            .find(|(name, parts, ..)| *name == tag && parts.contains(&part));
        let Some((_, _, name, kind)) = known else {
            return Err(format!("unknown tag {tag} in this place"));
        };
        let place = self.place().ok_or_else(|| format!("{tag} speaks of nothing"))?;
        match kind {
            Text => drop(place.insert((*name).to_owned(), Value::from(value))),
            Truth => drop(place.insert((*name).to_owned(), Value::from(value == "true"))),
            Many => push(place, name, Value::from(value)),
            Checksum => {
                let (algorithm, digest) = value.split_once(':').ok_or("no checksum: ALGORITHM: DIGEST")?;
                push(
                    place,
                    name,
                    json!({"algorithm": algorithm.trim(), "checksumValue": digest.trim()}),
                );
            }
            Verification => {
                let (code, left_out) = value.split_once('(').unwrap_or((&value, ""));
                let mut found = json!({"packageVerificationCodeValue": code.trim()});
                let files = left_out
                    .trim_start_matches("excludes:")
                    .trim_end_matches(')')
                    .split(',');
                let files: Vec<&str> = files.map(str::trim).filter(|file| !file.is_empty()).collect();
                if !files.is_empty() {
                    found["packageVerificationCodeExcludedFiles"] = json!(files);
                }
                place.insert((*name).to_owned(), found);
            }
            External => {
                let words: Vec<&str> = value.split_whitespace().collect();
                let [category, kind, locator] = words.as_slice() else {
                    return Err("no external reference: CATEGORY TYPE LOCATOR".to_owned());
                };
                let found = json!({"referenceCategory": category, "referenceType": kind, "referenceLocator": locator});
                push(place, name, found);
            }
        }
        Ok(())
    }

    /// Begins another part; a file within the last package.
    fn begin(&mut self, part: Part, list: &str, empty: Value) {
        let package = self
            .document
            .get_mut("packages")
            .and_then(|all| all.as_array_mut()?.last_mut());
        let place = match package.filter(|_| part == File) {
            Some(Value::Object(package)) => package,
            _ => &mut self.document,
        };
        push(place, list, empty);
        self.part = part;
    }

    /// What the next tag is about.
    fn place(&mut self) -> Option<&mut Map<String, Value>> {
        let list = match self.part {
            Document => return Some(&mut self.document),
            Creation => return self.document.get_mut("creationInfo")?.as_object_mut(),
            Package => "packages",
            License => "hasExtractedLicensingInfos",
            Annotation => "annotations",
            File => {
                let has_package = self.document.contains_key("packages");
                if !has_package {
                    return last(&mut self.document, "files");
                }
                return last(last(&mut self.document, "packages")?, "files");
            }
        };
        last(&mut self.document, list)
    }

    fn relationship(&mut self, value: &str) -> Result<(), String> {
        let words: Vec<&str> = value.split_whitespace().collect();
        let [from, kind, to] = words.as_slice() else {
            return Err("no relationship: ELEMENT KIND ELEMENT".to_owned());
        };
        let found = json!({"spdxElementId": from, "relatedSpdxElement": to, "relationshipType": kind});
        push(&mut self.document, "relationships", found);
        // What follows goes on with what it was about before, but for the comment.
        Ok(())
    }

    fn external_document(&mut self, value: &str) -> Result<(), String> {
        let words: Vec<&str> = value.split_whitespace().collect();
        let [id, uri, algorithm, digest] = words.as_slice() else {
            return Err("no external document: ID URI ALGORITHM: DIGEST".to_owned());
        };
        let checksum = json!({"algorithm": algorithm.trim_end_matches(':'), "checksumValue": digest});
        let found = json!({"externalDocumentId": id, "spdxDocument": uri, "checksum": checksum});
        push(&mut self.document, "externalDocumentRefs", found);
        Ok(())
    }

    fn finish(mut self) -> Result<Value, String> {
        if !self.document.contains_key("spdxVersion") {
            return Err("no SPDX document: it has no SPDXVersion".to_owned());
        }
        self.document.insert("spdxVersion".to_owned(), json!("SPDX-2.3"));
        for package in self
            .document
            .get_mut("packages")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if let Value::Object(package) = package {
                // False is what an absent one means to Go.
                if package.get("filesAnalyzed") == Some(&Value::Bool(false)) {
                    package.remove("filesAnalyzed");
                }
                for name in ["downloadLocation", "copyrightText", "SPDXID"] {
                    package.entry(name).or_insert_with(|| json!(""));
                }
            }
        }
        for name in ["dataLicense", "SPDXID", "name", "documentNamespace"] {
            self.document.entry(name).or_insert_with(|| json!(""));
        }
        Ok(Value::Object(self.document))
    }
}

fn comment(place: Option<&mut Map<String, Value>>, text: String) -> Result<(), String> {
    let place = place.ok_or("a comment on nothing")?;
    place.insert("comment".to_owned(), Value::from(text));
    Ok(())
}

fn push(place: &mut Map<String, Value>, name: &str, value: Value) {
    match place.get_mut(name) {
        Some(Value::Array(list)) => list.push(value),
        _ => drop(place.insert(name.to_owned(), json!([value]))),
    }
}

fn last<'a>(place: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    place.get_mut(name)?.as_array_mut()?.last_mut()?.as_object_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_become_the_json_of_the_specification() {
        let text = "SPDXVersion: SPDX-2.2\nDataLicense: CC0-1.0\nSPDXID: SPDXRef-DOCUMENT\nDocumentName: hello\nDocumentNamespace: https://x\n\
                    # a comment\nCreator: Tool: t\nCreator: Person: P\nCreated: 2021-08-26T01:46:00Z\n\nPackageName: p\nSPDXID: SPDXRef-p\n\
                    PackageDownloadLocation: NONE\nFilesAnalyzed: false\nPackageChecksum: SHA1: 85ed\n\
                    ExternalRef: PACKAGE-MANAGER purl pkg:cargo/p@1\nPackageLicenseComments: <text>two\nlines</text>\n\
                    Relationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-p\nFileName: ./a\nSPDXID: SPDXRef-a\nFileChecksum: SHA1: 00\n\
                    LicenseID: LicenseRef-1\nExtractedText: <text>free</text>\n";
        assert_eq!(
            parse(text).unwrap(),
            json!({
                "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "hello",
                "documentNamespace": "https://x",
                "creationInfo": {"creators": ["Tool: t", "Person: P"], "created": "2021-08-26T01:46:00Z"},
                "packages": [{
                    "name": "p", "SPDXID": "SPDXRef-p", "downloadLocation": "NONE", "copyrightText": "",
                    "checksums": [{"algorithm": "SHA1", "checksumValue": "85ed"}], "licenseComments": "two\nlines",
                    "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:cargo/p@1"}],
                    "files": [{"fileName": "./a", "SPDXID": "SPDXRef-a", "copyrightText": "",
                        "checksums": [{"algorithm": "SHA1", "checksumValue": "00"}]}],
                }],
                "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relatedSpdxElement": "SPDXRef-p", "relationshipType": "DESCRIBES"}],
                "hasExtractedLicensingInfos": [{"licenseId": "LicenseRef-1", "extractedText": "free"}],
            })
        );
    }

    #[test]
    fn what_is_no_document_is_refused_with_its_line() {
        assert!(parse("nothing\n").unwrap_err().starts_with("line 1: no tag"));
        assert!(parse("DataLicense: x\n").unwrap_err().contains("SPDXVersion"));
        assert!(
            parse("SPDXVersion: x\nSnippetSPDXID: y\n")
                .unwrap_err()
                .starts_with("line 2: Snippet")
        );
        assert!(
            parse("SPDXVersion: x\nDocumentComment: <text>a\n")
                .unwrap_err()
                .contains("without an end")
        );
        assert!(
            parse("SPDXVersion: x\nFrobnicate: y\n")
                .unwrap_err()
                .contains("unknown tag")
        );
    }
}
