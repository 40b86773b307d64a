//! Journeys: whole stories over real processes and sockets. Each starts a `kcm demo` of its own in an empty folder on free ports, drives
//! it with the command line, KMIP clients and raw connections, kills what the story kills, and leaves no process behind.

#[path = "../support/authority.rs"]
#[cfg(test)]
mod authority;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod kmip;
#[cfg(test)]
mod mongod;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod rest;
#[cfg(test)]
mod usurper;

#[cfg(test)]
mod journey_callers;
#[cfg(test)]
mod journey_doors;
#[cfg(test)]
mod journey_evidence;
#[cfg(test)]
mod journey_forged;
mod journey_halts;
#[cfg(test)]
mod journey_kill_switch;
#[cfg(test)]
mod journey_l1;
#[cfg(test)]
mod journey_lease;
#[cfg(test)]
mod journey_mongodb;
#[cfg(test)]
mod journey_notices;
mod journey_policy;
#[cfg(test)]
mod journey_portal;
#[cfg(test)]
mod journey_provisioning;
#[cfg(test)]
mod journey_recovery;
#[cfg(test)]
mod journey_residency;
#[cfg(test)]
mod journey_restart;
#[cfg(test)]
mod journey_restored;
#[cfg(test)]
mod journey_sign_in;
#[cfg(test)]
mod journey_site;
#[cfg(test)]
mod journey_standby;
#[cfg(test)]
mod journey_without_governance;
#[cfg(test)]
mod journey_witness;
