//! `striate bench`.

use crate::process::{json_lines, stdout, striate, succeed};

#[test]
fn a_workload_is_one_line() {
    let command = striate(["bench", "mnist_latency_1", "--repeat", "1", "--threads", "1", "--json"]);
    let lines = json_lines(&stdout(&succeed(command)));
    let [line] = &lines[..] else { panic!("{lines:?}") };
    let keys = ["workload", "unit", "median", "best", "repeats", "threads", "isa", "peak_rss_bytes"];
    assert_eq!(line.as_object().unwrap().keys().collect::<Vec<_>>(), keys);
    assert_eq!((line["workload"].as_str(), line["unit"].as_str()), (Some("mnist_latency_1"), Some("ms")));
    assert_eq!((line["repeats"].as_u64(), line["threads"].as_u64()), (Some(1), Some(1)));
    assert!(line["median"].as_f64() > Some(0.0) && line["median"] == line["best"], "{line}");
}
