// SPDX-License-Identifier: GPL-2.0

//! Routes that were looked up, kept for the next packet to the same peer.
//!
//! C header: [`include/net/dst.h`](srctree/include/net/dst.h)

use super::{
    bindings,
    random::random,
    socket::Socket,
    softirq,
    udp::Flow, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

/// How many routes are kept, a power of two.
const ROUTES: usize = 512;

/// Routes by the flows that they are for. Each flow has one place, in which another one may be.
pub(crate) struct Routes {
    places: KVVec<Place>,
    /// So that nobody can know which flows share a place.
    keys: [u64; 2],
}

/// A place of a route.
struct Place {
    flow: Flow,
    route: Route,
}

/// A route, or none.
///
/// # Invariants
///
/// There is a reference to `dst`, which this value owns, unless it is null.
pub(crate) struct Route {
    route: bindings::ksf_shim_udp_route,
}

// SAFETY: A route belongs to no thread.
unsafe impl Send for Route {}

impl Route {
    const fn none() -> Self {
        // INVARIANT: It is null.
        Self {
            route: bindings::ksf_shim_udp_route {
                dst: core::ptr::null_mut(),
                cookie: 0,
            },
        }
    }

    /// Returns whether it is one, and leads where it should.
    fn is_valid(&self) -> bool {
        // SAFETY: By the invariants, for it is not null.
        !self.route.dst.is_null() && unsafe { bindings::ksf_shim_udp_route_is_valid(&self.route) }
    }

    /// Looks up the route of a flow.
    fn find(socket: &Socket, flow: &Flow, _off: &softirq::Disabled) -> Result<Self> {
        let mut route = Self::none();
        // SAFETY: The `sock` is valid, softirqs are off, and the rest is valid during the call.
        to_result(unsafe {
            bindings::ksf_shim_udp_route(socket.sk(), flow.as_ptr(), &mut route.route)
        })?;
        // INVARIANT: It succeeded, with a reference.
        Ok(route)
    }

    /// How many bytes of payload fit into a packet.
    pub(crate) fn payload(&self, flow: &Flow) -> usize {
        if self.route.dst.is_null() {
            return 0;
        }
        // SAFETY: By the invariants.
        unsafe { bindings::ksf_shim_udp_route_payload(&self.route, flow.as_ptr()) as usize }
    }

    /// Whether several packets may be one until they leave.
    pub(super) fn combines(&self) -> bool {
        // SAFETY: By the invariants, for it is not null.
        !self.route.dst.is_null() && unsafe { bindings::ksf_shim_udp_route_combines(&self.route) }
    }

    /// Returns it for C. Of one that was found, the `dst` is not null.
    pub(super) fn as_ptr(&self) -> *const bindings::ksf_shim_udp_route {
        &self.route
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        if !self.route.dst.is_null() {
            // SAFETY: By the invariants the reference is ours.
            unsafe { bindings::ksf_shim_udp_route_put(&mut self.route) };
        }
    }
}

/// Where a route was found.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    index: usize,
    /// A number of the flow that depends on nothing else.
    pub(crate) hash: u32,
}

impl Routes {
    /// Creates it without routes.
    ///
    /// Process context.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        let mut places = KVVec::with_capacity(ROUTES, GFP_KERNEL)?;
        for _ in 0..ROUTES {
            let place = Place {
                flow: Flow::default(),
                route: Route::none(),
            };
            places.push(place, GFP_KERNEL)?;
        }
        Ok(Self {
            places,
            keys: [random() | 1, random() | 1],
        })
    }

    /// Finds the route of a flow.
    ///
    /// # Errors
    ///
    /// Those of routing: `ENETUNREACH`, `EHOSTUNREACH`, `EINVAL` when this host no longer has the address, `EACCES` for a
    /// broadcast address, and others.
    pub(crate) fn find(
        &mut self,
        socket: &Socket,
        flow: &Flow,
        off: &softirq::Disabled,
    ) -> Result<Found> {
        let hash = flow.hash(self.keys);
        // CAST: The remainder is small.
        let index = (hash % ROUTES as u64) as usize;
        let place = self.places.get_mut(index).ok_or(EINVAL)?;
        if place.flow != *flow || !place.route.is_valid() {
            place.route = Route::find(socket, flow, off)?;
            place.flow = *flow;
        }
        Ok(Found {
            index,
            // CAST: The upper half, for the lower one is where it is kept.
            hash: (hash >> 32) as u32,
        })
    }

    /// Returns the route that was found for a flow a moment ago, unless another one is in its place now.
    pub(crate) fn get(&self, found: Found, flow: &Flow) -> Option<&Route> {
        let place = self.places.get(found.index)?;
        (place.flow == *flow).then_some(&place.route)
    }
}
