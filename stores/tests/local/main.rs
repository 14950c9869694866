//! The stores of this machine, file trees and SQLite databases, as their promises: real files, real faults, real second
//! processes that write meanwhile.

#[cfg(test)]
mod collected;
#[cfg(test)]
mod files;
#[cfg(test)]
mod moving_trees;
#[cfg(test)]
mod sqlite;
#[cfg(test)]
mod sqlite_rehearsed;
#[cfg(test)]
mod unread;
