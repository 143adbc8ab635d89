package servingruntime

import (
	"reflect"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/wasmesh/wasmesh/controller/decide"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// wantAsleep compares, and says whether Changed had something to tell.
func wantAsleep(t *testing.T, s *Sleep, changed bool, want ...decide.Key) {
	t.Helper()
	all := map[decide.Key]bool{}
	for _, key := range want {
		all[key] = true
	}
	if got := s.Asleep(); !reflect.DeepEqual(got, all) {
		t.Errorf("asleep %v, want %v", got, all)
	}
	select {
	case <-s.Changed():
		if !changed {
			t.Error("a change is told that was none")
		}
	default:
		if changed {
			t.Error("a change is not told")
		}
	}
}

func TestSleepTellsOfChanges(t *testing.T) {
	s := NewSleep()
	a, b := types.NamespacedName{Namespace: "ns", Name: "a"}, types.NamespacedName{Namespace: "ns", Name: "b"}
	wantAsleep(t, s, false)
	s.set(a, false)
	wantAsleep(t, s, false)
	s.set(a, true)
	before := s.Asleep()
	wantAsleep(t, s, true, sleeper(a))
	s.set(a, true)
	wantAsleep(t, s, false, sleeper(a))
	s.set(b, true)
	s.set(a, false) // Both are read at once.
	wantAsleep(t, s, true, sleeper(b))
	if !reflect.DeepEqual(before, map[decide.Key]bool{sleeper(a): true}) {
		t.Errorf("an answer that was given became %v", before)
	}
}

// A controller that starts anew takes what has no pods for asleep before anybody has looked, where runtimes sleep at all.
func TestRestoreSleep(t *testing.T) {
	b := newBench(t)
	b.config.ScaleToZero.OnIdle = true
	b.runtime("idle", "sklearn")
	b.runtime("used", "onnx")
	b.model("n", "onnx")
	b.round()
	b.wantPods("idle", 0)
	b.wantPods("used", 2)
	for name, test := range map[string]struct {
		meshes []string
		onIdle bool
		want   []decide.Key
	}{
		"with onIdle":    {[]string{b.namespace}, true, []decide.Key{{Namespace: b.namespace, Name: "idle"}}},
		"without onIdle": {[]string{b.namespace}, false, nil},
		"another mesh":   {[]string{b.namespace + "-other"}, true, nil},
		"no mesh":        {nil, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewSleep()
			if err := s.Restore(t.Context(), b.client, test.meshes, test.onIdle); err != nil {
				t.Fatal(err)
			}
			wantAsleep(t, s, false, test.want...)
		})
	}
}

// Of a runtime that falls asleep, wakes and goes, the Loop hears in time.
func TestReconcilersTellWhoSleeps(t *testing.T) {
	b := newBench(t)
	key := decide.Key{Namespace: b.namespace, Name: "a"}
	b.config.ScaleToZero.OnIdle = true
	b.runtime("a", "sklearn")
	b.model("m", "sklearn")
	b.round()
	b.host("a", &syncv1.Copy{ModelId: "m", State: syncv1.CopyState_COPY_STATE_LOADED})
	b.round()
	wantAsleep(t, b.sleep, false)
	b.pass(2 * time.Minute)
	b.wantPods("a", 0)
	wantAsleep(t, b.sleep, true, key)

	b.hosts = []decide.Host{{
		Hello: &syncv1.Hello{Namespace: b.namespace, HostId: "gateway", Gateway: true}, Connected: true, Complete: true,
		Demands: []*syncv1.Demand{{Runtime: "a", Waiting: 1}},
	}}
	b.round()
	b.wantPods("a", 2)
	wantAsleep(t, b.sleep, false, key)
	b.pass(wakeAllowance)
	wantAsleep(t, b.sleep, true)

	b.hosts = nil
	b.pass(time.Hour)
	b.host("a")
	b.pass(time.Hour)
	wantAsleep(t, b.sleep, true, key)
	b.isMesh = false
	b.round()
	wantAsleep(t, b.sleep, true)
}
