// SPDX-License-Identifier: GPL-2.0

//! The list of all services.

use crate::svc::Shared;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// The services that were started and not dropped.
pub(crate) struct Registry {
    services: KVec<Arc<Shared>>,
}

impl Registry {
    /// Creates an empty list.
    pub(crate) const fn new() -> Self {
        Self {
            services: KVec::new(),
        }
    }

    /// Adds a service.
    pub(crate) fn add(&mut self, shared: Arc<Shared>) -> Result {
        Ok(self.services.push(shared, GFP_KERNEL)?)
    }

    /// Removes a service.
    pub(crate) fn remove(&mut self, shared: &Arc<Shared>) {
        self.services.retain(|one| !Arc::ptr_eq(one, shared));
        if self.services.is_empty() {
            // The list is static: nobody drops it when the module ends.
            self.services = KVec::new();
        }
    }

    /// Returns all services.
    pub(crate) fn services(&self) -> impl Iterator<Item = &Arc<Shared>> {
        self.services.iter()
    }
}
