// SPDX-License-Identifier: GPL-2.0

//! What the author of a service writes that runs a protocol of its own over UDP.

use super::turn::Turn;
use kernel::{
    cpu::CpuId,
    prelude::*,
    sync::Arc, //
};

/// A service that runs a protocol of its own over UDP.
///
/// # Context
///
/// [`turn()`](Self::turn()) and [`stop()`](Self::stop()) run in softirq, or in a worker thread of the core with softirqs off. So
/// they must not sleep: no mutex, no allocation but with `GFP_ATOMIC`, no waiting of any kind; and they should be short.
///
/// # Locking
///
/// A datagram comes to the core of the CPU where it has arrived, which is not always the same one for a peer. What belongs to
/// another core is [`handed over`](Turn::hand_over()).
///
/// The methods of one `Core` never run at the same time; those of different ones do, on all CPUs. The service itself is shared by
/// all of them: what it changes is atomic, or in a [`SoftirqLock`](crate::SoftirqLock).
///
/// # Examples
///
/// ```ignore
/// struct Echo;
///
/// impl PacketService for Echo {
///     type Core = ();
///
///     fn core(&self, _cpu: CpuId) -> Result {
///         Ok(())
///     }
///
///     fn turn(&self, _core: &mut (), turn: &mut Turn<'_>) -> Option<u64> {
///         while let Some(mut packet) = turn.receive() {
///             let flow = *packet.flow();
///             if let Some(bytes) = packet.head(packet.len()) {
///                 let _ = turn.send(&flow, &[Part::Bytes(bytes)]);
///             }
///         }
///         None
///     }
/// }
/// ```
pub trait PacketService: Send + Sync + 'static {
    /// What the service keeps for each core: its connections.
    type Core: Send + 'static;

    /// Makes what is kept for the core of `cpu`.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// An error keeps the service from starting.
    fn core(&self, cpu: CpuId) -> Result<Self::Core>;

    /// Receives what has arrived for `core`, then sends what is to be sent. Returns the moment of the next turn at the latest,
    /// in the time of [`Turn::now_us()`], or [`None`] when something has to arrive first.
    ///
    /// There may be nothing to receive, and it may be earlier than the last turn has asked for.
    fn turn(&self, core: &mut Self::Core, turn: &mut Turn<'_>) -> Option<u64>;

    /// The service is stopped: this is the last that is sent. What has arrived meanwhile can be received.
    fn stop(&self, _core: &mut Self::Core, _turn: &mut Turn<'_>) {}
}

/// A [`PacketService`], whatever its type.
pub(crate) trait AnyPackets: Send + Sync {
    /// See [`PacketService::core()`].
    fn core(&self, cpu: CpuId) -> Result<KBox<dyn AnyCore>>;
}

/// What a [`PacketService`] does on one core.
pub(crate) trait AnyCore: Send {
    /// See [`PacketService::turn()`].
    fn turn(&mut self, turn: &mut Turn<'_>) -> Option<u64>;

    /// See [`PacketService::stop()`].
    fn stop(&mut self, turn: &mut Turn<'_>);
}

/// Forgets the type of a service.
pub(crate) fn erase<S: PacketService>(service: S) -> Result<KBox<dyn AnyPackets>> {
    let service = Arc::new(service, GFP_KERNEL)?;
    let erased = KBox::new(Erased { service }, GFP_KERNEL)?;
    Ok(erased)
}

/// A service without its type.
struct Erased<S: PacketService> {
    service: Arc<S>,
}

impl<S: PacketService> AnyPackets for Erased<S> {
    fn core(&self, cpu: CpuId) -> Result<KBox<dyn AnyCore>> {
        let core = ErasedCore {
            core: self.service.core(cpu)?,
            service: self.service.clone(),
        };
        let core = KBox::new(core, GFP_KERNEL)?;
        Ok(core)
    }
}

/// A core of a service without its type.
struct ErasedCore<S: PacketService> {
    core: S::Core,
    service: Arc<S>,
}

impl<S: PacketService> AnyCore for ErasedCore<S> {
    fn turn(&mut self, turn: &mut Turn<'_>) -> Option<u64> {
        self.service.turn(&mut self.core, turn)
    }

    fn stop(&mut self, turn: &mut Turn<'_>) {
        self.service.stop(&mut self.core, turn);
    }
}
