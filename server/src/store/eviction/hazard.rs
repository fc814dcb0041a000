//! What `adaptive` learns: how likely entries of one frequency and age are to be read soon.
//!
//! Cells of frequency class x age class. For each, two counts: how many entries of the cell the walk for victims came
//! across, which is a fair sample of what is in the cache, and how many reads hit an entry of the cell. Their quotient
//! is proportional to the hazard, the rate at which such entries are read. (It is the estimator of survival
//! analysis, events over exposure: entries that live on are counted as well as those that were hit or went, so a cache
//! that hardly evicts learns as truly as a busy one.) The value of a cell is the mean hazard over the next two turns
//! of an entry's life, so that an entry is kept whose time is yet to come, as in a loop.
//!
//! A stripe counts for itself, under its own lock, and adds its counts to the keyspace's now and then if nobody is
//! just doing the same; there they are evaluated once there are about as many new samples as entries, and the old
//! ones fade by a fifth. So a stripe of sixty large entries profits from what the others saw. Until there is enough
//! to go by, and in cells that are seldom seen, a prior stands in: the hazard falls with age as 1 / (1 + turns), and rises
//! with the square root of the frequency, as what was popular is not likely to stay quite as popular.
//!
//! Values are those at the beginning of an age class, and in between they are interpolated, so that among entries of
//! one class the older go first where age matters.

use super::clock::TURN;
use std::sync::Mutex;

/// Frequency classes: 1, up to 2, 4, 8, 16, 32, 64 reads.
const CLASSES: usize = 7;
/// Age classes, two per octave of an age to which `FIRST` was added, up to 96 turns.
const AGES: usize = 24;
const CELLS: usize = CLASSES * AGES;
/// Ticks in which the youngest double: a 32nd of a turn.
const FIRST: u32 = TURN / 32;
/// Steps that an age class is divided into, between which values are interpolated.
const STEPS: u32 = 16;
/// Bits of a float below its exponent and the steps of two classes.
const BELOW: u32 = f32::MANTISSA_DIGITS - 1 - (2 * STEPS).ilog2();
/// Where the first class begins among such steps.
const ORIGIN: u32 = (FIRST as f32).to_bits() >> BELOW;
/// How far ahead a value looks, in units of `FIRST`: two turns.
const AHEAD: f32 = 64.0;
/// How many samples the prior weighs.
const PRIOR: f32 = 16.0;
/// The age at which the prior is half of what it is for the youngest, in units of `FIRST`: a turn.
const PRIOR_AGE: f32 = 32.0;
/// What is left of counts when they are evaluated.
const FADE: f32 = 0.8;
/// Fewest and most new samples to evaluate; in between as many as there are entries.
const SAMPLES: (usize, usize) = (2048, 1 << 20);
/// Fewest and most samples that a stripe counts before it hands them in.
const LOCAL: (usize, usize) = (32, 4096);

/// The values' unit: 16ths of an octave.
pub(super) const OCTAVE: i32 = 16;

/// The first cell of each frequency.
const ROWS: [u8; 256] = rows();

const fn rows() -> [u8; 256] {
    let mut rows = [0; 256];
    let mut frequency = 5;
    while frequency < rows.len() {
        rows[frequency] = (((frequency - 1).ilog2() as usize - 1) * AGES) as u8;
        frequency += 1;
    }
    rows
}

/// The cell of an entry by its frequency in quarters and its age in ticks, and how far into its age class it is, in
/// `STEPS`.
///
/// Victims are looked for among many entries, so this must be quick: a float's exponent and the first bits behind it
/// are a logarithm, linear between powers of two.
#[inline]
fn spot(frequency: u8, age: u32) -> (usize, u32) {
    let step = ((age + FIRST) as f32).to_bits() >> BELOW;
    let step = (step - ORIGIN).min((AGES as u32 - 1) * STEPS);
    (
        usize::from(ROWS[usize::from(frequency)]) + (step / STEPS) as usize,
        step % STEPS,
    )
}

/// The cell of an entry by its frequency in quarters and its age in ticks.
#[inline]
pub(super) fn cell(frequency: u8, age: u32) -> usize {
    spot(frequency, age).0
}

/// Where an age class begins, in units of `FIRST`.
fn begins(age: usize) -> f32 {
    ((2 + age % 2) << (age / 2)) as f32 / 2.0 - 1.0
}

/// What an entry of this frequency and age is worth before anything was learnt.
pub(super) fn expected(frequency: u8, age: u32) -> i32 {
    let class = (cell(frequency, age) / AGES) as f32;
    let turns = age as f32 / TURN as f32;
    ((class / 2.0 - (1.0 + turns).log2()) * OCTAVE as f32) as i32
}

/// Logarithms of what entries of a cell are worth, in 16ths of an octave; one more, as each is read with the next.
type Values = [i16; CELLS + 1];

/// What a stripe has counted since it last handed its counts in, and the values it goes by.
pub(super) struct Learner {
    hits: [u32; CELLS],
    seen: [u32; CELLS],
    samples: usize,
    values: Values,
}

impl Learner {
    /// Knows what the keyspace knows.
    pub(super) fn new(model: &Model) -> Learner {
        let state = model.state.try_lock();
        Learner {
            hits: [0; CELLS],
            seen: [0; CELLS],
            samples: 0,
            values: state.map_or_else(|_| State::default().values, |state| state.values),
        }
    }

    /// A read hit an entry of a cell.
    #[inline]
    pub(super) fn hit(&mut self, cell: usize) {
        self.hits[cell] = self.hits[cell].saturating_add(1);
    }

    /// The walk came across an entry of this frequency and age; returns its value.
    #[inline]
    pub(super) fn see(&mut self, frequency: u8, age: u32) -> i32 {
        let (cell, step) = spot(frequency, age);
        self.seen[cell] = self.seen[cell].wrapping_add(1);
        self.interpolated(cell, step)
    }

    /// So many entries were seen.
    pub(super) fn saw(&mut self, entries: usize) {
        self.samples += entries;
    }

    /// The value of an entry of this frequency and age, whoever came across it.
    pub(super) fn value(&self, frequency: u8, age: u32) -> i32 {
        let (cell, step) = spot(frequency, age);
        self.interpolated(cell, step)
    }

    #[inline]
    fn interpolated(&self, cell: usize, step: u32) -> i32 {
        // The last class of a frequency has but one step, so what comes after it does not count.
        let (value, next) = (i32::from(self.values[cell]), i32::from(self.values[cell + 1]));
        value + ((next - value) * step as i32) / STEPS as i32
    }

    /// Hands the counts in and takes the latest values, if it is time to and nobody else does; `entries` are those of
    /// the stripe, of which there are `stripes`.
    #[inline]
    pub(super) fn share(&mut self, model: &Model, entries: usize, stripes: usize) {
        if self.samples >= (entries / 4).clamp(LOCAL.0, LOCAL.1) {
            self.hand_in(model, entries.saturating_mul(stripes));
        }
    }

    fn hand_in(&mut self, model: &Model, entries: usize) {
        // A lock held by a stripe's holder must not wait; a panic under it could only have spoilt counts.
        let Ok(mut state) = model.state.try_lock() else { return };
        state.new_samples += self.samples;
        for cell in 0..CELLS {
            state.hits[cell] += std::mem::take(&mut self.hits[cell]) as f32;
            state.seen[cell] += std::mem::take(&mut self.seen[cell]) as f32;
        }
        self.samples = 0;
        if state.new_samples >= entries.clamp(SAMPLES.0, SAMPLES.1) {
            state.evaluate();
        }
        self.values = state.values;
    }
}

/// What all stripes have learnt together.
#[derive(Default)]
pub(in crate::store) struct Model {
    state: Mutex<State>,
}

struct State {
    hits: [f32; CELLS],
    seen: [f32; CELLS],
    new_samples: usize,
    values: Values,
}

impl Default for State {
    fn default() -> State {
        let mut state = State {
            hits: [0.0; CELLS],
            seen: [0.0; CELLS],
            new_samples: 0,
            values: [0; CELLS + 1],
        };
        state.evaluate();
        state
    }
}

impl State {
    fn evaluate(&mut self) {
        self.new_samples = 0;
        let prior = |cell: usize| {
            let (class, age) = (cell / AGES, cell % AGES);
            (class as f32 / 2.0).exp2() / (1.0 + begins(age) / PRIOR_AGE)
        };
        // Scaled so that the prior alone would have foreseen as many hits as there were.
        let foreseen: f32 = (0..CELLS).map(|cell| self.seen[cell] * prior(cell)).sum();
        let hits: f32 = self.hits.iter().sum();
        let scale = if foreseen > 0.0 { hits.max(1.0) / foreseen } else { 1.0 };
        for class in 0..CLASSES {
            let mut hazard = [0.0; AGES];
            for (age, hazard) in hazard.iter_mut().enumerate() {
                let cell = class * AGES + age;
                *hazard = (self.hits[cell] + PRIOR * scale * prior(cell)) / (self.seen[cell] + PRIOR);
            }
            for age in 0..AGES {
                let mean = ahead(&hazard, age) / scale;
                let value = mean.max(1e-30).log2() * OCTAVE as f32;
                self.values[class * AGES + age] = value.clamp(-2000.0, 2000.0) as i16;
            }
        }
        for count in self.hits.iter_mut().chain(&mut self.seen) {
            *count *= FADE;
        }
    }
}

/// The mean hazard over the time that lies ahead of an entry at the beginning of an age class.
fn ahead(hazard: &[f32; AGES], age: usize) -> f32 {
    let from = begins(age);
    let to = from + AHEAD;
    let mut sum = 0.0;
    for (at, rate) in hazard.iter().enumerate().skip(age) {
        let end = if at + 1 == AGES { f32::MAX } else { begins(at + 1) };
        let (begin, end) = (begins(at).max(from), end.min(to));
        if begin >= to {
            break;
        }
        sum += rate * (end - begin);
    }
    sum / AHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_follow_frequency_and_age() {
        let mut last = 0;
        for age in 0..200 * TURN {
            let at = cell(4, age);
            assert!(at == last || at == last + 1, "no age class is skipped");
            let units = age as f32 / FIRST as f32;
            assert!(units >= begins(at) && (at + 1 == AGES || units < begins(at + 1)));
            last = at;
        }
        assert_eq!(last, AGES - 1);
        let classes: Vec<usize> = [0, 4, 5, 8, 9, 16, 64, 128, 255]
            .map(|frequency| cell(frequency, 0) / AGES)
            .to_vec();
        assert_eq!(classes, [0, 0, 1, 1, 2, 2, 4, 5, 6]);
    }

    #[test]
    fn what_is_read_often_is_worth_more_and_what_is_never_read_sinks() {
        let model = Model::default();
        let mut learner = Learner::new(&model);
        let (young, old, frequent) = ((4, 0), (4, 2 * TURN), (16, 2 * TURN));
        let mut value = |(frequency, age)| learner.see(frequency, age);
        assert!(value(frequent) > value(old) && value(young) > value(old));
        // A loop: what is young is not read, what is two turns old is.
        for _ in 0..20 {
            for _ in 0..1000 {
                for (frequency, age) in (0..CELLS).map(|cell| (cell / AGES, cell % AGES)) {
                    learner.see(4 << frequency.min(5), (begins(age) * FIRST as f32) as u32);
                    learner.saw(1);
                }
                learner.hit(cell(4, 2 * TURN));
            }
            learner.share(&model, 1000, 1);
        }
        let (younger, later) = (learner.see(4, TURN / 4), learner.see(4, 3 * TURN / 2));
        assert!(
            later > younger + OCTAVE,
            "{later} against {younger}: nearer to the age at which it is read"
        );
        assert!(learner.see(4, 2 * TURN) > learner.see(16, 2 * TURN) + 2 * OCTAVE);
    }

    #[test]
    fn values_go_over_smoothly_from_class_to_class() {
        let mut learner = Learner::new(&Model::default());
        let values: Vec<i32> = (0..40 * TURN).map(|age| learner.see(4, age)).collect();
        assert!(
            values
                .windows(2)
                .all(|pair| pair[0] >= pair[1] && pair[0] - pair[1] <= 2)
        );
        assert!(values[0] - values[40 * TURN as usize - 1] > 4 * OCTAVE);
    }
}
