// SPDX-License-Identifier: GPL-2.0

//! Why a call, or a connection, has failed.

/// The payload of an ABORT. Negative numbers are Rx's own and its stub generator's; others are the service's, or are those
/// of a table of errors that has them by a prefix, as rxkad's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortCode(pub i32);

impl AbortCode {
    /// The other side was silent for too long, or has ended the call.
    pub const CALL_DEAD: Self = Self(-1);
    /// What was asked for cannot be done: there is no such service or security class, or data came at the wrong time.
    pub const INVALID_OPERATION: Self = Self(-2);
    /// The call took longer than it may.
    pub const CALL_TIMEOUT: Self = Self(-3);
    /// The data ended too early.
    pub const EOF: Self = Self(-4);
    /// A packet is not as it has to be.
    pub const PROTOCOL_ERROR: Self = Self(-5);
    /// The application has given up, without saying why.
    pub const USER_ABORT: Self = Self(-6);
    /// The server is about to restart; clients of AFS try again.
    pub const RESTARTING: Self = Self(-100);
    /// The client's stub could not write the arguments.
    pub const CC_MARSHAL: Self = Self(-450);
    /// The client's stub could not read the results.
    pub const CC_UNMARSHAL: Self = Self(-451);
    /// The server's stub could not write the results.
    pub const SS_MARSHAL: Self = Self(-452);
    /// The server's stub could not read the arguments.
    pub const SS_UNMARSHAL: Self = Self(-453);
    /// A stub could not decode.
    pub const DECODE: Self = Self(-454);
    /// The service has no such procedure.
    pub const OPCODE: Self = Self(-455);
    /// The server's stub could not free what it had read.
    pub const SS_XDRFREE: Self = Self(-456);
    /// The client's stub could not free what it had read.
    pub const CC_XDRFREE: Self = Self(-457);
    /// The file server or the volume is busy; clients of AFS wait and try again.
    pub const VBUSY: Self = Self(110);
    /// The first of rxkad's codes: the state of the security class is inconsistent.
    pub const RXKAD_INCONSISTENCY: Self = Self(19_270_400);

    /// How many bytes it takes.
    pub const BYTES: usize = 4;

    /// Reads the payload of an ABORT; what follows the code is not looked at. `None` if the payload is shorter, and then
    /// Linux discards the packet.
    #[inline]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        payload
            .first_chunk::<{ Self::BYTES }>()
            .map(|code| Self(i32::from_be_bytes(*code)))
    }

    /// The payload of an ABORT.
    #[inline]
    pub const fn to_bytes(self) -> [u8; Self::BYTES] {
        self.0.to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_signed_number() {
        for (bytes, code) in [
            (b"\xff\xff\xff\xff", AbortCode::CALL_DEAD),
            (b"\xff\xff\xff\xfe", AbortCode::INVALID_OPERATION),
            (b"\xff\xff\xfe\x3b", AbortCode::SS_UNMARSHAL),
            (b"\xff\xff\xfe\x39", AbortCode::OPCODE),
            (b"\x01\x26\x0b\x00", AbortCode::RXKAD_INCONSISTENCY),
            (b"\x00\x00\x00\x6e", AbortCode::VBUSY),
        ] {
            assert_eq!(AbortCode::parse(bytes), Some(code));
            assert_eq!(code.to_bytes(), *bytes);
        }
    }

    #[test]
    fn a_payload_may_be_longer_but_not_shorter() {
        let payload = b"\xff\xff\xff\xfb\x00";
        for len in 0..4 {
            assert_eq!(AbortCode::parse(&payload[..len]), None);
        }
        assert_eq!(AbortCode::parse(payload), Some(AbortCode::PROTOCOL_ERROR));
    }
}
