package mesh

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func placedOn(host string) func(*peerv1.PlaceRequest) (*peerv1.PlaceResponse, error) {
	return func(*peerv1.PlaceRequest) (*peerv1.PlaceResponse, error) {
		return &peerv1.PlaceResponse{Result: &peerv1.PlaceResponse_Placed{Placed: &peerv1.Placed{HostId: host}}}, nil
	}
}

func unplacedFor(reason peerv1.UnplacedReason) func(*peerv1.PlaceRequest) (*peerv1.PlaceResponse, error) {
	return func(*peerv1.PlaceRequest) (*peerv1.PlaceResponse, error) {
		return &peerv1.PlaceResponse{Result: &peerv1.PlaceResponse_Unplaced{Unplaced: &peerv1.Unplaced{Reason: reason, Message: "because"}}}, nil
	}
}

// An arbiter that hangs, fails, is none or is behind with the catalog is passed over for the next, who hears of that; what
// one decides counts.
func TestArbitersThatDoNotDecideArePassedOver(t *testing.T) {
	for name, first := range map[string]func(*peerv1.PlaceRequest) (*peerv1.PlaceResponse, error){
		"hangs":       nil,
		"fails":       func(*peerv1.PlaceRequest) (*peerv1.PlaceResponse, error) { return nil, errors.New("broken") },
		"not arbiter": unplacedFor(peerv1.UnplacedReason_UNPLACED_REASON_NOT_ARBITER),
		"stale":       unplacedFor(peerv1.UnplacedReason_UNPLACED_REASON_STALE),
		"empty":       func(*peerv1.PlaceRequest) (*peerv1.PlaceResponse, error) { return &peerv1.PlaceResponse{}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOthers("self", "a", "b")
				m := newMesh(t, o, func(c *Config) { c.Gateway = true })
				o.view.Self().Gateway = true
				order := o.arbiters(m, "m")
				var passed []string
				o.place[order[0]] = first
				o.place[order[1]] = func(request *peerv1.PlaceRequest) (*peerv1.PlaceResponse, error) {
					passed = request.GetPassedOver()
					return placedOn("b")(request)
				}
				started := time.Now()
				result, err := m.asks.place(t.Context(), question{row: row("m"), purpose: policyabi.PurposeMiss})
				if err != nil || result.Placed == nil || result.Placed.Host != "b" {
					t.Fatalf("%+v, %v", result, err)
				}
				if !reflect.DeepEqual(passed, order[:1]) {
					t.Errorf("the second heard that %v were passed over, not %v", passed, order[:1])
				}
				if took := time.Since(started); took > placeTimeout {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// A refusal is a decision: nobody else is asked for a kinder one.
func TestARefusalStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOthers("self", "a", "b")
		m := newMesh(t, o, func(c *Config) { c.Gateway = true })
		o.view.Self().Gateway = true
		order := o.arbiters(m, "m")
		o.place[order[0]] = unplacedFor(peerv1.UnplacedReason_UNPLACED_REASON_CANNOT_FIT)
		o.place[order[1]] = placedOn("b")
		result, err := m.asks.place(t.Context(), question{row: row("m"), purpose: policyabi.PurposeMiss})
		if err != nil || result.Unplaced == nil || result.Unplaced.Reason != peerv1.UnplacedReason_UNPLACED_REASON_CANNOT_FIT {
			t.Errorf("%+v, %v", result, err)
		}
	})
}

// While nobody decides yet, they are asked again, at once when somebody has come who does.
func TestAsksWaitForAnArbiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOthers("self", "a")
		m := newMesh(t, o, func(c *Config) { c.Gateway = true })
		o.view.Self().Gateway = true
		m.MembersChanged(o.View())
		o.place["a"] = unplacedFor(peerv1.UnplacedReason_UNPLACED_REASON_NOT_ARBITER)
		o.place["b"] = placedOn("b")
		go func() {
			time.Sleep(3*askAgain + askAgain/2)
			view := o.see("self", "b")
			view.Self().Gateway = true
			m.MembersChanged(view)
		}()
		started := time.Now()
		result, err := m.asks.place(t.Context(), question{row: row("m"), purpose: policyabi.PurposeMiss})
		if err != nil || result.Placed == nil || result.Placed.Host != "b" {
			t.Fatalf("%+v, %v", result, err)
		}
		if took := time.Since(started); took != 3*askAgain+askAgain/2 {
			t.Errorf("took %v", took)
		}
	})
}

// All requests of a host for one model are one question; one that excludes other hosts is another. Who gives up does not
// end it for the rest.
func TestEqualQuestionsAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOthers("self", "a")
		m := newMesh(t, o, func(c *Config) { c.Gateway = true })
		o.view.Self().Gateway = true
		var mu sync.Mutex
		asked := 0
		o.place["a"] = func(request *peerv1.PlaceRequest) (*peerv1.PlaceResponse, error) {
			mu.Lock()
			asked++
			mu.Unlock()
			time.Sleep(time.Second)
			return placedOn("a")(request)
		}
		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := m.asks.place(impatient, question{row: row("m"), purpose: policyabi.PurposeMiss}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who gave up got %v", err)
			}
		})
		for range 100 {
			for _, exclude := range [][]string{{"x", "y"}, {"y", "x"}, nil} {
				wg.Go(func() {
					result, err := m.asks.place(t.Context(), question{row: row("m"), purpose: policyabi.PurposeMiss, exclude: exclude})
					if err != nil || result.Placed == nil {
						t.Errorf("%+v, %v", result, err)
					}
				})
			}
		}
		wg.Wait()
		if asked != 2 {
			t.Errorf("%d questions", asked)
		}
		if len(m.asks.flying) != 0 {
			t.Errorf("still asking %v", m.asks.flying)
		}
	})
}

// Without a host that could hold the model nobody is asked.
func TestNoHostForAModel(t *testing.T) {
	o := newOthers("self")
	m := newMesh(t, o, func(c *Config) { c.Gateway = true })
	o.view = members.NewView("self", []members.Member{{ID: "self", Live: true, Gateway: true}})
	result, err := m.asks.place(t.Context(), question{row: row("m"), purpose: policyabi.PurposeMiss})
	if err != nil || result.Unplaced == nil || result.Unplaced.Reason != peerv1.UnplacedReason_UNPLACED_REASON_NO_HOST {
		t.Errorf("%+v, %v", result, err)
	}
}

// A host that does not know yet what others hold, or knows an older catalog, does not decide.
func TestWhoDecides(t *testing.T) {
	o := newOthers("self")
	m := newMesh(t, o)
	reason := func(request *peerv1.PlaceRequest) peerv1.UnplacedReason {
		t.Helper()
		response, err := m.Place(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		return response.GetUnplaced().GetReason()
	}
	if got := reason(&peerv1.PlaceRequest{ModelId: "m"}); got != peerv1.UnplacedReason_UNPLACED_REASON_NOT_ARBITER {
		t.Errorf("before it knows: %v", got)
	}
	m.arbiter.ready.Store(true)
	version := m.deps.Catalog.Table().Version()
	newer := &syncv1.Version{Term: version.GetTerm(), Sequence: version.GetSequence() + 1}
	if got := reason(&peerv1.PlaceRequest{ModelId: "m", CatalogVersion: newer}); got != peerv1.UnplacedReason_UNPLACED_REASON_STALE {
		t.Errorf("asked by who has a newer catalog: %v", got)
	}
	if got := reason(&peerv1.PlaceRequest{ModelId: "unheard of"}); got != peerv1.UnplacedReason_UNPLACED_REASON_STALE {
		t.Errorf("of a model that it does not know: %v", got)
	}
}
