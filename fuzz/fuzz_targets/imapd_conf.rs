#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    decoder_checks::named("imapd_conf").expect("the check of this name").run(bytes);
});
