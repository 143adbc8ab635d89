package simulate

import "time"

// dice is one stream of chance (SplitMix64). Everything that has luck of its own has dice of its own, so that a scenario
// with one request less has the same luck otherwise: that is what lets it be made smaller.
type dice struct{ state uint64 }

// newDice answers the dice of somebody or something, by its name.
func newDice(seed uint64, names ...string) dice {
	d := dice{state: seed * 0x9e3779b97f4a7c15}
	for _, name := range names {
		d.state = fold(d.state, name)
		d.roll()
	}
	return d
}

func (d *dice) roll() uint64 {
	d.state += 0x9e3779b97f4a7c15
	x := d.state
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// below answers 0 <= n < most; 0 for a most of 0.
func (d *dice) below(most int) int {
	if most <= 0 {
		return 0
	}
	return int(d.roll() % uint64(most))
}

// between answers a time from low up to high.
func (d *dice) between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(d.roll()%uint64(high-low))
}

// chance is true once in so many times.
func (d *dice) chance(onceIn int) bool { return d.below(onceIn) == 0 }

// fold mixes a text into a number (FNV-1a).
func fold(x uint64, text string) uint64 {
	for i := range len(text) {
		x = (x ^ uint64(text[i])) * 0x100000001b3
	}
	return x
}
