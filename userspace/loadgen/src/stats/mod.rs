// SPDX-License-Identifier: GPL-2.0

//! Statistics: pure functions and small types, without input or output, and the same for the same seed.
//!
//! - [`order`]: which percentiles a sample supports, and between which of its values the true one is
//! - [`bootstrap`]: intervals over runs, the run being what is resampled; [`pooled`]: those of the figures in the report
//! - [`until_ci`]: when there are enough runs
//! - [`objective`] and [`search`]: the highest rate that keeps a latency objective
//! - [`compare`]: which of two servers is faster, or that it cannot be told
//! - [`fairness`]: how evenly clients were served
//! - [`steady`] and [`sanity`]: whether a run's figures are to be believed
//! - [`ksf`]: the columns of ksf's own tool

pub mod bootstrap;
pub mod compare;
pub mod fairness;
pub mod ksf;
pub mod objective;
pub mod order;
pub mod pooled;
pub mod sanity;
pub mod search;
pub mod steady;
pub mod until_ci;
