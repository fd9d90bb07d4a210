//! The conformance suite accepts the reference.

striate_testkit::conformance_suite!(striate_testkit::reference::device());
