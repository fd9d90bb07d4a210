//! Any text as the config of a model in a safetensors file that is otherwise whole.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod everything;

fuzz_target!(|config: &str| {
    let text = config.replace('\\', "\\\\").replace('"', "\\\"").replace(char::is_control, " ");
    let header = format!(
        r#"{{"__metadata__":{{"model_config":"{text}"}},"x":{{"dtype":"F32","shape":[16],"data_offsets":[0,64]}}}}"#
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend([0; 64]);
    everything::try_everything(bytes);
});
