//! Processes of one host, which share its state folder.

use muster_signing::{Digest, Role};

use super::World;
use super::log::{Host, Stalled, logged, snapshot};

#[test]
fn processes_of_one_host_append_one_after_the_other_where_nothing_but_their_lock_keeps_them_apart() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let host = Host::new(&world, &repository, false).through(Stalled::before(&world, &repository, false));
    let origin = host.wait(&[snapshot(1)]);
    world.runtime.block_on(async {
        let process = |at: u64| {
            let host = &host;
            async move {
                for number in [2 + at * 3, 3 + at * 3, 4 + at * 3] {
                    host.log(&[snapshot(number)]).await.unwrap();
                }
            }
        };
        futures_util::future::join_all((0..12).map(process)).await;
    });
    assert_eq!(logged(&world, &repository), ((1..=37).collect(), Some(37)));
    let logs = world.runtime.block_on(repository.logs(Role::Writer)).unwrap();
    let incarnations: Vec<&str> = logs.iter().map(|log| &*log.incarnation).collect();
    assert_eq!(incarnations, [&*origin.incarnation], "one line, as of one process");
}

#[test]
fn what_several_processes_find_damaged_at_once_is_remembered_all() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    std::thread::scope(|scope| {
        for process in 0..8u8 {
            let repository = &repository;
            scope.spawn(move || {
                for number in 0..8u8 {
                    repository.suspect([Digest::of(&[process, number])]).unwrap();
                }
            });
        }
    });
    assert_eq!(repository.suspects().unwrap().len(), 64);
}
