//! Mistakes that must not compile, and the compiler's messages about them.
//!
//! `TRYBUILD=overwrite cargo test --test project compile_fail` writes the messages anew. They are those of the gate's
//! toolchain.

#[test]
fn mistakes_do_not_compile_and_say_why() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
