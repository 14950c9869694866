//! Many documents are judged at a time, and nothing of that shows.

use crate::Bench;

#[test]
fn what_policies_print_comes_in_the_order_of_documents_whoever_judges_them() {
    let bench = Bench::new();
    bench.write(
        "policy/p.rego",
        "package main\n\nimport rego.v1\n\ndeny contains msg if {\n\tprint(input.number)\n\tinput.number % 100 == 7\n\tmsg := sprintf(\"%d\", [input.number])\n}\n\nwarn_odd contains \"odd\" if input.number % 2 == 1\n",
    );
    let text: String = (0..3000).map(|n| format!("---\nnumber: {n}\n")).collect();
    let input = bench.write("many.yaml", &text);
    let report = bench.check(&input);
    let summary = report.summary;
    assert_eq!(
        (summary.fail, summary.warn, summary.pass, summary.error),
        (30, 1500, 2970 + 1500, 0)
    );
    let printed: Vec<&str> = report
        .prints
        .iter()
        .filter_map(|line| line.rsplit(' ').next())
        .collect();
    let expected: Vec<String> = (0..3000).map(|n| n.to_string()).collect();
    assert_eq!(printed, expected);
}

#[test]
fn an_exception_of_one_document_is_none_of_the_next() {
    let bench = Bench::new();
    bench.write(
        "policy/p.rego",
        "package main\n\nimport rego.v1\n\ndeny_a contains \"a\" if input.number\n\ndeny_b contains \"b\" if input.number\n\nexception contains [\"a\"] if input.number % 2 == 0\n",
    );
    let text: String = (0..600).map(|n| format!("---\nnumber: {n}\n")).collect();
    let input = bench.write("many.yaml", &text);
    let summary = bench.check(&input).summary;
    assert_eq!((summary.waived, summary.fail), (300, 900));
}
