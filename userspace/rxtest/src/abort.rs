// SPDX-License-Identifier: GPL-2.0

//! What the codes mean by which calls are aborted.

use wire::rx::AbortCode;

/// The names that OpenAFS has for codes (`src/rx/rx.h`, `src/rx/rxgen_consts.h`), and what they say.
const NAMES: [(AbortCode, &str, &str); 14] = [
    (AbortCode::CALL_DEAD, "RX_CALL_DEAD", "the call is dead"),
    (
        AbortCode::INVALID_OPERATION,
        "RX_INVALID_OPERATION",
        "there is no such service",
    ),
    (
        AbortCode::CALL_TIMEOUT,
        "RX_CALL_TIMEOUT",
        "the call took too long",
    ),
    (AbortCode::EOF, "RX_EOF", "the data ended too early"),
    (
        AbortCode::PROTOCOL_ERROR,
        "RX_PROTOCOL_ERROR",
        "a packet contradicts the protocol",
    ),
    (AbortCode::USER_ABORT, "RX_USER_ABORT", "as its user wanted"),
    (
        AbortCode::RESTARTING,
        "RX_RESTARTING",
        "the server is restarting",
    ),
    (
        AbortCode::SS_MARSHAL,
        "RXGEN_SS_MARSHAL",
        "the server cannot write the reply",
    ),
    (
        AbortCode::SS_UNMARSHAL,
        "RXGEN_SS_UNMARSHAL",
        "the server cannot read the request",
    ),
    (
        AbortCode::DECODE,
        "RXGEN_DECODE",
        "the request cannot be decoded",
    ),
    (
        AbortCode::OPCODE,
        "RXGEN_OPCODE",
        "the server has no such operation",
    ),
    (
        AbortCode::SS_XDRFREE,
        "RXGEN_SS_XDRFREE",
        "the server cannot free memory",
    ),
    (AbortCode::VBUSY, "VBUSY", "the server is busy"),
    (
        AbortCode::RXKAD_INCONSISTENCY,
        "RXKADINCONSISTENCY",
        "the server wants another kind of security",
    ),
];

/// A code, and what it says if that is known.
pub(crate) fn in_words(code: AbortCode) -> String {
    let AbortCode(number) = code;
    match NAMES.iter().find(|(known, ..)| *known == code) {
        Some((_, name, meaning)) => format!("code {number} ({name}: {meaning})"),
        None => format!("code {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codes_have_names() {
        assert_eq!(
            in_words(AbortCode(-455)),
            "code -455 (RXGEN_OPCODE: the server has no such operation)"
        );
        assert_eq!(in_words(AbortCode(49_733_000)), "code 49733000");
        let mut codes: Vec<_> = NAMES.iter().map(|(AbortCode(code), ..)| code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), NAMES.len());
    }
}
