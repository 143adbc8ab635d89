package metrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/hook"
)

// scrape answers values by series; of histograms the counts.
func scrape(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, label := range m.GetLabel() {
				labels = append(labels, label.GetValue())
			}
			values[strings.TrimPrefix(family.GetName(), "wasmesh_policy_")+" "+strings.Join(labels, " ")] =
				m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}

func TestObserver(t *testing.T) {
	registry := prometheus.NewRegistry()
	s, err := New(registry)
	if err != nil {
		t.Fatal(err)
	}
	o := s.Observer(policyabi.HookPlace)
	o.Decided(syncv1.DecisionOutcome_DECISION_OUTCOME_ANSWERED, time.Millisecond, 400)
	o.Decided(syncv1.DecisionOutcome_DECISION_OUTCOME_OUT_OF_FUEL, time.Millisecond, 4000)
	o.Decided(syncv1.DecisionOutcome_DECISION_OUTCOME_BUILT_IN, time.Microsecond, 0)
	for _, event := range []hook.Event{hook.ShadowCompared, hook.ShadowDiffered, hook.ShadowDropped, hook.Impure, hook.Unrecorded} {
		o.Count(event, "")
	}
	o.Count(hook.Event(99), "unknown")
	got := scrape(t, registry)
	for series, want := range map[string]float64{
		"decisions_total place answered": 1, "decisions_total place out_of_fuel": 1, "decisions_total place built_in": 1,
		"decisions_total place trapped": 0, "decision_seconds place": 3, "fuel place": 2, "shadow_compared_total place": 1,
		"shadow_differed_total place": 1, "shadow_dropped_total place": 1, "impure_total place": 1, "unrecorded_total place": 1,
	} {
		if value, ok := got[series]; !ok || value != want {
			t.Errorf("%s = %v, %v; want %v", series, value, ok, want)
		}
	}
}

func TestLabelsAreBounded(t *testing.T) {
	registry := prometheus.NewRegistry()
	s, err := New(registry)
	if err != nil {
		t.Fatal(err)
	}
	o := s.Observer(policyabi.HookEvict)
	for i := range 10 * maxRules {
		o.Count(hook.EnvelopeHit, fmt.Sprintf("rule-%d", i))
		s.Decides(policyabi.HookEvict, "policy", fmt.Sprintf("generation-%d", i))
	}
	s.Decides(policyabi.HookPlace, "balanced", "built-in")
	rules, generations := 0, 0
	got := scrape(t, registry)
	for series := range got {
		if strings.HasPrefix(series, "envelope_hits_total") {
			rules++
		}
		if strings.HasPrefix(series, "generation_info") {
			generations++
		}
	}
	if rules != maxRules+1 || got["envelope_hits_total evict other"] != 9*maxRules || got["envelope_hits_total evict rule-3"] != 1 {
		t.Errorf("%d rules, %v", rules, got)
	}
	if generations != 2 {
		t.Errorf("%d generations are said to decide two hooks", generations)
	}
}

func TestRegisteringTwiceIsAnError(t *testing.T) {
	registry := prometheus.NewRegistry()
	if _, err := New(registry); err != nil {
		t.Fatal(err)
	}
	if _, err := New(registry); err == nil {
		t.Error("registered twice without an error")
	}
}
