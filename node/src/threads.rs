//! The three runtimes of a node, and who gives way to whom when there are more threads than cores.

use std::{io, thread::available_parallelism};

use rustix::process::getpriority_process;
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    unix::{set_thread_priority_and_policy, thread_native_id},
};
use tokio::runtime::{Builder, Runtime};

/// Threads of the critical lane's own runtime: a kill waits for no thread of anything else.
const CRITICAL_THREADS: usize = 2;

/// How much nicer than the process the threads of everything else are: a third of the weight.
const NICER: i32 = 5;
/// The kernel's lowest priority, and its highest.
const NICEST: i32 = 19;
const LEAST_NICE: i32 = -20;

/// A woken thread of this policy does not take the core of one that runs. Without it one kill of a hundred waited for a time slice (6 ms)
/// before its fence, behind a thread of lower priority.
const GIVES_WAY: ThreadSchedulePolicy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);

/// A running thread of this policy loses its core at once to a woken one of any other, those of [`GIVES_WAY`] too. Nice alone would not do:
/// beside a thread that is ten steps nicer, a woken one of [`GIVES_WAY`] waits 1 to 4 ms for the core (median, longest), beside one of this 0.03.
const GIVES_WAY_TO_ALL: ThreadSchedulePolicy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);

/// Fewest threads behind. The kernel gives each a hundredth of the core that it wants beside ordinary threads which never rest: so many
/// together have a seventh of a core, so that clients who come back to a busy node are let in.
const BACK_THREADS: usize = 16;

/// The runtime of the critical lane, and of nothing else. Its threads keep the process's own priority.
pub fn critical() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(CRITICAL_THREADS).thread_name("critical").enable_all().build()
}

/// The runtime of everything else. Its threads give way to the critical lane's and to the writers of the stores.
pub fn ordinary() -> io::Result<Runtime> {
    // Absolute, and read here: a thread inherits its maker's priority, and workers make threads too.
    let nice = (getpriority_process(None)? + NICER).min(NICEST);
    Builder::new_multi_thread().on_thread_start(move || give_way(nice)).enable_all().build()
}

/// The runtime of what anybody may ask for and nobody may hold others up with: KMIP handshakes. Its tasks may poll what another runtime's
/// reactor watches; it has none of its own, and no timers.
pub fn back() -> io::Result<Runtime> {
    let threads = available_parallelism().map_or(1, usize::from).max(BACK_THREADS);
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("back")
        .on_thread_start(|| lower(Some(ThreadPriority::Min), GIVES_WAY_TO_ALL))
        .build()
}

fn give_way(nice: i32) {
    lower(of_nice(nice), GIVES_WAY);
}

/// Lowers the calling thread alone: on Linux a priority is a thread's.
fn lower(priority: Option<ThreadPriority>, policy: ThreadSchedulePolicy) {
    let set = |priority| set_thread_priority_and_policy(thread_native_id(), priority, policy);
    let lowered = priority.map_or(Err(thread_priority::Error::PriorityNotInRange(LEAST_NICE..=NICEST)), set);
    if let Err(why) = lowered {
        tracing::warn!(
            ?policy,
            ?why,
            "a thread keeps its priority: kills and requests may wait a time slice behind other work of this process"
        );
    }
}

/// A nice value as the library has it: a step of its own scale that it rounds to that value.
fn of_nice(nice: i32) -> Option<ThreadPriority> {
    let most = i32::from(u8::from(ThreadPriorityValue::MAX));
    // One part less than the exact step: the library cuts its fractions off.
    let value = (most * (NICEST - nice) - 1).max(0) / (NICEST - LEAST_NICE);
    let value = ThreadPriorityValue::try_from(u8::try_from(value).ok()?).ok()?;
    Some(ThreadPriority::Crossplatform(value))
}

#[cfg(test)]
mod tests {
    use thread_priority::unix::thread_schedule_policy;

    use super::*;

    fn standing() -> (i32, ThreadSchedulePolicy) {
        (getpriority_process(None).unwrap(), thread_schedule_policy().unwrap())
    }

    #[test]
    fn only_ordinary_threads_give_way() {
        let own = standing();
        let seen = |runtime: &Runtime| {
            let (worker, blocking) = (runtime.spawn(async { standing() }), runtime.spawn_blocking(standing));
            runtime.block_on(async { (worker.await.unwrap(), blocking.await.unwrap()) })
        };
        let lower = ((own.0 + NICER).min(NICEST), GIVES_WAY);
        assert_eq!(seen(&ordinary().unwrap()), (lower, lower));
        assert_eq!(seen(&critical().unwrap()), (own, own));
        let (worker, blocking) = seen(&back().unwrap());
        assert_eq!((worker.1, blocking.1), (GIVES_WAY_TO_ALL, GIVES_WAY_TO_ALL));
        assert_eq!(standing(), own);
    }

    #[test]
    fn every_nice_value_is_reached() {
        let reached = (0..=NICEST).map(|nice| {
            // A thread cannot take back what it gave.
            let lowered = move || {
                give_way(nice);
                getpriority_process(None).unwrap()
            };
            std::thread::spawn(lowered).join().unwrap()
        });
        let own = getpriority_process(None).unwrap();
        assert!((0..=NICEST).zip(reached).all(|(nice, reached)| nice < own || nice == reached));
    }
}
