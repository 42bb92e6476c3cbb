#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    decoder_checks::named("imap_replies").expect("the check of this name").run(bytes);
});
