package reconcile

import (
	"log/slog"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"

	"github.com/wasmesh/wasmesh/controller/decide"
	syncserver "github.com/wasmesh/wasmesh/controller/sync"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// policing is a status policy of the test's own. Its fields are changed only while the loop waits.
type policing struct {
	changed      chan struct{}
	state        policyabi.ModelState
	version      uint64
	events       []decide.Event
	annotations  map[decide.Key]string
	declared     []*corev1.ConfigMap
	contradicted []string
}

func (p *policing) Declare(all []*corev1.ConfigMap)    { p.declared = all }
func (p *policing) Changed() <-chan struct{}           { return p.changed }
func (p *policing) Annotations() map[decide.Key]string { return p.annotations }
func (p *policing) StatusVersion() uint64              { return p.version }
func (p *policing) Status(r *policyabi.StatusRequest) policyabi.StatusAnswer {
	return policyabi.StatusAnswer{Transition: r.Context.Transition, ActiveState: p.state, Ready: 1}
}

func (p *policing) Contradicted(all []decide.Contradiction) {
	for _, c := range all {
		p.contradicted = append(p.contradicted, c.Rule)
	}
}

func (p *policing) TakeEvents() []decide.Event {
	events := p.events
	p.events = nil
	return events
}

// A change of policies alone has all statuses decided again, and operators see what became of the ConfigMap.
func TestPoliciesAreInputs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &policing{changed: make(chan struct{}, 1), state: policyabi.ModelStateLoaded}
		b := &bench{
			t: t, changed: make(chan struct{}, 1),
			mesh: syncserver.New(syncserver.Config{Term: 1, Logger: slog.New(slog.DiscardHandler)}),
		}
		b.declare("a")
		snapshot := *b.Snapshot()
		snapshot.ConfigMaps = []*corev1.ConfigMap{{}}
		b.snapshot.Store(&snapshot)
		b.loop = New(Config{Source: b, Mesh: b.mesh, Store: b, Policies: p, Logger: slog.New(slog.DiscardHandler)})
		stop := b.run()
		defer stop()
		state := func() v1beta1.ModelState {
			view, _ := b.loop.View()
			return view.Objects.InferenceServices[0].Status.ModelStatus.ModelRevisionStates.ActiveModelState
		}
		if len(p.declared) != 1 || state() != v1beta1.Loaded || len(p.contradicted) != 0 {
			t.Errorf("at first: %d ConfigMaps, state %s, contradictions %v", len(p.declared), state(), p.contradicted)
		}
		later(10 * passInterval) // Every signal from before has had its pass: only Changed makes the next one.
		configMap := decide.Key{Namespace: "default", Kind: "ConfigMap", Name: "p"}
		p.state, p.version = policyabi.ModelStateFailedToLoad, 1
		p.events = []decide.Event{{Object: configMap, Type: "Normal", Reason: "PolicyProgrammed"}}
		p.annotations = map[decide.Key]string{configMap: "status: programmed 1/1"}
		p.changed <- struct{}{}
		later(passInterval)
		if state() != v1beta1.FailedToLoad || len(p.contradicted) == 0 {
			t.Errorf("after the change: state %s, contradictions %v", state(), p.contradicted)
		}
		if events := b.loop.Events(configMap); len(events) != 1 || events[0].Reason != "PolicyProgrammed" {
			t.Errorf("events %v", events)
		}
		if view, _ := b.loop.View(); view.Annotations[configMap] != "status: programmed 1/1" {
			t.Errorf("annotations %v", view.Annotations)
		}
	})
}
