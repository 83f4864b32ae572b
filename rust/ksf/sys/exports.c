// SPDX-License-Identifier: GPL-2.0
/* Exports the Rust symbols of ksf to the services. Their type does not matter to the linker, only their name. */

#include <linux/export.h>

#define EXPORT_SYMBOL_RUST_GPL(sym) extern int sym; EXPORT_SYMBOL_GPL(sym)

#include "exports_generated.h"
