//! What the kernel and the agent hold: as much at the end as at the beginning, and nothing when all is over.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use harness::machine::memory_of;
use harness::objects::Objects;
use serde_json::{Map, Value, json};

use crate::world::World;

/// Kilobytes by which the agent may have grown, where nobody asks anything of it: an allocator is no accountant. Ten minutes have more
/// than a hundred changes of policy, so that ten kilobytes kept of each would be more.
const SLACK: u64 = 1024;
/// Two checks of the agent: after each it gives back the memory that it does not need.
const QUIET: Duration = Duration::from_secs(11);

/// What was there at the beginning, and everything that was ever there.
pub(crate) struct Growth {
    first: Sample,
    seen: Objects,
    /// Memory of the agent in kilobytes; `None`: it has not done everything yet that it does once.
    held: Option<u64>,
}

#[derive(Clone, Debug)]
struct Sample {
    objects: Objects,
    memory: BTreeMap<String, u64>,
    descriptors: usize,
}

impl Sample {
    /// Once the kernel is done with what was taken out of force.
    fn of(world: &World, seen: &Objects) -> Self {
        let objects = world.objects();
        let mut all = seen.clone();
        all.add(&objects);
        wait_until_gone("after the changes", &all, &objects);
        Self { memory: objects.memory(), objects, descriptors: open(world) }
    }
}

impl Growth {
    /// What is there now; the agent's memory too, where it is warm.
    pub(crate) fn begin(world: &World, is_warm: bool) -> Self {
        let first = Sample::of(world, &Objects::default());
        assert!(first.objects.programs.len() >= 4 && first.objects.maps.len() > 20, "{first:?}");
        Self { seen: first.objects.clone(), first, held: is_warm.then(|| at_rest(world)) }
    }

    /// Looks what is there in the middle of it.
    pub(crate) fn watch(&mut self, world: &World) {
        self.seen.add(&world.objects());
    }

    /// Compares the end with the beginning, under the same policy.
    ///
    /// # Panics
    /// When there is more than there was.
    pub(crate) fn end(&self, world: &World) -> Map<String, Value> {
        let (first, last) = (&self.first, Sample::of(world, &self.seen));
        let numbers = |one: &Objects| [one.programs.len(), one.maps.len(), one.links.len()];
        assert_eq!(numbers(&last.objects), numbers(&first.objects), "programs, maps, links: {first:?} {last:?}");
        assert_eq!(last.memory, first.memory, "bytes of the maps");
        let bytes = |sample: &Sample| sample.memory.values().sum::<u64>();
        // Its check opens a few every now and then; what leaks stays open.
        world.wait_for("the agent to have as few descriptors open as at first", || open(world) <= first.descriptors);
        let held = self.held.map(|first| {
            world.wait_for("the agent to hold as little memory as at first", || {
                memory_of(world.agent()) <= first + SLACK
            });
            [first, at_rest(world)]
        });
        let [programs, maps, links] = numbers(&self.seen);
        let figures = json!({
            "programs_maps_and_links_that_were_there": [programs, maps, links],
            "those_in_force_at_the_end": numbers(&last.objects),
            "memory_of_maps_at_the_beginning_and_the_end": [bytes(first), bytes(&last)],
            "descriptors_of_the_agent_at_the_beginning_and_the_end": [first.descriptors, open(world)],
            "kilobytes_of_the_agent_at_the_beginning_and_the_end": held,
        });
        figures.as_object().cloned().unwrap_or_default()
    }

    /// Ends everything.
    ///
    /// # Panics
    /// When something stays.
    pub(crate) fn gone(mut self, world: World) -> Map<String, Value> {
        self.seen.add(&world.objects());
        drop(world);
        wait_until_gone("after detach", &self.seen, &Objects::default());
        Map::from_iter([("left_over_after_detach".to_owned(), 0.into())])
    }
}

/// The kernel frees what nobody uses in its own time, and others may be looking at it just now (a list of all programs opens each).
fn wait_until_gone(when: &str, all: &Objects, but: &Objects) {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let left = all.alive().without(but);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "{when}, what nobody needs is still there: {left:?}");
        thread::sleep(Duration::from_millis(200));
    }
}

/// Descriptors that the agent has open.
fn open(world: &World) -> usize {
    fs::read_dir(format!("/proc/{}/fd", world.agent())).expect("the agent runs").count()
}

/// The least that the agent holds while nothing happens.
fn at_rest(world: &World) -> u64 {
    let end = Instant::now() + QUIET;
    let mut least = u64::MAX;
    while Instant::now() < end {
        least = least.min(memory_of(world.agent()));
        thread::sleep(Duration::from_millis(250));
    }
    least
}
