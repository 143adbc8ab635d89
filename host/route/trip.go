package route

import (
	"slices"
	"time"

	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

const (
	// MaxVisits bounds how often one request is handed to a host, this one included.
	MaxVisits = 8
	// MaxFailedLoads is on how many hosts a model may fail for one request. Three say more of the model than of hosts.
	MaxFailedLoads = 3
	// MaxAsks bounds how often one request has the model placed.
	MaxAsks = 8
	// MaxAwaits bounds how often one request waits for the mesh to change; its deadline is what usually ends that.
	MaxAwaits = 1024
	// retrySoon is when a client should try again that met a mesh in motion.
	retrySoon = time.Second
)

// Do is what a request needs next.
type Do uint8

const (
	// Fail: the request ends with Action.Err.
	Fail Do = iota
	// ServeLocal: take the copy of this host; with Wait, join the load that is queued or under way here.
	ServeLocal
	// Forward: pass the request to Host; with Wait, it waits there for the load.
	Forward
	// Place: ask the model's arbiter, naming Exclude.
	Place
	// Await: wait until hosts, their copies or the catalog change, within the request's deadline; Err says what for.
	Await
)

var does = [...]string{Fail: "fail", ServeLocal: "serve", Forward: "forward", Place: "place", Await: "await"}

// String is the word for it in traces.
func (d Do) String() string { return does[d] }

// Action is the next step of a Trip. The caller performs it and tells the Trip how it went: NotHere or Lost after
// ServeLocal and Forward (nothing when the request was served), Placed or Unplaced after Place, nothing after Await.
type Action struct {
	Do Do
	// Host is set for ServeLocal and Forward.
	Host string
	Wait bool
	// Exclude are the hosts that the model must not be placed on. It is not to be changed.
	Exclude []string
	Err     *Error
}

// TripConfig is what a Trip needs to know of its request.
type TripConfig struct {
	// Model names the model in messages to the client.
	Model string
	// AwaitHost: when no live host can hold the model, wait for one instead of failing.
	AwaitHost bool
}

// Trip is the life of one request from its arrival to its outcome. Make it with NewTrip. It is not safe for concurrent use,
// and allocates nothing as long as the first host serves the request.
type Trip struct {
	config TripConfig
	// tried turned the request away though they may still load the model; excluded take no part any more; busy, a part of
	// tried, would have had it wait.
	tried, excluded, busy []string
	// waited are the hosts where it has waited, without an arbiter's word for them since.
	waited []string
	// named is the host that the arbiter's last word was for; vain are those that knew nothing of it.
	named string
	vain  []string
	// next is the host to go to, to wait there; empty for none.
	next string

	visits, asks, awaits, failures int
	// motive is why the last arbiter's answer is to be waited out; full is the queue that had no room; last is the trouble
	// that the client hears of when nothing is left to try.
	motive, full, last *Error
	// end is how the request ended, unless it was served.
	end *Error
}

// NewTrip starts a request on its way.
func NewTrip(config TripConfig) Trip { return Trip{config: config} }

// Next is what to do now. in is the mesh at this moment; its Tried and Exclude are set here. After Fail every further Next
// is the same Fail.
func (t *Trip) Next(in Input) Action {
	if t.end != nil {
		return Action{Do: Fail, Err: t.end}
	}
	if why := t.motive; why != nil {
		t.motive = nil
		return t.await(why)
	}
	if host := t.next; host != "" {
		t.next = ""
		if t.reachable(&in, host) {
			return t.visit(&in, host, true)
		}
		// Whoever named it sees a host that this one does not.
		t.exclude(host)
	}
	in.Tried, in.Exclude = t.tried, t.excluded
	choice := Pick(in)
	switch choice.Kind {
	case Local, Peer:
		return t.visit(&in, choice.Host, false)
	}
	for _, host := range t.busy {
		// Its queue is shorter than a load.
		if !slices.Contains(t.waited, host) && t.reachable(&in, host) {
			return t.visit(&in, host, true)
		}
	}
	switch {
	case choice.Kind == Held:
		return t.visit(&in, choice.Host, true)
	case t.full != nil:
		return t.fail(t.full)
	case choice.Kind == MustLoad:
		return t.place()
	}
	return t.nobody()
}

// nobody is for a model that no host is left for. Who waits for one begins anew with whoever comes; even one that broke
// down may.
func (t *Trip) nobody() Action {
	why := t.last
	if why == nil {
		why = Errorf(NoHost, "no host that can serve model %s is up", t.config.Model)
		why.RetryAfter = retrySoon
	}
	if !t.config.AwaitHost || why.Outcome != NoHost {
		return t.fail(why)
	}
	t.tried, t.excluded, t.busy, t.waited, t.vain = nil, nil, nil, nil, nil
	return t.await(why)
}

// reachable reports whether the request can go to host at all.
func (t *Trip) reachable(in *Input, host string) bool {
	if slices.Contains(t.excluded, host) {
		return false
	}
	m := in.View.Find(host)
	return host == in.Self || m != nil && m.Live
}

func (t *Trip) visit(in *Input, host string, wait bool) Action {
	if t.visits == MaxVisits {
		return t.fail(t.restless())
	}
	t.visits++
	if wait {
		t.waited = append(t.waited, host)
	}
	if host == in.Self {
		return Action{Do: ServeLocal, Host: host, Wait: wait}
	}
	return Action{Do: Forward, Host: host, Wait: wait}
}

func (t *Trip) place() Action {
	if t.asks == MaxAsks {
		return t.fail(t.restless())
	}
	t.asks++
	return Action{Do: Place, Exclude: t.excluded}
}

func (t *Trip) await(why *Error) Action {
	if t.awaits == MaxAwaits {
		return t.fail(why)
	}
	t.awaits++
	return Action{Do: Await, Err: why}
}

// restless ends a request that met nothing but hosts that sent it on.
func (t *Trip) restless() *Error {
	if t.last != nil {
		return t.last
	}
	e := Errorf(NoHost, "model %s was moved, evicted or lost %d times while the request looked for it: try again", t.config.Model, t.visits)
	e.RetryAfter = retrySoon
	return e
}

func (t *Trip) fail(err *Error) Action {
	t.end = err
	return Action{Do: Fail, Err: err}
}

// NotHere: host, maybe this one, turned the request away.
func (t *Trip) NotHere(host string, why *NotHere) {
	waited := slices.Contains(t.waited, host)
	switch why.Reason {
	case Loading:
		t.try(host)
		if !waited {
			t.next = host
		}
	case Busy:
		t.try(host)
		t.busy = add(t.busy, host)
	case Failed:
		t.last = t.trouble(why, LoadFailed, "model %s failed to load on %s", host)
		t.exclude(host)
		if t.failures++; t.failures >= MaxFailedLoads && t.end == nil {
			t.end = t.last
		}
	case Refused:
		t.refused(host, why)
	case Unreachable:
		t.Lost(host, true)
	case Stopping:
		t.exclude(host)
	default: // Absent, Draining
		t.try(host)
		if host == t.named {
			t.named = ""
			t.inVain(host)
		}
	}
}

// inVain: the arbiter has the model on a host that does not. Once is a copy that had to go in between; twice is an arbiter
// that does not know yet, and would name the host again and again.
func (t *Trip) inVain(host string) {
	if slices.Contains(t.vain, host) {
		t.exclude(host)
	}
	t.vain = add(t.vain, host)
}

// refused: the host will not have the request. A full queue is no reason to load another copy for this request; whether
// there should be more of them is the arbiter's to see.
func (t *Trip) refused(host string, why *NotHere) {
	t.exclude(host)
	err := t.trouble(why, NoHost, "%s was refused by %s", host)
	if err.Outcome == QueueFull {
		t.full = err
		return
	}
	t.last = err
}

// Lost: host broke down, or was not reached, before it answered. replayable: nobody can have acted on the request, and
// all of it can be sent again. If not, the request is over.
func (t *Trip) Lost(host string, replayable bool) {
	t.exclude(host)
	if replayable || t.end != nil {
		if t.last == nil || t.last.Outcome == NoHost {
			t.last = Errorf(NoHost, "the host %s of model %s cannot be reached: try again", host, t.config.Model)
			t.last.RetryAfter = retrySoon
		}
		return
	}
	t.end = Errorf(Interrupted, "host %s broke down while the request was in flight; it may or may not have run", host)
}

// Placed: the model's arbiter had it reserved on host, maybe this one, or knows that it is there already.
func (t *Trip) Placed(host string) {
	t.next, t.named = host, host
	// What the host said before holds no longer.
	t.waited = slices.DeleteFunc(t.waited, func(h string) bool { return h == host })
}

// Unplaced: no arbiter had the model placed. err is what the client hears if that is the end: UnplacedError.
func (t *Trip) Unplaced(reason peerv1.UnplacedReason, err *Error) {
	if err == nil {
		err = UnplacedError(reason, "", 0)
	}
	if t.end != nil {
		return
	}
	switch reason {
	case peerv1.UnplacedReason_UNPLACED_REASON_NOT_ARBITER, peerv1.UnplacedReason_UNPLACED_REASON_STALE:
		// Hosts have yet to hear of each other, or of the model.
		t.asks--
		t.motive = err
	case peerv1.UnplacedReason_UNPLACED_REASON_NO_HOST:
		switch {
		case t.config.AwaitHost && (t.last == nil || t.last.Outcome == NoHost):
			t.asks--
			t.motive = err
		case t.last != nil:
			t.end = t.last
		default:
			t.end = err
		}
	default:
		t.end = err
	}
}

// UnplacedError is what a client hears of a model that was not placed.
func UnplacedError(reason peerv1.UnplacedReason, message string, retryAfter time.Duration) *Error {
	e := &Error{Outcome: NoHost, Message: message, RetryAfter: max(0, retryAfter)}
	switch reason {
	case peerv1.UnplacedReason_UNPLACED_REASON_CANNOT_FIT:
		e.Outcome = CannotFit
	case peerv1.UnplacedReason_UNPLACED_REASON_FAILED:
		e.Outcome = LoadFailed
	default:
		if e.RetryAfter == 0 {
			e.RetryAfter = retrySoon
		}
	}
	if message == "" {
		e.Message = "the model was not placed: " + reason.String()
	}
	return e
}

// trouble is the host's own error, or one that says what is known. A host that does not know the model has an older, or a
// newer, catalog than this one: that is no proof that there is none.
func (t *Trip) trouble(why *NotHere, outcome Outcome, format string, host string) *Error {
	if why.Err == nil {
		return Errorf(outcome, format, t.config.Model, host)
	}
	if why.Err.Outcome == UnknownModel {
		e := Errorf(NoHost, "host %s does not know model %s yet, or no longer: try again", host, t.config.Model)
		e.RetryAfter = retrySoon
		return e
	}
	return why.Err
}

// try has host's copy not picked again.
func (t *Trip) try(host string) { t.tried = add(t.tried, host) }

// exclude has host take no part any more.
func (t *Trip) exclude(host string) { t.excluded = add(t.excluded, host) }

// add appends to a copy, since Actions may hold the old one.
func add(hosts []string, host string) []string {
	if slices.Contains(hosts, host) {
		return hosts
	}
	return append(slices.Clip(hosts), host)
}
