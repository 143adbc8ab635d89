// Package metrics counts what policy hooks do, for Prometheus. A host makes one Set for its hooks, and so does the
// controller. Every label has a bound: hooks, outcomes and limits are few words, and a generation's series goes when
// another decides.
package metrics

import (
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/hook"
)

// maxRules is how many limits are told apart; what comes after counts as "other".
const maxRules = 16

// Set is the metrics of all hooks of one process.
type Set struct {
	decisions  *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
	fuel       *prometheus.HistogramVec
	events     map[hook.Event]*prometheus.CounterVec
	envelope   *prometheus.CounterVec
	generation *prometheus.GaugeVec
}

// New registers the metrics.
func New(registry prometheus.Registerer) (*Set, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wasmesh_policy_" + name, Help: help}, append([]string{"hook"}, labels...))
	}
	s := &Set{
		decisions: counter("decisions_total", "Decisions, by what became of the policy's answer.", "outcome"),
		envelope:  counter("envelope_hits_total", "Answers that limits of the host forbade, in part or whole.", "rule"),
		events: map[hook.Event]*prometheus.CounterVec{
			hook.ShadowCompared: counter("shadow_compared_total", "Decisions that a shadow was asked about as well."),
			hook.ShadowDiffered: counter("shadow_differed_total", "Of these, those that the shadow would have taken otherwise."),
			hook.ShadowDropped:  counter("shadow_dropped_total", "Decisions that the shadow was not asked about, as it did not keep up."),
			hook.Impure:         counter("impure_total", "Decisions that came out otherwise when asked again."),
			hook.Unrecorded:     counter("unrecorded_total", "Decisions that the recorder had no room for."),
		},
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "wasmesh_policy_decision_seconds", Help: "Time of one decision, encoding and recording included.",
			Buckets: prometheus.ExponentialBuckets(1e-6, 4, 10), // 1 us to 0.26 s
		}, []string{"hook"}),
		fuel: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "wasmesh_policy_fuel", Help: "Fuel of one decision by a module: executed instructions.",
			Buckets: prometheus.ExponentialBuckets(1e3, 4, 10), // 1 thousand to 262 million
		}, []string{"hook"}),
		generation: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "wasmesh_policy_generation_info", Help: "1 for what decides now.",
		}, []string{"hook", "policy", "generation"}),
	}
	collectors := []prometheus.Collector{s.decisions, s.envelope, s.seconds, s.fuel, s.generation}
	for _, vec := range s.events {
		collectors = append(collectors, vec)
	}
	for _, c := range collectors {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Observer answers the observer of one hook.
func (s *Set) Observer(of policyabi.Hook) hook.Observer {
	name := of.String()
	o := &observer{
		decisions: make([]prometheus.Counter, len(syncv1.DecisionOutcome_name)),
		seconds:   s.seconds.WithLabelValues(name), fuel: s.fuel.WithLabelValues(name),
		events:   make(map[hook.Event]prometheus.Counter, len(s.events)),
		envelope: s.envelope.MustCurryWith(prometheus.Labels{"hook": name}),
		rules:    make(map[string]prometheus.Counter),
	}
	for outcome := range o.decisions {
		o.decisions[outcome] = s.decisions.WithLabelValues(name, Outcome(syncv1.DecisionOutcome(outcome)))
	}
	for event, vec := range s.events {
		o.events[event] = vec.WithLabelValues(name)
	}
	return o
}

// Outcome is the word of an outcome in labels and tables: "answered", "out_of_fuel".
func Outcome(outcome syncv1.DecisionOutcome) string {
	return strings.ToLower(strings.TrimPrefix(outcome.String(), "DECISION_OUTCOME_"))
}

// Decides says what decides a hook now; a built-in policy's generation is "built-in".
func (s *Set) Decides(of policyabi.Hook, policy, generation string) {
	s.generation.DeletePartialMatch(prometheus.Labels{"hook": of.String()})
	s.generation.WithLabelValues(of.String(), policy, generation).Set(1)
}

// observer is one hook's. Counters are looked up once: a decision takes microseconds.
type observer struct {
	decisions     []prometheus.Counter // by outcome
	seconds, fuel prometheus.Observer
	events        map[hook.Event]prometheus.Counter
	envelope      *prometheus.CounterVec

	mu    sync.Mutex // guards rules
	rules map[string]prometheus.Counter
}

// Decided implements hook.Observer.
func (o *observer) Decided(outcome syncv1.DecisionOutcome, took time.Duration, fuel uint64) {
	o.decisions[outcome].Inc()
	o.seconds.Observe(took.Seconds())
	if fuel > 0 {
		o.fuel.Observe(float64(fuel))
	}
}

// Count implements hook.Observer.
func (o *observer) Count(event hook.Event, detail string) {
	if event == hook.EnvelopeHit {
		o.rule(detail).Inc()
		return
	}
	if counter, ok := o.events[event]; ok {
		counter.Inc()
	}
}

func (o *observer) rule(name string) prometheus.Counter {
	o.mu.Lock()
	defer o.mu.Unlock()
	if counter, ok := o.rules[name]; ok {
		return counter
	}
	if len(o.rules) >= maxRules {
		return o.envelope.WithLabelValues("other")
	}
	counter := o.envelope.WithLabelValues(name)
	o.rules[name] = counter
	return counter
}
