//! What the kernel and the agent hold: as much at the end as at the beginning, and nothing when all is over.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use harness::objects::Objects;
use serde_json::{Map, Value, json};

use crate::world::World;

/// Kilobytes by which the agent may grow from its first quarter of the time to its last, where it holds least: between two changes it
/// gives back what they took. An allocator is no accountant. Five kilobytes a change would be more within ten minutes.
const SLACK: u64 = 1024;
/// Samples without which the first quarter has not seen everything once.
const SAMPLES: usize = 240;

/// What was there at the beginning, and everything that was ever there.
pub(crate) struct Growth {
    first: Sample,
    seen: Objects,
    /// Resident memory of the agent in kilobytes, four times a second.
    resident: Vec<u64>,
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
    pub(crate) fn begin(world: &World) -> Self {
        let first = Sample::of(world, &Objects::default());
        assert!(first.objects.programs.len() >= 4 && first.objects.maps.len() > 20, "{first:?}");
        Self { seen: first.objects.clone(), first, resident: Vec::new() }
    }

    /// Looks what is there in the middle of it.
    pub(crate) fn watch(&mut self, world: &World) {
        self.seen.add(&world.objects());
        self.resident.push(resident(world.agent()));
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
        let quarter = self.resident.len() / 4;
        let least = |samples: &[u64]| samples.iter().copied().min().unwrap_or(0);
        let early = least(&self.resident[..quarter.max(1)]);
        let late = least(&self.resident[self.resident.len() - quarter..]);
        if self.resident.len() >= SAMPLES {
            assert!(late <= early + SLACK, "the agent has grown from {early} to {late} kB: {:?}", self.resident);
        } else {
            eprintln!("too short to tell whether the agent grows ({early} kB, {late} kB)");
        }
        let [programs, maps, links] = numbers(&self.seen);
        let figures = json!({
            "programs_maps_and_links_that_were_there": [programs, maps, links],
            "those_in_force_at_the_end": numbers(&last.objects),
            "memory_of_maps_at_the_beginning_and_the_end": [bytes(first), bytes(&last)],
            "descriptors_of_the_agent_at_the_beginning_and_the_end": [first.descriptors, open(world)],
            "least_resident_kilobytes_of_the_agent_in_the_first_quarter_and_the_last": [early, late],
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

fn resident(process: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).expect("the agent runs");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).expect("it has memory")
}
