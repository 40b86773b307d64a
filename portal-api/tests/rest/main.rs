//! The REST interface over a real TLS listener, in front of a real governance with a ledger in memory. No region is there: what they
//! answer is the journeys' to test.

#[cfg(test)]
mod conditions;
#[cfg(test)]
mod house;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod resources;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod ui;
#[cfg(test)]
mod visitors;
