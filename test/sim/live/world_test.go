package live

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/host/catalog"
	"github.com/wasmesh/wasmesh/host/peers"
	"github.com/wasmesh/wasmesh/host/peers/peerstest"
	"github.com/wasmesh/wasmesh/host/route"
	"github.com/wasmesh/wasmesh/sdk/modelid"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

const (
	namespace = "default"
	megabyte  = int64(1 << 20)
	// slack is what may pass between a deadline and the answer: nothing of this takes time in a bubble but slow lines.
	slack = 2 * time.Second
)

var meshKey = []byte("0123456789abcdef0123456789abcdef")

// model is one of the catalog.
type model struct {
	id        string
	size      int64
	minCopies uint32
}

func (m model) row() *syncv1.Model {
	return &syncv1.Model{
		Namespace: namespace, Id: m.id, Runtimes: []string{runtimeName}, Storage: &syncv1.StorageReference{Path: m.id},
		Knobs: &syncv1.Knobs{MinCopies: m.minCopies},
	}
}

func (m model) key() uint64 { return uint64(modelid.KeyOf(namespace, m.id)) }

// world is one mesh in one bubble, and what has been seen of it.
type world struct {
	t       *testing.T
	network *peerstest.Network
	weather weather
	started time.Time
	// tasks are the goroutines that are waited for at the end.
	tasks sync.WaitGroup

	mu sync.Mutex // guards below
	// hosts are the latest starts by id; some have gone. all are all that ever were.
	hosts   map[string]*host
	all     []*host
	epochs  uint64
	models  []model
	version uint64
	// poison are models that fail to load, false when that is over; rejected: an inference server refused whatever came.
	poison   map[string]bool
	rejected bool
	pulls    time.Duration
	// calm: nothing breaks, so every request is to be served.
	calm bool
	// runs counts how often each request came to an inference server; outcomes how requests ended.
	runs     map[string]int
	asked    int
	outcomes map[string]int
	trouble  []string
}

func newWorld(t *testing.T, p *plan) *world {
	return &world{
		t: t, network: peerstest.NewNetwork(), started: time.Now(), models: slices.Clone(p.models), calm: p.calm, version: 1,
		weather: weather{slow: map[string]time.Duration{}, dice: rand.New(rand.NewPCG(p.seed, 2))},
		hosts:   map[string]*host{}, poison: map[string]bool{}, runs: map[string]int{}, outcomes: map[string]int{}, pulls: 50 * time.Millisecond,
	}
}

// wrong notes a broken promise.
func (w *world) wrong(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.trouble) < 20 {
		w.trouble = append(w.trouble, fmt.Sprintf("at %v: ", time.Since(w.started).Round(time.Millisecond))+fmt.Sprintf(format, args...))
	}
}

func (w *world) sizeOf(id string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.models {
		if m.id == id {
			return m.size
		}
	}
	return 0
}

func (w *world) catalog() []model {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.models)
}

func (w *world) rows() (rows []*syncv1.Model) {
	for _, m := range w.catalog() {
		rows = append(rows, m.row())
	}
	return rows
}

// table is the catalog that the controller would send now.
func (w *world) table() *catalog.Table {
	var rows []*syncv1.Row
	for _, row := range w.rows() {
		rows = append(rows, &syncv1.Row{Key: "model/" + row.GetId(), Value: &syncv1.Row_Model{Model: row}})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return catalog.NewTable(&syncv1.Version{Term: 1, Sequence: w.version}, rows...)
}

func (w *world) poisoned(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.poison[id]
}

func (w *world) pullTime() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pulls
}

// ran is told that a request has come to an inference server.
func (w *world) ran(request string) {
	w.mu.Lock()
	w.runs[request]++
	n := w.runs[request]
	w.mu.Unlock()
	if n > 1 {
		w.wrong("request %s was run %d times", request, n)
	}
}

// add starts a host of the next epoch, and tells hosts of each other: all of them, or (shy) only the new one of the others.
func (w *world) add(id, ip string, s *server, shy bool) *host {
	w.mu.Lock()
	w.epochs++
	epoch := w.epochs
	w.mu.Unlock()
	h := w.start(id, ip, epoch, s)
	w.mu.Lock()
	w.hosts[id] = h
	w.all = append(w.all, h)
	w.mu.Unlock()
	if shy {
		h.peers.SetSeeds(w.seeds())
	} else {
		w.tellAll()
	}
	return h
}

// seeds are what the controller says of hosts.
func (w *world) seeds() (seeds []peers.Seed) {
	for _, h := range w.living() {
		seeds = append(seeds, peers.Seed{ID: h.id, Gossip: h.peers.GossipAddress(), Peer: fmt.Sprintf("%s:%d", h.ip, peerPort)})
	}
	return seeds
}

func (w *world) tellAll() {
	seeds := w.seeds()
	for _, h := range w.living() {
		h.peers.SetSeeds(seeds)
	}
}

// living are the hosts that have not ended, in order.
func (w *world) living() (living []*host) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(w.hosts)) {
		if h := w.hosts[id]; !h.ending.Load() {
			living = append(living, h)
		}
	}
	return living
}

func (w *world) host(id string) *host {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hosts[id]
}

// serving are those that clients are sent to.
func (w *world) serving() []*host {
	return slices.DeleteFunc(w.living(), func(h *host) bool { return !h.ready.Load() })
}

// ask is one request to this host: it ends here, and is counted.
func (w *world) ask(h *host, m model, within, takes time.Duration) error {
	w.mu.Lock()
	w.asked++
	request := fmt.Sprintf("%d", w.asked)
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	began := time.Now()
	answer, err := h.front.ask(ctx, request, m.id, takes)
	took := time.Since(began)
	word, fine := outcomeOf(err)
	switch {
	case !fine:
		w.wrong("request %s for %s through %s ended as %s: %v", request, m.id, h, word, err)
	case err == nil && answer != m.id:
		w.wrong("request %s for %s through %s was answered by %s", request, m.id, h, answer)
	case took > within+slack:
		w.wrong("request %s for %s through %s took %v of %v: %v", request, m.id, h, took, within, err)
	case word == route.LoadFailed.String() && !w.mayFail(m.id):
		w.wrong("request %s for %s, with which nothing is the matter, through %s: %v", request, m.id, h, err)
	case err != nil && w.calm && word != closed && word != unknown:
		w.wrong("request %s for %s through %s failed although nothing did: %s after %v: %v", request, m.id, h, word, took, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.outcomes[word]++
	return err
}

// A client that hears one of these asks elsewhere: it has to do with this host, not with the mesh.
const closed, unknown = "closed", "unknown here"

// outcomeOf is how a request ended in a word, and whether requests may end so here.
func outcomeOf(err error) (word string, fine bool) {
	failed, typed := errors.AsType[*route.Error](err)
	switch {
	case err == nil:
		return route.Served.String(), true
	case errors.Is(err, errClosed):
		return closed, true
	case errors.Is(err, errUnknown):
		return unknown, true
	case errors.Is(err, errBroken):
		return route.Interrupted.String(), true
	case typed:
		switch failed.Outcome {
		case route.NoHost, route.QueueFull, route.DeadlineExceeded, route.Cancelled, route.LoadFailed, route.Interrupted:
			return failed.Outcome.String(), true
		}
		return failed.Outcome.String(), false
	case errors.Is(err, context.DeadlineExceeded):
		return route.DeadlineExceeded.String(), true
	case errors.Is(err, context.Canceled): // its host was killed
		return route.Cancelled.String(), true
	}
	return "untyped", false
}

// mayFail: the model, or loads of any, have been made to fail at some time.
func (w *world) mayFail(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ever := w.poison[id]
	return ever || w.rejected
}

// client asks one host after another for one model after another until stop is closed.
func (w *world) client(seed, number uint64, stop <-chan struct{}) {
	dice := rand.New(rand.NewPCG(seed, 100+number))
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(dice.ExpFloat64() * float64(400*time.Millisecond))):
		}
		hosts, models := w.serving(), w.catalog()
		// Some models are asked for more than others.
		m := models[min(dice.IntN(len(models)), dice.IntN(len(models)))]
		within, takes := time.Duration(1+dice.IntN(20))*time.Second, time.Duration(1+dice.IntN(200))*time.Millisecond
		if w.calm {
			within = time.Minute
		}
		if len(hosts) > 0 {
			w.ask(hosts[dice.IntN(len(hosts))], m, within, takes)
		}
	}
}

// burst is many requests at once for one model through all hosts.
func (w *world) burst(m model, n int) {
	var all sync.WaitGroup
	hosts := w.serving()
	for i := range n {
		if len(hosts) > 0 {
			all.Go(func() { w.ask(hosts[i%len(hosts)], m, time.Minute, 300*time.Millisecond) })
		}
	}
	all.Wait()
}

// report fails the test with all that was wrong.
func (w *world) report(p *plan) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t.Logf("%d requests: %v", w.asked, w.outcomes)
	if len(w.trouble) == 0 {
		return
	}
	w.t.Errorf("%s\nschedule: %s", strings.Join(w.trouble, "\n"), p)
}

// retryAfter is when a client that was refused comes back.
func retryAfter(err error) time.Duration {
	if failed, ok := errors.AsType[*route.Error](err); ok {
		return max(time.Second, failed.RetryAfter)
	}
	return time.Second
}
