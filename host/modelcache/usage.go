package modelcache

import (
	"math"
	"time"
)

// Half-lives of the two rates of a model. Together they tell a model that is used now from one that is used every day.
const (
	// RateHalfLife spans the pause between two uses of most models that are worth keeping.
	RateHalfLife = 2 * time.Hour
	// RateRecentHalfLife spans a burst.
	RateRecentHalfLife = 5 * time.Minute
)

// RateUnit is the time that rates count requests in: a use a day is 11.6 in a million seconds, so integers do.
const RateUnit = 1_000_000 * time.Second

// Usage follows how often a model is asked for, through all its copies on this host, one after the other. It keeps two
// counts of requests that halve with their half-life; a rate is what a steady stream of requests would have to be to give
// that count. A model that is new starts from none, and is caught up with by one half-life's worth of use.
//
// Requests do not come here: they count on their Copy, and Usage reads that whenever somebody wants to know, and at least
// when the copy goes. Requests between two readings are taken to have come evenly up to the last one, whose time is known;
// so read every copy once in a while, and bursts are placed to within that while. The zero value is a model never used.
// Not safe for concurrent use.
//
// Times are those of the wall, which may be set back. What lies in the future is then taken to be of now: counts that
// waited for their time to come again would grow meanwhile without ever halving.
type Usage struct {
	// at is the moment that the counts are of: that of the last request.
	at            time.Time
	count, recent float64
	// copy is the one last read; it had answered uses requests by seen.
	copy CopyID
	uses uint64
	seen time.Time
}

// Read takes in what has come to a copy since it was last read.
func (u *Usage) Read(now time.Time, c CopyInfo) {
	now = now.Round(0) // Without its monotonic reading, which last uses do not have.
	if c.ID != u.copy {
		u.copy, u.uses, u.seen = c.ID, 0, c.LoadedAt
	}
	u.at, u.seen = earlier(u.at, now), earlier(u.seen, now)
	if c.Uses > u.uses {
		u.add(c.Uses-u.uses, earlier(c.LastUsed, now))
		u.uses = c.Uses
	}
	u.seen = now
}

// add counts n requests since seen, the last of them at this time.
func (u *Usage) add(n uint64, last time.Time) {
	from := later(u.at, u.seen)
	last = later(last, from)
	quiet, while := from.Sub(u.at), last.Sub(from) // quiet does not matter to counts that are 0.
	u.count = spread(spread(u.count, 0, quiet, RateHalfLife), n-1, while, RateHalfLife) + 1
	u.recent = spread(spread(u.recent, 0, quiet, RateRecentHalfLife), n-1, while, RateRecentHalfLife) + 1
	u.at = last
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// spread answers a count after a while in which n more came evenly.
func spread(count float64, n uint64, since, halfLife time.Duration) float64 {
	if since <= 0 {
		return count + float64(n)
	}
	left := math.Exp2(-float64(since) / float64(halfLife))
	count *= left
	if n > 0 {
		// The mean of 2^(-t/halfLife) over the while.
		count += float64(n) * (1 - left) * float64(halfLife) / (math.Ln2 * float64(since))
	}
	return count
}

// Rates are requests per RateUnit as of now, or of what was read last if that is later.
func (u *Usage) Rates(now time.Time) (rate, rateRecent uint64) {
	count, recent := u.countsAt(now)
	return perUnit(count, RateHalfLife), perUnit(recent, RateRecentHalfLife)
}

func perUnit(count float64, halfLife time.Duration) uint64 {
	return uint64(count*math.Ln2*float64(RateUnit)/float64(halfLife) + 0.5)
}

// LastUsed is when the last request came that was read; zero when none was.
func (u *Usage) LastUsed() time.Time { return u.at }

// Used reports whether any request was ever read.
func (u *Usage) Used() bool { return !u.at.IsZero() }

// UsageRecord is a Usage as it travels between hosts.
type UsageRecord struct {
	// At is the moment that the counts are of: that of the last request; zero for a model never used.
	At time.Time
	// Count and Recent are decayed counts of requests, with RateHalfLife and RateRecentHalfLife.
	Count, Recent float64
}

// Record is what may be told to others of what was read.
func (u *Usage) Record() UsageRecord { return UsageRecord{At: u.at, Count: u.count, Recent: u.recent} }

// Merge takes in what another host knows of the same model: the larger of the two counts, as of the later time. What both
// have counted, for records come back to where they came from, so counts once; merged again, a record changes nothing.
// Records that cannot be true are dropped.
func (u *Usage) Merge(now time.Time, r UsageRecord) {
	if r.At.IsZero() || !(r.Count >= 0 && r.Count <= recordMost) || !(r.Recent >= 0 && r.Recent <= recordMost) {
		return
	}
	now = now.Round(0)
	u.at, r.At = earlier(u.at, now), earlier(r.At, now)
	at := later(u.at, r.At)
	count, recent := u.countsAt(at)
	other := Usage{at: r.At, count: r.Count, recent: r.Recent}
	otherCount, otherRecent := other.countsAt(at)
	u.at, u.count, u.recent = at, max(count, otherCount), max(recent, otherRecent)
}

// recordMost is more requests than any host answers in the half-lives together; what says more is no count.
const recordMost = 1e15

// countsAt answers the counts as they are at a time not before u.at.
func (u *Usage) countsAt(at time.Time) (count, recent float64) {
	if u.at.IsZero() {
		return 0, 0
	}
	since := max(at.Sub(u.at), 0)
	return spread(u.count, 0, since, RateHalfLife), spread(u.recent, 0, since, RateRecentHalfLife)
}
