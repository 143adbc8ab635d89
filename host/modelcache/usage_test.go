package modelcache

import (
	"math"
	"testing"
	"time"
)

// perMillionSeconds of one request each so often.
func perMillionSeconds(every time.Duration) float64 { return float64(RateUnit) / float64(every) }

func near(t *testing.T, what string, got uint64, want, within float64) {
	t.Helper()
	if math.Abs(float64(got)-want) > within*want+1 {
		t.Errorf("%s: %d, want %.0f", what, got, want)
	}
}

// use has a copy answer requests each so often for a while, and is read each so often.
func use(u *Usage, c *CopyInfo, every, length, read time.Duration) {
	end := c.LastUsed.Add(length)
	next := c.LastUsed.Add(read)
	for c.LastUsed.Before(end) {
		c.LastUsed = c.LastUsed.Add(every)
		c.Uses++
		if !c.LastUsed.Before(next) {
			u.Read(c.LastUsed, *c)
			next = c.LastUsed.Add(read)
		}
	}
	u.Read(c.LastUsed, *c)
}

func TestSteadyUseIsMeasured(t *testing.T) {
	for _, read := range []time.Duration{time.Second, time.Hour} { // However seldom it is read.
		var u Usage
		c := CopyInfo{ID: 1, LoadedAt: start, LastUsed: start}
		use(&u, &c, 2*time.Second, 10*RateHalfLife, read)
		rate, recent := u.Rates(c.LastUsed)
		near(t, "rate", rate, perMillionSeconds(2*time.Second), 0.01)
		near(t, "recent rate", recent, perMillionSeconds(2*time.Second), 0.01)
	}
}

func TestRatesHalve(t *testing.T) {
	var u Usage
	c := CopyInfo{ID: 1, LoadedAt: start, LastUsed: start}
	use(&u, &c, time.Second, 10*RateHalfLife, time.Minute)
	rate, recent := u.Rates(c.LastUsed)
	later, _ := u.Rates(c.LastUsed.Add(RateHalfLife))
	near(t, "rate after its half-life", later, float64(rate)/2, 0.001)
	_, later = u.Rates(c.LastUsed.Add(RateRecentHalfLife))
	near(t, "recent rate after its half-life", later, float64(recent)/2, 0.001)
	if rate, recent := u.Rates(c.LastUsed.Add(1000 * RateHalfLife)); rate != 0 || recent != 0 {
		t.Errorf("long after: %d, %d", rate, recent)
	}
	if again, _ := u.Rates(c.LastUsed); again != rate {
		t.Error("asking for the rate changed it")
	}
}

// A model that was used every minute for a day, and one that got the same number of requests within the last ten minutes.
func TestTwoRatesTellHabitFromBurst(t *testing.T) {
	var habit, burst Usage
	a := CopyInfo{ID: 1, LoadedAt: start, LastUsed: start}
	use(&habit, &a, time.Minute, 24*time.Hour, time.Second)
	b := CopyInfo{ID: 2, LoadedAt: start, LastUsed: start.Add(24*time.Hour - 10*time.Minute)}
	use(&burst, &b, 10*time.Minute/1440, 10*time.Minute, time.Second)
	now := start.Add(24 * time.Hour)
	_, habitRecent := habit.Rates(now)
	_, burstRecent := burst.Rates(now)
	if burstRecent < 20*habitRecent {
		t.Errorf("recent rates %d of a habit and %d of a burst", habitRecent, burstRecent)
	}
	now = now.Add(4 * time.Hour)
	if _, recent := burst.Rates(now); recent > 1 {
		t.Errorf("four hours after a burst its recent rate is %d", recent)
	}
}

// The counts belong to the model: they go on when another copy of it comes, whose own count starts anew.
func TestRatesSurviveTheCopy(t *testing.T) {
	var u Usage
	first := CopyInfo{ID: 1, LoadedAt: start, LastUsed: start}
	use(&u, &first, time.Second, 10*RateHalfLife, time.Minute)
	before, _ := u.Rates(first.LastUsed)

	loaded := first.LastUsed.Add(RateHalfLife)
	second := CopyInfo{ID: 2, LoadedAt: loaded, LastUsed: loaded, Uses: 1}
	u.Read(loaded, second)
	after, recent := u.Rates(loaded)
	near(t, "rate one half-life later", after, float64(before)/2, 0.001)
	near(t, "recent rate of one request", recent, math.Ln2*float64(RateUnit)/float64(RateRecentHalfLife), 0.001)
	u.Read(loaded, second)
	if again, _ := u.Rates(loaded); again != after {
		t.Errorf("read twice, the same requests counted twice: %d, then %d", after, again)
	}
}

// Requests that came in one second after hours without any are of that second, though nobody looked in between.
func TestABurstAfterSilenceIsRecent(t *testing.T) {
	var u Usage
	c := CopyInfo{ID: 1, LoadedAt: start, LastUsed: start, Uses: 1}
	u.Read(start, c)
	u.Read(start.Add(10*time.Hour), c)
	c.Uses, c.LastUsed = 101, start.Add(10*time.Hour+time.Second)
	u.Read(c.LastUsed, c)
	_, recent := u.Rates(c.LastUsed)
	near(t, "recent rate", recent, 100*math.Ln2*float64(RateUnit)/float64(RateRecentHalfLife), 0.01)
}

func TestAModelNeverUsedHasNoRate(t *testing.T) {
	var u Usage
	u.Read(start, CopyInfo{ID: 1, LoadedAt: start, LastUsed: start.Add(-time.Hour)})
	if rate, recent := u.Rates(start); rate != 0 || recent != 0 {
		t.Errorf("rates %d, %d", rate, recent)
	}
}

// The wall's clock is set back by a year: what comes then counts as ever, and halves as ever.
func TestRatesGoOnWhenTheClockIsSetBack(t *testing.T) {
	var u Usage
	c := CopyInfo{ID: 1, LoadedAt: start, LastUsed: start}
	use(&u, &c, time.Second, RateHalfLife, time.Second)
	c.LastUsed = start.AddDate(-1, 0, 0)
	use(&u, &c, time.Minute, 10*RateHalfLife, time.Second)
	rate, recent := u.Rates(c.LastUsed)
	near(t, "rate", rate, perMillionSeconds(time.Minute), 0.05)
	near(t, "recent rate", recent, perMillionSeconds(time.Minute), 0.1)
}

// What hosts know of a model grows together, however often and in whatever order they tell each other.
func TestRecordsMerge(t *testing.T) {
	var busy, quiet Usage
	a := CopyInfo{ID: 1, LoadedAt: start, LastUsed: start}
	use(&busy, &a, time.Second, RateHalfLife, time.Minute)
	b := CopyInfo{ID: 1, LoadedAt: start, LastUsed: start.Add(RateHalfLife)}
	use(&quiet, &b, time.Hour, 2*time.Hour, time.Minute)
	now := b.LastUsed

	var there Usage // It has never been on this host.
	for _, r := range []UsageRecord{quiet.Record(), busy.Record(), busy.Record(), quiet.Record(), there.Record(), {}} {
		there.Merge(now, r)
	}
	back := busy
	back.Merge(now, there.Record()) // And it comes back to where it was.
	want, wantRecent := busy.Rates(now)
	for name, u := range map[string]Usage{"there": there, "back": back} {
		rate, recent := u.Rates(now)
		near(t, name+": rate", rate, float64(want), 0.001)
		if _, q := quiet.Rates(now); recent < max(wantRecent, q) {
			t.Errorf("%s: recent rate %d, want %d and %d at least", name, recent, wantRecent, q)
		}
		if !u.LastUsed().Equal(b.LastUsed) {
			t.Errorf("%s: last used %v", name, u.LastUsed())
		}
	}
	// It goes on from there.
	c := CopyInfo{ID: 7, LoadedAt: now, LastUsed: now.Add(time.Second), Uses: 1}
	before, _ := there.Rates(c.LastUsed)
	there.Read(c.LastUsed, c)
	if after, _ := there.Rates(c.LastUsed); after <= before {
		t.Errorf("rate %d after another request, %d before", after, before)
	}
}

// A record may say anything.
func TestRecordsThatCannotBeTrueAreDropped(t *testing.T) {
	var u Usage
	u.Merge(start, UsageRecord{At: start.Add(-time.Minute), Count: 3, Recent: 2})
	before := u
	for _, r := range []UsageRecord{
		{At: start, Count: math.NaN()}, {At: start, Recent: math.NaN()}, {At: start, Count: math.Inf(1)}, {At: start, Count: -1},
		{At: start, Count: 1, Recent: math.Inf(-1)}, {At: start, Count: math.MaxFloat64}, {Count: 5, Recent: 5},
	} {
		u.Merge(start, r)
	}
	if u != before {
		t.Errorf("%+v became %+v", before, u)
	}
	u.Merge(start, UsageRecord{At: start.AddDate(1, 0, 0), Count: 1, Recent: 1}) // By a clock that runs ahead.
	if u.LastUsed().After(start) {
		t.Errorf("last used %v", u.LastUsed())
	}
}
