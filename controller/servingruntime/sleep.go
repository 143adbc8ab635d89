package servingruntime

import (
	"context"
	"fmt"
	"maps"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/controller/decide"
)

// Sleep is which runtimes sleep: they have no pods since nobody used them, or have just been woken, and the gateway holds
// requests until they have. The reconcilers write it, the Loop reads it, as reconcile.Sleep.
type Sleep struct {
	changed chan struct{}

	mu sync.Mutex // guards below
	// asleep is replaced, never changed.
	asleep map[decide.Key]bool
}

// NewSleep makes one in which all are awake.
func NewSleep() *Sleep {
	return &Sleep{changed: make(chan struct{}, 1), asleep: map[decide.Key]bool{}}
}

// Asleep is decide.Input.Asleep. The answer never changes.
func (s *Sleep) Asleep() map[decide.Key]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asleep
}

// Changed receives after the answer of Asleep has changed. One reader.
func (s *Sleep) Changed() <-chan struct{} { return s.changed }

// Restore takes the Deployments that have no pods for those of runtimes that sleep, until the reconcilers have looked: a
// leader that is new must not mourn models whose runtimes were put to sleep before its time. It may be called before the
// first View is there. onIdle is whether runtimes sleep at all, by the settings.
func (s *Sleep) Restore(ctx context.Context, cached client.Reader, meshes []string, onIdle bool) error {
	asleep := map[decide.Key]bool{}
	if !onIdle {
		meshes = nil
	}
	for _, mesh := range meshes {
		all := &appsv1.DeploymentList{}
		if err := cached.List(ctx, all, client.InNamespace(mesh)); err != nil {
			return fmt.Errorf("read the Deployments of namespace %s: %w", mesh, err)
		}
		for i := range all.Items {
			d := &all.Items[i]
			for _, request := range ofRuntime(ctx, d) {
				if podsOf(d) == 0 {
					asleep[sleeper(request.NamespacedName)] = true
				}
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asleep = asleep
	return nil
}

// set says of one runtime whether it sleeps.
func (s *Sleep) set(runtime types.NamespacedName, asleep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sleeper(runtime)
	if s.asleep[key] == asleep {
		return
	}
	s.asleep = maps.Clone(s.asleep)
	if asleep {
		s.asleep[key] = true
	} else {
		delete(s.asleep, key)
	}
	select {
	case s.changed <- struct{}{}:
	default: // It is still to be read.
	}
}

func sleeper(runtime types.NamespacedName) decide.Key {
	return decide.Key{Namespace: runtime.Namespace, Name: runtime.Name}
}
