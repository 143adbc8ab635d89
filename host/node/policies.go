package node

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wasmesh/wasmesh/host/catalog"
	"github.com/wasmesh/wasmesh/host/eviction"
	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/placement"
	"github.com/wasmesh/wasmesh/host/policies"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/hook"
)

// warmingFor is how long a host counts as having just come.
const warmingFor = time.Minute

// buildPolicies makes the engine and the hooks. Compiled modules are kept, so that a restart is quick; a directory that
// cannot be used for that costs time and nothing else.
func (n *node) buildPolicies(reporter *catalog.Reporter, registry *prometheus.Registry) (err error) {
	config := engine.Config{CacheDir: filepath.Join(n.config.StateDir, "policy-cache"), Logger: n.logger}
	if n.engine, err = engine.New(config); err != nil {
		n.logger.Warn("compiled policies are not kept for the next start", "error", err)
		config.CacheDir = ""
		if n.engine, err = engine.New(config); err != nil {
			return err
		}
	}
	set := policies.Config{
		StateDir: n.config.StateDir, HostID: n.config.HostID, Engine: n.engine, Publisher: reporter, Logger: n.logger, Metrics: registry,
	}
	if n.conn != nil {
		set.Blobs = syncv1.NewSyncServiceClient(n.conn)
	}
	if n.policies, err = policies.New(set); err != nil {
		return err
	}
	n.decider = &decider{
		host: n.config.HostID, runtime: n.config.ServingRuntime, started: time.Now(), place: n.policies.Place, evict: n.policies.Evict,
		builtIn: builtin.Default(policyabi.HookEvict), logger: n.logger, placing: make(map[string]placing),
	}
	return nil
}

// decider asks this host's hooks and tells them what came of it. All of its methods are called on the executor's goroutine.
type decider struct {
	host, runtime string
	started       time.Time
	place, evict  *hook.Hook
	// builtIn is the evict hook's own policy.
	builtIn builtin.Policy
	logger  *slog.Logger
	// placing is the decision on each model that is on its way here since a request missed it; as many as there are such
	// models.
	placing map[string]placing
	// request is reused from ranking to ranking.
	request policyabi.EvictRequest
	// crowded: the last ranking did not fit into a request.
	crowded bool
}

type placing struct {
	decision uint64
	hits     []placement.Rule
}

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

// Missed has the place hook say where the model should be loaded. This host is the only candidate as long as hosts do not
// ask each other, and the load goes ahead whatever the answer is: a request waits for it.
func (d *decider) Missed(missed machine.Missed) {
	now := time.Now()
	model := placement.Model{
		ID: missed.Model.GetId(), Key: missed.Key, Need: missed.Need, Declared: missed.Declared,
		Keep:     modelcache.Keep{Pinned: missed.Model.GetKnobs().GetPinned(), Priority: missed.Model.GetKnobs().GetPriority()},
		LastUsed: missed.LastUsed, Rate: missed.Rate, RateRecent: missed.RateRecent, LoadCost: missed.LoadCost,
		Purpose: policyabi.PurposeMiss,
	}
	hosts := []placement.Host{d.here(now, missed)}
	answer := d.place.Place(placement.Ask(now, d.host, model, hosts), hook.About{Model: model.ID})
	choice := placement.Choose(model, hosts, answer.Answers)
	for _, rule := range choice.Hits {
		d.place.Envelope(answer.Decision, string(rule))
	}
	d.logger.Debug("placing model", "model", model.ID, "decision", answer.Decision, "candidates", len(choice.Candidates), "limits", choice.Hits)
	d.placing[model.ID] = placing{decision: answer.Decision, hits: choice.Hits}
	d.note(model.ID, "loading on "+d.host)
}

// here is this host as a candidate.
func (d *decider) here(now time.Time, missed machine.Missed) placement.Host {
	f := missed.Here
	return placement.Host{
		ID: d.host, Free: f.Free, Capacity: f.Memory.Capacity, Reclaim: f.Worth.Reclaim, Oldest: f.Memory.Oldest, Started: d.started,
		LoadsQueued: f.Models.Queued, LoadsRunning: f.Models.Running, InFlight: f.Memory.InFlight, Copies: f.Memory.Copies,
		Rate: f.Worth.Rate, Warming: now.Sub(d.started) < warmingFor,
		Preferred: slices.Index(missed.Model.GetRuntimes(), d.runtime) == 0,
	}
}

// note says what has become of a model's placement, limits included: a later note replaces an earlier one.
func (d *decider) note(modelID, effect string) {
	p := d.placing[modelID]
	for _, rule := range p.hits {
		effect += "; limit: " + string(rule)
	}
	d.place.Note(p.decision, effect, nil)
}

// Ended implements lifecycle.Policies.
func (d *decider) Ended(modelID string, state machine.State, failure *machine.Failure) {
	if _, ours := d.placing[modelID]; !ours {
		return
	}
	switch {
	case state == machine.Loaded:
		d.note(modelID, "loaded on "+d.host)
	case state == machine.Failed && failure != nil:
		d.note(modelID, fmt.Sprintf("failed to load on %s (attempt %d): %s", d.host, failure.Attempts, failure.Message))
	default:
		d.note(modelID, "not loaded on "+d.host+": it was removed, or nobody waited for it any more")
	}
	delete(d.placing, modelID)
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
