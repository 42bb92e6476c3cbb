pub(super) fn encode_8bit_value(value: &[u8]) -> Vec<u8> {
    value.to_vec()
}
