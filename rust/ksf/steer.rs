// SPDX-License-Identifier: GPL-2.0

//! Which socket of a service gets what arrives on which CPU.
//!
//! Each core has a socket of its own in a SO_REUSEPORT group. A classic BPF program, which the kernel runs for each new
//! connection and each datagram, finds the socket by the CPU that it runs on.

use crate::sys::reuseport::Instruction;
use kernel::{
    cpu::CpuId,
    prelude::*, //
};

/// The sockets of a group in the order of their slots.
pub(crate) struct Order {
    cpus: KVec<CpuId>,
}

impl Order {
    /// Creates that of a group without sockets.
    pub(crate) fn new() -> Self {
        Self { cpus: KVec::new() }
    }

    /// The socket of `cpu` has joined. Returns the slot that it got if nobody else is in the group.
    pub(crate) fn join(&mut self, cpu: CpuId) -> Result<u32> {
        let slot = self.cpus.len();
        self.cpus.push(cpu, GFP_KERNEL)?;
        Ok(u32::try_from(slot)?)
    }

    /// The socket of `cpu` has left. As [`net/core/sock_reuseport.c`](srctree/net/core/sock_reuseport.c) does it, the last
    /// one takes its slot.
    pub(crate) fn leave(&mut self, cpu: CpuId) {
        let is_it = |one: &CpuId| one.as_u32() == cpu.as_u32();
        let Some(slot) = self.cpus.iter().position(is_it) else {
            return;
        };
        if let Some(last) = self.cpus.pop() {
            if let Some(place) = self.cpus.get_mut(slot) {
                *place = last;
            }
        }
    }

    /// Returns the program whose result is the slot of the current CPU, or that of the next lower CPU which has a socket, or
    /// of the lowest.
    pub(crate) fn program(&self) -> Result<KVec<Instruction>> {
        let mut slots: KVec<(u32, u32)> = KVec::with_capacity(self.cpus.len(), GFP_KERNEL)?;
        for (slot, cpu) in self.cpus.iter().enumerate() {
            let at = slots.partition_point(|(before, _)| *before < cpu.as_u32());
            let slot = (cpu.as_u32(), u32::try_from(slot)?);
            slots.insert_within_capacity(at, slot).map_err(|_| ENOMEM)?;
        }
        let mut program = KVec::new();
        program.push(LOAD_CPU, GFP_KERNEL)?;
        search(&slots, &mut program)?;
        Ok(program)
    }
}

/// `BPF_LD | BPF_W | BPF_ABS` at `SKF_AD_OFF + SKF_AD_CPU`.
const LOAD_CPU: Instruction = Instruction {
    code: 0x20,
    jump_true: 0,
    jump_false: 0,
    operand: (-0x1000i32 + 36) as u32,
};

/// `BPF_JMP | BPF_JGE | BPF_K`, `BPF_JMP | BPF_JA`, `BPF_RET | BPF_K`.
const JUMP_IF_AT_LEAST: u16 = 0x35;
const JUMP: u16 = 0x05;
const RETURN: u16 = 0x06;

/// Appends a binary search for the CPU among `slots`, which are sorted by CPU.
fn search(slots: &[(u32, u32)], program: &mut KVec<Instruction>) -> Result {
    let (low, high) = slots.split_at(slots.len() / 2);
    let instruction = |code, jump_true, operand| Instruction {
        code,
        jump_true,
        jump_false: 0,
        operand,
    };
    match (low, high) {
        (_, []) => return Err(EINVAL),
        ([], [(_, slot), ..]) => program.push(instruction(RETURN, 0, *slot), GFP_KERNEL)?,
        (_, [(cpu, _), ..]) => {
            program.push(instruction(JUMP_IF_AT_LEAST, 1, *cpu), GFP_KERNEL)?;
            // A conditional jump reaches 255 instructions, this one any number.
            let jump = program.len();
            program.push(instruction(JUMP, 0, 0), GFP_KERNEL)?;
            search(high, program)?;
            let distance = u32::try_from(program.len() - jump - 1)?;
            if let Some(jump) = program.get_mut(jump) {
                jump.operand = distance;
            }
            search(low, program)?;
        }
    }
    Ok(())
}

#[kunit_tests(ksf_steer)]
mod tests {
    use super::*;

    /// Runs the search for a CPU.
    fn find(program: &[Instruction], cpu: u32) -> Option<u32> {
        // The first one loads the CPU.
        let mut at = 1;
        loop {
            let instruction = program.get(at)?;
            at += 1;
            match instruction.code {
                JUMP_IF_AT_LEAST if cpu >= instruction.operand => {
                    at += usize::from(instruction.jump_true);
                }
                JUMP_IF_AT_LEAST => at += usize::from(instruction.jump_false),
                JUMP => at += instruction.operand as usize,
                RETURN => return Some(instruction.operand),
                _ => return None,
            }
        }
    }

    #[test]
    fn finds_any_list_of_cpus() -> Result {
        for count in [1u32, 2, 3, 7, 64, 1000] {
            let mut slots = KVec::new();
            for i in 0..count {
                slots.push((3 * i + 1, count - i), GFP_KERNEL)?;
            }
            let mut program = KVec::new();
            program.push(LOAD_CPU, GFP_KERNEL)?;
            search(&slots, &mut program)?;
            assert!(program.len() < 4096);
            assert_eq!(find(&program, 0), Some(count));
            for (cpu, slot) in slots.iter() {
                assert_eq!(find(&program, *cpu), Some(*slot));
                assert_eq!(find(&program, *cpu + 2), Some(*slot));
            }
        }
        Ok(())
    }

    #[test]
    fn the_last_takes_the_place_of_who_leaves() -> Result {
        let cpu = CpuId::current();
        let mut order = Order::new();
        assert_eq!(order.join(cpu)?, 0);
        let program = order.program()?;
        assert_eq!(find(&program, cpu.as_u32()), Some(0));
        order.leave(cpu);
        assert!(order.program().is_err());
        Ok(())
    }
}
