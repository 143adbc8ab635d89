package node

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/wasmesh/wasmesh/host/eviction"
	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/mesh"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/placement"
	"github.com/wasmesh/wasmesh/host/policies"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/hook"
)

// buildPolicies makes the engine and the hooks. Compiled modules are kept, so that a restart is quick; a directory that
// cannot be used for that costs time and nothing else.
func (n *node) buildPolicies() (err error) {
	config := engine.Config{CacheDir: filepath.Join(n.config.StateDir, "policy-cache"), Logger: n.logger}
	if n.engine, err = engine.New(config); err != nil {
		n.logger.Warn("compiled policies are not kept for the next start", "error", err)
		config.CacheDir = ""
		if n.engine, err = engine.New(config); err != nil {
			return err
		}
	}
	set := policies.Config{
		StateDir: n.config.StateDir, HostID: n.config.HostID, Engine: n.engine, Publisher: n.reporter, Logger: n.logger, Metrics: n.registry,
	}
	if n.conn != nil {
		set.Blobs = syncv1.NewSyncServiceClient(n.conn)
	}
	if !n.config.Alone() {
		set.Blobs = &blobs{controller: set.Blobs, peers: func() mesh.Peers { return n.peers }}
	}
	if n.policies, err = policies.New(set); err != nil {
		return err
	}
	n.decider = &decider{
		host: n.config.HostID, place: n.policies.Place, evict: n.policies.Evict,
		builtIn: builtin.Default(policyabi.HookEvict), logger: n.logger, limited: make(map[uint64][]placement.Rule),
	}
	return nil
}

// decider asks this host's hooks and tells them what came of it. order and Decided are called on the executor's goroutine,
// where and notePlaced on the arbiter's.
type decider struct {
	host         string
	place, evict *hook.Hook
	// builtIn is the evict hook's own policy.
	builtIn builtin.Policy
	logger  *slog.Logger
	// request is reused from ranking to ranking.
	request policyabi.EvictRequest
	// crowded: the last ranking did not fit into a request.
	crowded bool
	// limited are the rules that recent placements ran into, by decision: a later note replaces an earlier one, and they
	// are to stay. The arbiter's goroutine's alone.
	limited map[uint64][]placement.Rule
}

// maxLimited bounds limited; what was placed so many limited decisions ago has come to rest.
const maxLimited = 1024

// order asks the evict hook; it is machine.Config.Order. More copies than a module takes in one request, some 25,000, are a
// matter for the built-in policy. Those decisions are not recorded: new modules are tried on what is.
func (d *decider) order(r modelcache.Ranking) ([]modelcache.Ranked, uint64) {
	eviction.Ask(&d.request, r)
	if !eviction.Fits(&d.request) {
		if !d.crowded {
			d.logger.Warn("more copies than a policy can be asked about: the built-in policy decides, and nothing is recorded",
				"copies", len(r.Copies), "bytes", d.request.Size(), "limit", policyabi.MaxRequestBytes)
		}
		d.crowded = true
		answers, err := eviction.Decide(&d.request, d.builtIn.Decide)
		if err != nil {
			d.logger.Error("the built-in policy broke a rule of the ABI", "error", err)
		}
		return eviction.Ranked(r, answers), 0
	}
	d.crowded = false
	answer := d.evict.Evict(&d.request, hook.About{
		Model: r.Incoming.Model, Passing: r.Incoming.Purpose == modelcache.Worth,
	})
	return eviction.Ranked(r, answer.Answers), answer.Decision
}

// where has the place hook rank hosts for a model, and keeps to what they are able to; it is what mesh.Deps.Place wants.
func (d *decider) where(now time.Time, model placement.Model, hosts []placement.Host) placement.Decision {
	answer := d.place.Place(placement.Ask(now, model.Asker, model, hosts), hook.About{Model: model.ID})
	choice := placement.Choose(model, hosts, answer.Answers)
	for _, rule := range choice.Hits {
		d.place.Envelope(answer.Decision, string(rule))
	}
	if len(choice.Hits) > 0 && answer.Decision != 0 {
		if len(d.limited) == maxLimited {
			clear(d.limited)
		}
		d.limited[answer.Decision] = choice.Hits
	}
	d.logger.Debug("placing model", "model", model.ID, "decision", answer.Decision, "candidates", len(choice.Candidates), "limits", choice.Hits)
	return placement.Decision{Choice: choice, ID: answer.Decision}
}

// notePlaced says what has become of a model's placement, limits included; it is what mesh.Deps.Note wants.
func (d *decider) notePlaced(decision uint64, effect string) {
	for _, rule := range d.limited[decision] {
		effect += "; limit: " + string(rule)
	}
	d.place.Note(decision, effect, nil)
}

// Decided implements lifecycle.Policies.
func (d *decider) Decided(decided machine.Decided) {
	effect := fmt.Sprintf("evicted %s on %s to make room for %s", strings.Join(decided.Victims, ", "), d.host, decided.Model)
	if len(decided.Victims) == 0 {
		effect = fmt.Sprintf("evicted nothing on %s for %s: a request came for what was to go", d.host, decided.Model)
	}
	d.evict.Note(decided.Decision, effect, decided.Victims)
	for _, limit := range decided.Limits {
		d.evict.Envelope(decided.Decision, string(limit))
	}
}
