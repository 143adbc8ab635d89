package servingruntime

import (
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/controller/config"
	"github.com/wasmesh/wasmesh/controller/decide"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// step is a look after a time, and what it should answer.
type step struct {
	after time.Duration
	see   func(*facts)
	awake bool
	// next is in how long to look again; zero for never.
	next time.Duration
}

func needed(f *facts)  { f.needed = true }
func waited(f *facts)  { f.waited = true }
func running(f *facts) { f.exists, f.running = true, true }
func asleep(f *facts)  { f.exists = true }
func busy(f *facts)    { f.busy = true }
func nothing(*facts)   {}

func all(see ...func(*facts)) func(*facts) {
	return func(f *facts) {
		for _, s := range see {
			s(f)
		}
	}
}

func models(ids ...string) func(*facts) { return func(f *facts) { f.needed, f.models = true, ids } }

func TestLook(t *testing.T) {
	const grace = time.Minute
	byNeed := config.ScaleToZero{Enabled: true, GracePeriod: grace}
	onIdle := config.ScaleToZero{Enabled: true, GracePeriod: grace, OnIdle: true}
	const idle = grace + reportLag
	for name, test := range map[string]struct {
		config.ScaleToZero
		steps []step
	}{
		"not scaled to zero": {config.ScaleToZero{}, []step{{0, nothing, true, 0}, {time.Hour, running, true, 0}}},
		"nobody needs it": {byNeed, []step{
			{0, nothing, false, 0}, {time.Hour, asleep, false, 0},
		}},
		"pods that are there at the first look have the grace": {byNeed, []step{
			{0, running, true, grace}, {59 * time.Second, running, true, time.Second}, {time.Second, running, false, 0},
			{time.Second, running, false, 0},
		}},
		"the grace begins when the last model goes": {byNeed, []step{
			{0, needed, true, 0}, {time.Hour, running, true, grace}, {grace / 2, running, true, grace / 2}, {grace / 2, running, false, 0},
		}},
		"a model that comes back in time": {byNeed, []step{
			{0, all(needed, running), true, 0}, {0, running, true, grace}, {grace / 2, all(needed, running), true, 0},
			{grace, running, true, grace}, {grace, running, false, 0},
		}},
		"without a grace": {config.ScaleToZero{Enabled: true}, []step{
			{0, needed, true, 0}, {time.Second, running, false, 0}, {time.Second, needed, true, 0},
		}},
		"a request that waits": {byNeed, []step{
			{0, asleep, false, 0}, {time.Hour, waited, true, grace}, {grace, running, true, grace}, {grace, running, false, 0},
		}},
		"idle: a new model is tried, and then sleeps": {onIdle, []step{
			{0, models("m"), true, idle}, {idle, all(models("m"), running, busy), true, idle},
			{idle, all(models("m"), running), false, 0}, {time.Hour, all(models("m"), asleep, busy), false, 0},
		}},
		"idle: a request wakes it": {onIdle, []step{
			{0, all(models("m"), asleep), false, 0}, {time.Hour, all(models("m"), asleep, waited), true, idle},
			{time.Hour, all(models("m"), running, busy), true, idle}, {idle, all(models("m"), running), false, 0},
		}},
		"idle: a controller that starts anew wakes nothing, and lets nothing sleep at once": {onIdle, []step{
			{0, all(models("m"), running), true, idle}, {idle, all(models("m"), running), false, 0},
		}},
		"idle: another model wakes it, one less does not": {onIdle, []step{
			{0, all(models("a", "b"), asleep), false, 0}, {time.Hour, all(models("a"), asleep), false, 0},
			{time.Hour, all(models("a", "c"), asleep), true, idle}, {idle, all(models("a", "c"), running), false, 0},
			{0, all(models("a", "b"), asleep), true, idle},
		}},
		"idle: use that is told late counts from when it was": {onIdle, []step{
			{0, all(models("m"), running), true, idle},
			{idle, all(models("m"), running, lastUse(-8*time.Second)), true, idle - 8*time.Second},
			{idle - 8*time.Second, all(models("m"), running, lastUse(-idle)), false, 0},
		}},
		"idle: a runtime that was woken and does not come is looked at when it has had its time": {onIdle, []step{
			{0, all(models("m"), asleep), false, 0}, {time.Hour, all(models("m"), asleep, waited), true, idle},
			{idle, all(models("m"), running, busy, waited), true, wakeAllowance - idle},
			{wakeAllowance - idle, all(models("m"), running, busy, waited), true, idle},
		}},
		"idle: without any model the grace is that of the others": {onIdle, []step{
			{0, all(models("m"), running), true, idle}, {0, running, true, grace}, {grace, running, false, 0},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var r rest
			now := time.Unix(1000, 0)
			for i, s := range test.steps {
				now = now.Add(s.after)
				f := facts{ScaleToZero: test.ScaleToZero}
				s.see(&f)
				if !f.lastUse.IsZero() {
					f.lastUse = now.Add(f.lastUse.Sub(time.Time{}))
				}
				after, next := r.look(now, f)
				r = after
				in := time.Duration(0)
				if !next.IsZero() {
					in = next.Sub(now)
				}
				if r.awake != s.awake || in != s.next {
					t.Fatalf("look %d: awake %v, next in %v; want %v, %v", i, r.awake, in, s.awake, s.next)
				}
			}
		})
	}
}

// TestSleeps: a model is excused from having pods while it sleeps and while it wakes, by a setting that has requests waited
// with.
func TestSleeps(t *testing.T) {
	onIdle := config.ScaleToZero{Enabled: true, GracePeriod: time.Minute, OnIdle: true}
	ready := func(f *facts) { f.ready = true }
	type look struct {
		after time.Duration
		see   func(*facts)
		want  bool
	}
	for name, test := range map[string]struct {
		config.ScaleToZero
		looks []look
	}{
		"without onIdle": {config.ScaleToZero{Enabled: true, GracePeriod: time.Minute}, []look{
			{0, asleep, false}, {time.Second, all(needed, asleep), false},
		}},
		"a new runtime that begins with pods": {onIdle, []look{{0, models("m"), false}, {time.Second, all(models("m"), running, busy), false}}},
		"falls asleep": {onIdle, []look{
			{0, all(models("m"), running, ready), false}, {time.Hour, all(models("m"), running, ready), true},
		}},
		"wakes": {onIdle, []look{
			{0, all(models("m"), asleep), true}, {time.Hour, all(models("m"), asleep, waited), true},
			{time.Second, all(models("m"), running, busy), true}, {time.Second, all(models("m"), running, busy, ready), false},
			{time.Second, all(models("m"), running, busy), false},
		}},
		"takes too long to wake": {onIdle, []look{
			{0, all(models("m"), asleep), true}, {time.Hour, all(models("m"), asleep, waited), true},
			{wakeAllowance - 1, all(models("m"), running, busy, waited), true}, {1, all(models("m"), running, busy, waited), false},
			{time.Hour, all(models("m"), running, busy, waited), false},
		}},
		"wakes twice": {onIdle, []look{
			{0, all(models("m"), asleep), true}, {0, all(models("m"), asleep, waited), true},
			{time.Second, all(models("m"), running, ready), false}, {time.Hour, all(models("m"), running, ready), true},
			{time.Hour, all(models("m"), asleep, waited), true},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var r rest
			now := time.Unix(1000, 0)
			for i, l := range test.looks {
				now = now.Add(l.after)
				f := facts{ScaleToZero: test.ScaleToZero}
				l.see(&f)
				r, _ = r.look(now, f)
				if got := r.asleep(f); got != l.want {
					t.Fatalf("look %d: asleep %v, want %v", i, got, l.want)
				}
			}
		})
	}
}

// lastUse so long from the look.
func lastUse(d time.Duration) func(*facts) {
	return func(f *facts) { f.lastUse = time.Time{}.Add(d) }
}

func TestUsage(t *testing.T) {
	hello := func(namespace, runtime string) *syncv1.Hello {
		return &syncv1.Hello{Namespace: namespace, HostId: "h", Runtime: runtime}
	}
	idle := decide.Host{Hello: hello("ns", "a"), Connected: true, Complete: true, RuntimeState: syncv1.RuntimeState_RUNTIME_STATE_READY}
	with := func(change func(*decide.Host)) []decide.Host {
		h := idle
		change(&h)
		return []decide.Host{h}
	}
	copied := func(c *syncv1.Copy) []decide.Host {
		return with(func(h *decide.Host) { h.Copies = map[string]*syncv1.Copy{"m": c} })
	}
	at := time.UnixMilli(5000)
	for name, test := range map[string]struct {
		hosts []decide.Host
		want  usage
	}{
		"idle":            {[]decide.Host{idle}, usage{ready: true}},
		"no host yet":     {nil, usage{busy: true}},
		"another runtime": {with(func(h *decide.Host) { h.Hello = hello("ns", "b") }), usage{busy: true}},
		"another mesh":    {with(func(h *decide.Host) { h.Hello = hello("other", "a") }), usage{busy: true}},
		"disconnected":    {with(func(h *decide.Host) { h.Connected = false }), usage{busy: true}},
		"starting": {with(func(h *decide.Host) { h.RuntimeState = syncv1.RuntimeState_RUNTIME_STATE_STARTING }),
			usage{busy: true}},
		"leaving":            {with(func(h *decide.Host) { h.Draining = &syncv1.Draining{} }), usage{busy: true}},
		"requests in flight": {with(func(h *decide.Host) { h.Load = &syncv1.Load{RequestsInFlight: 1} }), usage{busy: true, ready: true}},
		"requests waiting":   {with(func(h *decide.Host) { h.Load = &syncv1.Load{RequestsWaiting: 1} }), usage{busy: true, ready: true}},
		"loads queued":       {with(func(h *decide.Host) { h.Load = &syncv1.Load{LoadsQueued: 1} }), usage{busy: true, ready: true}},
		"loading":            {copied(&syncv1.Copy{State: syncv1.CopyState_COPY_STATE_LOADING}), usage{busy: true, ready: true}},
		"loaded":             {copied(&syncv1.Copy{State: syncv1.CopyState_COPY_STATE_LOADED, LastUsedMs: 5000}), usage{ready: true, lastUse: at}},
		"in use":             {copied(&syncv1.Copy{State: syncv1.CopyState_COPY_STATE_LOADED, InFlight: 1}), usage{busy: true, ready: true}},
	} {
		if got := usageOf("ns", "a", test.hosts); got.busy != test.want.busy || got.ready != test.want.ready || !got.lastUse.Equal(test.want.lastUse) {
			t.Errorf("%s: %+v; want %+v", name, got, test.want)
		}
	}
}

// With onIdle a gateway stands behind the Service, pods go when nobody asks, and come when somebody waits.
func TestScaleToZeroOnIdle(t *testing.T) {
	b := newBench(t)
	b.config.ScaleToZero.OnIdle = true
	b.runtime("a", "sklearn", autoscaled)
	b.model("m", "sklearn")
	b.round()
	b.wantPods("a", 1)
	b.wantPods("gateway", 1)
	b.pass(5 * time.Minute) // The pods start slowly.
	b.wantPods("a", 1)
	b.host("a", &syncv1.Copy{ModelId: "m", State: syncv1.CopyState_COPY_STATE_LOADED})
	b.pass(time.Minute)
	b.wantPods("a", 1) // Counted from when they were last seen starting.
	b.pass(time.Minute)
	b.wantPods("a", 0)
	if b.autoscaler("a") != nil {
		t.Error("the autoscaler outlives the pods")
	}
	b.hosts = nil
	b.atRest()
	b.restart()
	b.pass(time.Hour)
	b.wantPods("a", 0)

	b.hosts = []decide.Host{{
		Hello: &syncv1.Hello{Namespace: b.namespace, HostId: "gateway", Gateway: true}, Connected: true, Complete: true,
		Demands: []*syncv1.Demand{{Runtime: "a", Waiting: 1}},
	}}
	b.round()
	b.wantPods("a", 1)
	b.wantAutoscaler("a", 1, 1, 80, "cpu")

	b.config.ScaleToZero.OnIdle = false
	b.round()
	if b.pods("gateway") != -1 {
		t.Error("the gateway outlives its setting")
	}
}
