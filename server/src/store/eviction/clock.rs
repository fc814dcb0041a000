//! The time that eviction goes by: accesses, counted per stripe and measured in turns of its content.
//!
//! How long ago an entry was used says little in seconds: what counts is how much else was used since. So the clock
//! of a stripe runs with its accesses (reads that hit, and new entries), 256 ticks per *turn*, which is as many
//! accesses as the stripe has entries. One turn means the same for a stripe of a hundred entries as for one of ten
//! million, under a trickle and in a benchmark. It also is finer than seconds wherever that matters.
//!
//! An entry keeps 24 bits of it. They wrap after 65,536 turns: an entry that nobody touched for so long and that the
//! walk for victims never took looks younger than it is. A stripe that never had to evict runs slower (one tick per 16
//! accesses at most), as nobody asks there but OBJECT IDLETIME.
//!
//! For what must be told in seconds (OBJECT IDLETIME, the decay of LFU counters) the clock notes which tick it showed
//! when a second began; of these marks it keeps 64, the denser the more recent. So an idle time is exact
//! for seconds and up to a third too long for days. A wall clock that steps back stands still until it is made up for.

/// Ticks per turn.
pub(super) const TURN: u32 = 256;
/// Bits of an entry's tick.
const TICK_MASK: u64 = 0x00ff_ffff;
/// The fewest accesses that make a turn, while nothing was evicted and then.
const LEAST_TURN: (u32, u32) = (16 * TURN, 16);
/// How many marks are kept.
const MARKS: usize = 64;

/// The clock showed this tick when this second began.
#[derive(Clone, Copy)]
struct Mark {
    tick: u64,
    second: u64,
}

pub(super) struct Clock {
    /// Ticks since the start.
    tick: u64,
    /// What is left of accesses that made no whole tick: in 256ths of an access.
    rest: u32,
    /// Accesses per turn.
    turn: u32,
    /// Entries are being evicted.
    pressed: bool,
    second: u64,
    marks: Vec<Mark>,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock {
            tick: 0,
            rest: 0,
            turn: LEAST_TURN.0,
            pressed: false,
            second: 0,
            marks: Vec::new(),
        }
    }
}

impl Clock {
    /// Counts an access; `entries` tells how many there are, and is asked now and then.
    #[inline]
    pub(super) fn advance(&mut self, now_ms: u64, entries: impl FnOnce() -> usize) {
        self.rest += TURN;
        if self.rest >= self.turn {
            self.step(entries);
        }
        let second = now_ms / 1000;
        if second > self.second {
            self.mark(second);
        }
    }

    fn step(&mut self, entries: impl FnOnce() -> usize) {
        let before = self.tick;
        self.tick += u64::from(self.rest / self.turn);
        self.rest %= self.turn;
        // Often enough, as a turn has sixteen such steps.
        if before / 16 != self.tick / 16 {
            self.resize(entries());
        }
    }

    fn resize(&mut self, entries: usize) {
        let (calm, pressed) = LEAST_TURN;
        let least = if self.pressed { pressed } else { calm };
        self.turn = u32::try_from(entries)
            .unwrap_or(u32::MAX / 2)
            .clamp(least, u32::MAX / 2);
    }

    /// Runs at full speed from now on, as there are victims to be told apart.
    pub(super) fn press(&mut self, entries: usize) {
        if !self.pressed {
            self.pressed = true;
            self.resize(entries);
        }
    }

    #[cold]
    fn mark(&mut self, second: u64) {
        self.second = second;
        // What is stamped from here on must not look like what was stamped in the second before.
        self.tick += 1;
        if self.marks.len() == MARKS {
            // The one without which the least is lost, as a share of how long ago it was.
            let share = |at: &usize| {
                let (before, after) = (self.marks[at - 1].second, self.marks[at + 1].second);
                (after - before) as f64 / (second - after) as f64
            };
            let least = (1..MARKS - 1).min_by(|one, two| share(one).total_cmp(&share(two)));
            self.marks.remove(least.unwrap_or(1));
        }
        self.marks.push(Mark {
            tick: self.tick,
            second,
        });
    }

    /// The current tick, as an entry keeps it.
    #[inline]
    pub(super) fn now(&self) -> u32 {
        (self.tick & TICK_MASK) as u32
    }

    /// Ticks since an entry was stamped with `tick`.
    #[inline]
    pub(super) fn since(&self, tick: u32) -> u32 {
        self.now().wrapping_sub(tick) & TICK_MASK as u32
    }

    /// Seconds since an entry was stamped with `tick`.
    pub(super) fn seconds_since(&self, tick: u32, now_ms: u64) -> u64 {
        let stamped = self.tick.saturating_sub(u64::from(self.since(tick)));
        let mark = self.marks.iter().rev().find(|mark| mark.tick <= stamped);
        let second = mark.or(self.marks.first()).map(|mark| mark.second);
        (now_ms / 1000).saturating_sub(second.unwrap_or(now_ms / 1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_times_are_exact_for_seconds_and_near_for_days() {
        let mut clock = Clock::default();
        let mut stamps = Vec::new();
        for second in 1..400_000u64 {
            clock.advance(second * 1000 + 7, || 100);
            stamps.push((clock.now(), second));
        }
        let now = 399_999u64;
        for idle in [0, 1, 2, 3, 5, 8, 60, 3600, 86_400, 300_000] {
            let (tick, second) = stamps[(now - idle - 1) as usize];
            assert_eq!(second, now - idle);
            let told = clock.seconds_since(tick, now * 1000);
            assert!(told >= idle && told <= idle + idle / 3, "{idle} s told as {told}");
        }
        assert!(clock.marks.len() <= MARKS);
    }

    #[test]
    fn a_turn_is_as_many_accesses_as_there_are_entries() {
        for entries in [16usize, 100, 3000, 100_000] {
            let mut clock = Clock::default();
            clock.press(entries);
            clock.advance(1000, || entries);
            let before = clock.now();
            for _ in 0..entries * 3 {
                clock.advance(1000, || entries);
            }
            let turns = f64::from(clock.since(before)) / f64::from(TURN);
            assert!((2.9..3.1).contains(&turns), "{turns} turns of {entries}");
        }
    }

    #[test]
    fn a_wall_clock_that_steps_does_no_harm() {
        let mut clock = Clock::default();
        clock.advance(u64::MAX, || 1);
        let tick = clock.now();
        clock.advance(5_000, || 1);
        assert_eq!(clock.seconds_since(tick, 5_000), 0);
        assert_eq!(clock.seconds_since(clock.now(), 0), 0);
    }
}
