// SPDX-License-Identifier: GPL-2.0

//! Answers of a server that need no connection.

use wire::rx::{
    AbortCode,
    Flags,
    Header,
    PacketType, //
};

use crate::HEADER_BYTES;

/// How many bytes a [refusal](refuse) has.
pub const REFUSAL_BYTES: usize = HEADER_BYTES + AbortCode::BYTES;

/// The ABORT that answers a packet of DATA for a service that there is not, or with a security class that there is not.
///
/// OpenAFS and this abort the call, Linux the connection; all have [`AbortCode::INVALID_OPERATION`]. `None` for other packets,
/// which are not answered, and for those of a server.
pub fn refuse(header: &Header, code: AbortCode) -> Option<[u8; REFUSAL_BYTES]> {
    let is_data = PacketType::try_from(header.packet_type) == Ok(PacketType::Data);
    if !is_data || !header.flags.contains(Flags::CLIENT_INITIATED) {
        return None;
    }
    let refusal = Header {
        seq: 0,
        serial: 0,
        packet_type: PacketType::Abort as u8,
        flags: Flags::default(),
        user_status: 0,
        checksum: 0,
        ..*header
    };
    let mut bytes = [0; REFUSAL_BYTES];
    let (head, tail) = bytes.split_first_chunk_mut()?;
    *head = refusal.to_bytes();
    tail.copy_from_slice(&code.to_bytes());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_data_of_a_client_is_refused() {
        let header = Header {
            epoch: 1,
            cid: 6,
            call_number: 3,
            seq: 4,
            serial: 5,
            packet_type: PacketType::Data as u8,
            flags: Flags::CLIENT_INITIATED | Flags::LAST_PACKET,
            user_status: 1,
            security_index: 2,
            checksum: 7,
            service_id: 8,
        };
        let expected =
            b"\0\0\0\x01\0\0\0\x06\0\0\0\x03\0\0\0\0\0\0\0\0\x04\0\0\x02\0\0\0\x08\xff\xff\xff\xfe";
        assert_eq!(
            refuse(&header, AbortCode::INVALID_OPERATION).as_ref(),
            Some(expected)
        );
        for (packet_type, flags) in [
            (PacketType::Abort, Flags::CLIENT_INITIATED),
            (PacketType::Ack, Flags::CLIENT_INITIATED),
            (PacketType::Data, Flags::default()),
        ] {
            let header = Header {
                packet_type: packet_type as u8,
                flags,
                ..header
            };
            assert_eq!(refuse(&header, AbortCode::INVALID_OPERATION), None);
        }
    }
}
