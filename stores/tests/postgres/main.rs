//! Real PostgreSQL servers, backed up while they work and brought back to life.

#[cfg(test)]
mod backup;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod rehearsal;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod support;
#[cfg(test)]
mod transport;
