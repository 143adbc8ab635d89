package servingruntime

import (
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/controller/config"
	"github.com/wasmesh/wasmesh/controller/decide"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// reportLag is how old the newest report of a copy's use may be: hosts tell of it every 10 s at most. A runtime counts as
// idle for the grace period only when that has passed as well.
const reportLag = 10 * time.Second

// wakeAllowance is how long a runtime that was woken still counts as asleep while none of its hosts is ready. That is how
// long its pods may take to start; of those that take longer people want to hear.
const wakeAllowance = 2 * time.Minute

// facts are what one look at a runtime sees.
type facts struct {
	config.ScaleToZero
	want
	usage
	// exists and running say whether there is a Deployment, and whether it is to have pods.
	exists, running bool
}

// usage is what hosts say of how much they are used.
type usage struct {
	// busy: requests or loads are under way, or the pods have yet to become ready for them.
	busy bool
	// ready: a host can load, and stays.
	ready bool
	// lastUse of any copy; zero for none.
	lastUse time.Time
}

// rest (pure) is what is remembered of a runtime from one look to the next, to know when its pods may go. The zero value
// has not looked.
type rest struct {
	looked bool
	// awake is the last answer, and used when there last was a reason for it. wanted: the reason was one that lasts until
	// the next look.
	awake, wanted bool
	used          time.Time
	// woken is when the runtime was woken, as long as it still counts as asleep; zero otherwise.
	woken time.Time
	// models that were seen last.
	models []string
}

// look answers whether the runtime is to have pods, and when to look again if nothing changes; zero for never.
//
// Without onIdle a runtime has pods while a model needs it or a request waits for it, and for the grace period after. The
// first look takes no pods away that are there: nobody knows since when they are idle.
//
// With onIdle it has them from when a model is new, so that what is wrong with it is found, and from when a request waits
// for it, until nothing was asked of it for the grace period.
func (r rest) look(now time.Time, f facts) (after rest, next time.Time) {
	slept, quiet := r.looked && !r.awake, f.quiet()
	used := f.lasts() || f.needed && (r.isNew(f) || r.awake && f.busy)
	r.used = r.lastUsed(now, f, used)
	r.looked, r.wanted, r.models = true, f.lasts(), f.models
	r.awake = used || !r.used.IsZero() && now.Before(r.used.Add(quiet))
	r.woken = r.lastWoken(now, f, slept)
	return r, r.next(f, quiet)
}

// lasts says that there is a reason for pods which lasts until the next look.
func (f facts) lasts() bool { return !f.Enabled || f.waited || f.needed && !f.OnIdle }

// quiet is for how long nobody may have used the runtime before its pods go.
func (f facts) quiet() time.Duration {
	if f.OnIdle && f.needed {
		return f.GracePeriod + reportLag
	}
	return f.GracePeriod
}

// lastUsed answers when there last was a reason for pods; used: there is one now. r is of the look before.
func (r rest) lastUsed(now time.Time, f facts, used bool) time.Time {
	switch {
	case used, r.wanted, !r.looked && f.running:
		return now
	case r.awake && f.needed && f.lastUse.After(r.used):
		return f.lastUse
	}
	return r.used
}

// lastWoken answers when the runtime was woken, zero when it does not count as asleep; slept: it did not have pods at the
// look before.
func (r rest) lastWoken(now time.Time, f facts, slept bool) time.Time {
	switch {
	case !r.awake, f.ready, !r.woken.IsZero() && !now.Before(r.woken.Add(wakeAllowance)):
		return time.Time{}
	case slept && f.OnIdle:
		return now
	}
	return r.woken
}

// next answers when to look again if nothing changes; zero for never.
func (r rest) next(f facts, quiet time.Duration) (next time.Time) {
	// What makes it used says when it ends, but for hosts that become idle.
	if r.awake && f.Enabled && !(f.needed && !f.OnIdle) {
		next = r.used.Add(max(quiet, time.Second))
	}
	if end := r.woken.Add(wakeAllowance); !r.woken.IsZero() && (next.IsZero() || end.Before(next)) {
		next = end
	}
	return next
}

// asleep says that the next request is answered, though there is no pod to do it: the gateway holds it until there is.
func (r rest) asleep(f facts) bool {
	return f.Enabled && f.OnIdle && (!r.awake || !r.woken.IsZero())
}

// isNew says that the runtime has a model that it did not have at the last look. The first look takes all for known if
// there is a Deployment: it may be that they sleep.
func (r rest) isNew(f facts) bool {
	if !r.looked {
		return !f.exists || f.running
	}
	return slices.ContainsFunc(f.models, func(id string) bool {
		_, known := slices.BinarySearch(r.models, id)
		return !known
	})
}

// usageOf (pure) reads what the hosts of a runtime say.
func usageOf(namespace, runtime string, hosts []decide.Host) usage {
	var u usage
	for i := range hosts {
		h := &hosts[i]
		if !h.Connected || h.Hello.GetGateway() || h.Hello.GetNamespace() != namespace || h.Hello.GetRuntime() != runtime {
			continue
		}
		u.ready = u.ready || h.Complete && h.Draining == nil && h.RuntimeState == syncv1.RuntimeState_RUNTIME_STATE_READY
		l := h.Load
		u.busy = u.busy || l.GetRequestsInFlight()+l.GetRequestsWaiting()+l.GetLoadsQueued()+l.GetLoadsRunning() > 0
		for _, c := range h.Copies {
			u.busy = u.busy || c.GetInFlight()+c.GetWaiting() > 0 || isLoading(c)
			if at := c.GetLastUsedMs(); at > 0 && at > u.lastUse.UnixMilli() {
				u.lastUse = time.UnixMilli(at)
			}
		}
	}
	u.busy = u.busy || !u.ready
	return u
}

func isLoading(c *syncv1.Copy) bool {
	return c.GetState() == syncv1.CopyState_COPY_STATE_QUEUED || c.GetState() == syncv1.CopyState_COPY_STATE_LOADING
}
