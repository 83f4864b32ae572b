// SPDX-License-Identifier: GPL-2.0

//! Messages and streams of all kinds. The seed decides them.

use super::{class::Class, Server, CLOSING_OTHER, ECHO, MAX_FRAGMENTS, MAX_RECORD, NFS};

/// A stream of records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    /// All that is sent.
    pub(crate) bytes: Vec<u8>,
    /// The class of each record, and where the record ends.
    pub(crate) records: Vec<(Class, usize)>,
}

/// A call that is not written yet.
#[derive(Clone, Debug)]
struct Call {
    /// The words before the credential.
    words: [u32; 6],
    credential: Auth,
    verifier: Auth,
    arguments: Vec<u8>,
}

/// A credential or a verifier.
#[derive(Clone, Debug, Default)]
struct Auth {
    flavor: u32,
    /// What it says.
    length: u32,
    /// What there is, with padding.
    body: Vec<u8>,
}

impl Auth {
    fn new(flavor: u32, mut body: Vec<u8>) -> Self {
        let length = body.len() as u32;
        body.resize(body.len().div_ceil(4) * 4, 0);
        Self {
            flavor,
            length,
            body,
        }
    }

    fn write(&self, message: &mut Vec<u8>) {
        message.extend_from_slice(&self.flavor.to_be_bytes());
        message.extend_from_slice(&self.length.to_be_bytes());
        message.extend_from_slice(&self.body);
    }
}

impl Call {
    fn write(&self) -> Vec<u8> {
        let mut message: Vec<_> = self.words.into_iter().flat_map(u32::to_be_bytes).collect();
        self.credential.write(&mut message);
        self.verifier.write(&mut message);
        message.extend_from_slice(&self.arguments);
        message
    }
}

/// Makes messages and streams.
#[derive(Clone, Debug)]
pub(crate) struct Generator {
    state: u64,
}

impl Generator {
    /// The messages of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Any number: SplitMix64.
    pub(crate) fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.number() % end as u64) as usize
    }

    /// Whether something happens that happens once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn word(&mut self) -> u32 {
        (self.number() >> 32) as u32
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A number above `limit`: just above, any, or the largest.
    fn above(&mut self, limit: u32) -> u32 {
        match self.below(4) {
            0 => limit + 1,
            1 => u32::MAX,
            2 => limit + 1 + self.word() % 64,
            _ => limit + 1 + self.word() % (u32::MAX - limit),
        }
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.number().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    /// The body of AUTH_SYS.
    fn user(&mut self, name: usize, groups: usize) -> Vec<u8> {
        let mut body = self.bytes(4);
        body.extend_from_slice(&(name as u32).to_be_bytes());
        body.extend(self.bytes(name));
        body.resize(body.len().div_ceil(4) * 4, 0);
        body.extend(self.bytes(8));
        body.extend_from_slice(&(groups as u32).to_be_bytes());
        body.extend(self.bytes(4 * groups));
        body
    }

    fn valid_user(&mut self) -> Auth {
        let name = match self.below(4) {
            0 => self.below(256),
            1 => 255,
            _ => self.below(16),
        };
        let groups = self.below(17);
        Auth::new(1, self.user(name, groups))
    }

    /// The argument of ksf_echo.
    fn argument(&mut self, length: usize) -> Vec<u8> {
        let mut argument = (length as u32).to_be_bytes().to_vec();
        argument.extend(self.bytes(length));
        // What is in the padding does not matter.
        let padding = length.wrapping_neg() % 4;
        argument.extend(self.bytes(padding));
        argument
    }

    fn echo(&mut self, call: &mut Call) {
        call.words[3..].copy_from_slice(&[ECHO, 1, 1]);
        let length = match self.below(64) {
            0 => 2_045 + self.below(4),
            1..8 => self.below(512),
            _ => self.below(24),
        };
        call.arguments = self.argument(length);
    }

    fn valid_call(&mut self) -> Call {
        let mut call = Call {
            words: [self.word(), 0, 2, NFS, self.one_of(&[2, 3, 4]), 0],
            credential: Auth::default(),
            verifier: Auth::default(),
            arguments: Vec::new(),
        };
        match self.below(4) {
            0 => self.echo(&mut call),
            1 => call.words[3..].copy_from_slice(&[ECHO, 1, 0]),
            _ => {}
        }
        if call.words[5] == 0 && self.once_in(4) {
            let longest = if self.once_in(256) { 60_000 } else { 100 };
            let length = self.below(longest);
            call.arguments = self.bytes(length);
        }
        match self.below(5) {
            0 if call.words[5] == 0 => call.credential.flavor = 7,
            0..3 => {}
            _ => call.credential = self.valid_user(),
        }
        call
    }

    /// Makes a call wrong.
    fn spoil(&mut self, call: &mut Call, class: Class) {
        match class {
            Class::RpcVersion => {
                call.words[2] = self.one_of(&[0, 1, 3, 4, u32::MAX]);
                if self.once_in(4) {
                    call.words[2] = self.word();
                }
            }
            Class::NoneWithBody => call.credential = self.some_auth(0),
            Class::LongName => {
                let name = 256 + self.below(64);
                call.credential = Auth::new(1, self.user(name, 0));
                if self.once_in(2) {
                    let length = self.above(255);
                    call.credential.body[4..8].copy_from_slice(&length.to_be_bytes());
                }
            }
            Class::ManyGroups => {
                let groups = 17 + self.below(16);
                let mut body = self.user(4, groups);
                if self.once_in(2) {
                    let count = self.above(16);
                    body[20..24].copy_from_slice(&count.to_be_bytes());
                }
                call.credential = Auth::new(1, body);
            }
            Class::UserSurplus => {
                let mut body = self.valid_user().body;
                let surplus = 1 + self.below(12);
                body.extend(self.bytes(surplus));
                call.credential = Auth::new(1, body);
            }
            Class::UserCut => {
                let mut body = self.valid_user().body;
                body.truncate(self.below(body.len()));
                call.credential = Auth::new(1, body);
            }
            Class::LengthTooLarge => {
                call.credential = self.valid_user();
                call.credential.length += 1 + self.word() % 64;
            }
            Class::LengthTooSmall => {
                call.credential = self.valid_user();
                call.credential.length = self.below(call.credential.length as usize) as u32;
            }
            Class::LongCredential => call.credential = self.long_auth(),
            Class::HugeCredential => call.credential.length = self.above(60_000),
            Class::LongVerifier => call.verifier = self.long_auth(),
            Class::HugeVerifier => call.verifier.length = self.above(60_000),
            Class::VerifierFlavor => {
                call.verifier.flavor = self.one_of(&[1, 2, 3, 6, 7, 8, u32::MAX]);
                if self.once_in(2) {
                    call.verifier = self.some_auth(call.verifier.flavor);
                }
            }
            Class::VerifierBody => call.verifier = self.some_auth(0),
            Class::RefusedFlavor => {
                let flavor = self.one_of(&[2, 3, 6]);
                call.credential = self.some_auth(flavor);
                if flavor == 6 && self.once_in(2) {
                    call.credential = self.security_context();
                }
            }
            Class::UnknownFlavor => {
                let flavor = self.one_of(&[4, 5, 8, 9, 390_003, 390_004, 390_005, u32::MAX]);
                call.credential = self.some_auth(flavor);
                call.credential.length *= u32::from(!self.once_in(3));
            }
            Class::TlsWithBody => call.credential = self.some_auth(7),
            Class::TlsProcedure => {
                call.credential = Auth::new(7, Vec::new());
                call.words[5] = 1 + self.word() % 30;
            }
            Class::Program => {
                let others = [0, 100_000, 100_002, 100_004, 100_227, 400_122, u32::MAX];
                call.words[3] = self.one_of(&others);
                if self.once_in(2) {
                    call.words[3] = self.word();
                }
            }
            Class::Version => call.words[4] = self.one_of(&[0, 1, 2, 5, 6, u32::MAX]),
            Class::Procedure => {
                call.words[5] = self.one_of(&[1, 2, 21, 22, 255, 0x8000_0000, u32::MAX]);
            }
            Class::ArgumentsCut => {
                self.echo(call);
                call.arguments.truncate(self.below(call.arguments.len()));
            }
            Class::ArgumentsSurplus => {
                self.echo(call);
                let surplus = 1 + self.below(16);
                call.arguments.extend(self.bytes(surplus));
            }
            Class::ArgumentsTooLong => {
                self.echo(call);
                let length = match self.below(3) {
                    0 => call.arguments.len() as u32 + self.word() % 8,
                    _ => self.above(2_048),
                };
                call.arguments[..4].copy_from_slice(&length.to_be_bytes());
            }
            _ => {}
        }
    }

    /// A credential or a verifier that is as it says.
    fn some_auth(&mut self, flavor: u32) -> Auth {
        let length = match self.below(8) {
            0 => 400,
            1 => self.below(401),
            _ => 1 + self.below(40),
        };
        Auth::new(flavor, self.bytes(length))
    }

    /// RPCSEC_GSS version 1 as clients have it, in any state of a context.
    fn security_context(&mut self) -> Auth {
        let (step, service) = (self.below(4) as u32, 1 + self.below(3) as u32);
        let words = [1, step, self.word() % 1_000, service];
        let mut body: Vec<_> = words.into_iter().flat_map(u32::to_be_bytes).collect();
        let handle = 4 * self.below(3);
        body.extend_from_slice(&(handle as u32).to_be_bytes());
        body.extend(self.bytes(handle));
        Auth::new(6, body)
    }

    fn long_auth(&mut self) -> Auth {
        let flavor = self.below(9) as u32;
        let length = match self.below(4) {
            0 => 401,
            1 => 404,
            _ => 401 + self.below(400),
        };
        Auth::new(flavor, self.bytes(length))
    }

    /// A message of a class, without marks. Of a class of streams, it is a valid one.
    pub(crate) fn message(&mut self, class: Class) -> Vec<u8> {
        match class {
            Class::Runt => {
                let length = self.below(8);
                return self.bytes(length);
            }
            Class::Words => {
                let words = 6 + self.below(20);
                return (0..words)
                    .flat_map(|_| match self.below(4) {
                        0 => self.word().to_be_bytes(),
                        _ => (self.below(4) as u32).to_be_bytes(),
                    })
                    .collect();
            }
            Class::Garbage => {
                let length = self.below(120);
                return self.bytes(length);
            }
            _ => {}
        }
        let mut call = self.valid_call();
        self.spoil(&mut call, class);
        if class == Class::TwoWrong {
            for _ in 0..2 {
                let class = Class::OF_MESSAGES[self.one_of(&Class::OF_CALLS.collect::<Vec<_>>())];
                self.spoil(&mut call, class);
            }
        }
        if class == Class::OtherType {
            call.words[1] = match self.below(3) {
                0 => 1,
                1 => 2,
                _ => self.word().max(1),
            };
        }
        let mut message = call.write();
        match class {
            Class::ShortHeader => message.truncate(8 + self.below(16)),
            Class::Cut => {
                // Most ends of a header end the connection, too.
                let least = if self.once_in(8) { 0 } else { 24 };
                message.truncate(least + self.below(message.len() - least));
            }
            Class::OtherType if self.once_in(3) => message.truncate(8 + self.below(16)),
            Class::Reply => {
                let status = self.below(6) as u32;
                let words = [call.words[0], 1, 0, 0, 0, status];
                message = words.into_iter().flat_map(u32::to_be_bytes).collect();
            }
            Class::BitFlips => {
                for _ in 0..=self.below(4) {
                    let end = message.len().min(512);
                    let place = self.below(end);
                    message[place] ^= 1 << self.below(8);
                }
            }
            Class::WrongWord => {
                let place = 4 * self.below(message.len().min(512) / 4);
                let word = match self.below(4) {
                    0 => u32::MAX,
                    1 => self.word(),
                    _ => self.below(512) as u32,
                };
                message[place..place + 4].copy_from_slice(&word.to_be_bytes());
            }
            _ => {}
        }
        message
    }

    /// A class of a message, each as likely as another.
    pub(crate) fn class(&mut self) -> Class {
        self.one_of(&Class::OF_MESSAGES)
    }

    /// A message as a record: most often in one fragment, else in up to as many as there may be, some of them empty.
    pub(crate) fn mark(&mut self, message: &[u8]) -> Vec<u8> {
        let count = match self.below(16) {
            0..12 => 1,
            12..15 => 2 + self.below(4),
            _ => 1 + self.below(MAX_FRAGMENTS),
        };
        self.fragments(message, count)
    }

    fn fragments(&mut self, message: &[u8], count: usize) -> Vec<u8> {
        let mut cuts: Vec<_> = (1..count).map(|_| self.below(message.len() + 1)).collect();
        cuts.sort_unstable();
        let (mut record, mut from) = (Vec::new(), 0);
        for to in cuts {
            record.extend_from_slice(&((to - from) as u32).to_be_bytes());
            record.extend_from_slice(&message[from..to]);
            from = to;
        }
        let last = 0x8000_0000 | (message.len() - from) as u32;
        record.extend_from_slice(&last.to_be_bytes());
        record.extend_from_slice(&message[from..]);
        record
    }

    /// A record of a class, with its marks.
    pub(crate) fn record(&mut self, class: Class) -> Vec<u8> {
        let message = self.message(class);
        match class {
            Class::TooLong => {
                // All of the record may be announced at once, or a part of it is there already.
                let begun = match self.below(2) {
                    0 => Vec::new(),
                    _ => self.bytes(64),
                };
                let mut record = Vec::new();
                if !begun.is_empty() {
                    record.extend_from_slice(&(begun.len() as u32).to_be_bytes());
                    record.extend_from_slice(&begun);
                }
                let limit = MAX_RECORD - begun.len();
                let length = match self.below(4) {
                    0 => limit + 1,
                    1 => 0x7fff_ffff,
                    _ => limit + 1 + self.below(0x7fff_ffff - limit),
                };
                let last = self.one_of(&[0, 0x8000_0000]);
                record.extend_from_slice(&(length as u32 | last).to_be_bytes());
                record
            }
            Class::TooManyFragments => {
                let count = MAX_FRAGMENTS + 1 + self.below(8);
                self.fragments(&message, count)
            }
            Class::Unfinished => {
                let mut record = self.mark(&message);
                record.truncate(self.below(record.len() - 1) + 1);
                record
            }
            Class::Valid if self.once_in(512) => {
                let mut message = self.valid_call();
                message.words[3..].copy_from_slice(&[NFS, 3, 0]);
                message.arguments = Vec::new();
                let mut message = message.write();
                message.resize(MAX_RECORD, 0);
                self.mark(&message)
            }
            _ => self.mark(&message),
        }
    }

    /// A stream of at most `records` records, in which most are answered, and nothing is of use after a record that ends
    /// the connection with `server`: either nothing follows it, or a few bytes do.
    pub(crate) fn stream(&mut self, server: Server, records: usize) -> Stream {
        let mut stream = Stream::default();
        // Some clients say nothing of use at all.
        let only_others = self.once_in(64);
        while stream.records.len() < records {
            let class = match self.below(128) {
                0 => self.one_of(&Class::ENDS),
                _ if only_others && stream.records.len() <= CLOSING_OTHER => Class::OtherType,
                _ => self.class(),
            };
            if Class::ENDS[..3].contains(&class) && !self.once_in(16) {
                continue;
            }
            let record = self.record(class);
            stream.bytes.extend_from_slice(&record);
            stream.records.push((class, stream.bytes.len()));
            if Class::ENDS.contains(&class) {
                break;
            }
        }
        if let Some(end) = server.converse(&stream.bytes).closes_at {
            stream.bytes.truncate(end);
            if self.once_in(8) {
                let surplus = 1 + self.below(64);
                stream.bytes.extend(self.bytes(surplus));
            }
            // The record in which that is, and those before it.
            let last = stream.records.iter().position(|(_, to)| *to >= end);
            stream.records.truncate(last.map_or(0, |last| last + 1));
        }
        stream
    }
}
