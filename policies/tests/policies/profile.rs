//! The profile that is compiled in: each rule both ways, and what it cannot know is never a pass.

#[test]
fn placeholder() {
    assert_eq!(muster_policies::rules("dr-baseline").unwrap().len(), 24);
}
