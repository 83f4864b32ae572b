// SPDX-License-Identifier: GPL-2.0

//! The kinds of records.

/// A kind of record: what is wrong with it, if anything is. Some turn out to be right by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    /// A call with a reply that says success.
    Valid,
    /// Less than an xid and a type.
    Runt,
    /// A call that ends before its credential.
    ShortHeader,
    /// A message of another type, but a call in all else.
    OtherType,
    /// A reply.
    Reply,
    /// Another version of RPC.
    RpcVersion,
    /// AUTH_NONE with a body.
    NoneWithBody,
    /// AUTH_SYS with a name that is too long.
    LongName,
    /// AUTH_SYS with too many groups.
    ManyGroups,
    /// AUTH_SYS with a body that has more bytes than its parts.
    UserSurplus,
    /// AUTH_SYS with a body that ends before its parts do.
    UserCut,
    /// AUTH_SYS whose length says more than there is in it.
    LengthTooLarge,
    /// AUTH_SYS whose length says less than there is in it.
    LengthTooSmall,
    /// A credential of more than 400 bytes.
    LongCredential,
    /// A credential that says to have as many bytes as no message has.
    HugeCredential,
    /// A verifier of more than 400 bytes.
    LongVerifier,
    /// A verifier that says to have as many bytes as no message has.
    HugeVerifier,
    /// A verifier of another flavor than AUTH_NONE.
    VerifierFlavor,
    /// A verifier of AUTH_NONE with a body.
    VerifierBody,
    /// AUTH_SHORT, AUTH_DH or RPCSEC_GSS.
    RefusedFlavor,
    /// A flavor that is nobody's.
    UnknownFlavor,
    /// A probe for TLS with a body.
    TlsWithBody,
    /// AUTH_TLS in a call of something else than NULL.
    TlsProcedure,
    /// Another program.
    Program,
    /// Another version of the program.
    Version,
    /// Another procedure.
    Procedure,
    /// ksf_echo with arguments that are cut off.
    ArgumentsCut,
    /// ksf_echo with more than its argument.
    ArgumentsSurplus,
    /// ksf_echo with an opaque that says to be longer than it may be.
    ArgumentsTooLong,
    /// A call that ends anywhere.
    Cut,
    /// A call of which a few bits are wrong.
    BitFlips,
    /// A call of which a word is wrong.
    WrongWord,
    /// A call with two of the above.
    TwoWrong,
    /// Any words.
    Words,
    /// Any bytes.
    Garbage,
    /// A mark that announces more than a record may have. Only in streams.
    TooLong,
    /// More fragments than a record may have. Only in streams.
    TooManyFragments,
    /// A record that does not end. Only in streams, as their last.
    Unfinished,
}

impl Class {
    /// Those of messages.
    pub(crate) const OF_MESSAGES: [Self; 35] = [
        Self::Valid,
        Self::Runt,
        Self::ShortHeader,
        Self::OtherType,
        Self::Reply,
        Self::RpcVersion,
        Self::NoneWithBody,
        Self::LongName,
        Self::ManyGroups,
        Self::UserSurplus,
        Self::UserCut,
        Self::LengthTooLarge,
        Self::LengthTooSmall,
        Self::LongCredential,
        Self::HugeCredential,
        Self::LongVerifier,
        Self::HugeVerifier,
        Self::VerifierFlavor,
        Self::VerifierBody,
        Self::RefusedFlavor,
        Self::UnknownFlavor,
        Self::TlsWithBody,
        Self::TlsProcedure,
        Self::Program,
        Self::Version,
        Self::Procedure,
        Self::ArgumentsCut,
        Self::ArgumentsSurplus,
        Self::ArgumentsTooLong,
        Self::Cut,
        Self::BitFlips,
        Self::WrongWord,
        Self::TwoWrong,
        Self::Words,
        Self::Garbage,
    ];

    /// Those that only streams have.
    pub(crate) const OF_STREAMS: [Self; 3] =
        [Self::TooLong, Self::TooManyFragments, Self::Unfinished];

    /// Those that end most connections.
    pub(super) const ENDS: [Self; 6] = [
        Self::Runt,
        Self::ShortHeader,
        Self::Garbage,
        Self::TooLong,
        Self::TooManyFragments,
        Self::Unfinished,
    ];

    /// Those that can be wrong with a call together with others.
    pub(super) const OF_CALLS: std::ops::Range<usize> = 5..29;
}
