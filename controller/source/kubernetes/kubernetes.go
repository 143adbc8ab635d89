// Package kubernetes makes Snapshots of the objects of an API server, as informers hold them: the source of a controller
// in a cluster. It owns which namespaces have a mesh, what of an object matters to decisions, and the configuration in
// force. Package cluster runs it; the loop reads Snapshots, everybody else Config and Meshes.
//
// Invariants:
//   - Nothing is asked of the API server: informers say what there is, and a Snapshot is made of what they said when
//     somebody asks for one. However many events there are, nothing piles up.
//   - Objects of the cache are shared and never written. A Snapshot has shallow copies, and one that has not changed in
//     anything that decisions are made of stays the same pointer, whatever is written to its status.
//   - A configuration that cannot be followed changes nothing: the last good one stays, and its ConfigMap has an Event.
package kubernetes

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/controller/config"
	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/source"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// LabelEnabled of a Namespace says with "true" that it has a mesh; with any other value that the controller's own has none.
const LabelEnabled = "modelmesh-enabled"

// Recorder takes Events; it must not block.
type Recorder interface{ Record(decide.Event) }

// Options of a Source.
type Options struct {
	// Namespace of the controller, which has the configuration and the policies.
	Namespace string
	// NamespaceScope: no other namespace is looked at.
	NamespaceScope bool
	// Kinds to watch; one that the API server does not have would never be there.
	Kinds Kinds
	// ConfigMap is the name of the configuration's, and Defaults the YAML that it stands over.
	ConfigMap string
	Defaults  []byte
	// Config is followed until the ConfigMap has been read and can be. ConfigText is what Source.ConfigText answers as long.
	Config     config.Config
	ConfigText string
	// Recorder is told when the configuration cannot be followed; nil for nobody.
	Recorder Recorder
	Logger   *slog.Logger
}

// Source follows informers. Its methods may be called from any goroutine.
type Source struct {
	options Options
	// changed is read by the loop.
	changed chan struct{}
	// registrations tell when everything that there was at start has been seen.
	registrations []toolscache.ResourceEventHandlerRegistration

	mu sync.Mutex
	// stale: the snapshot is older than what informers have said.
	stale    bool
	snapshot *source.Snapshot

	namespaces             *table[*corev1.Namespace]
	inferenceServices      *table[*v1beta1.InferenceService]
	predictors             *table[*v1alpha1.Predictor]
	legacyPredictors       *table[*v1alpha1.Predictor]
	servingRuntimes        *table[*v1alpha1.ServingRuntime]
	clusterServingRuntimes *table[*v1alpha1.ClusterServingRuntime]
	secrets                *table[*corev1.Secret]
	configMaps             *table[*corev1.ConfigMap]
	configuration          configuration
}

// New registers with the informers of a cache, which CacheOptions were given to. WaitForSync tells when they are read.
func New(ctx context.Context, informers cache.Informers, options Options) (*Source, error) {
	s := &Source{options: options, changed: make(chan struct{}, 1), stale: true}
	s.configuration = configuration{config: options.Config, text: options.ConfigText}
	if err := s.watch(ctx, informers); err != nil {
		return nil, fmt.Errorf("watch the API server: %w", err)
	}
	return s, nil
}

// WaitForSync returns once everything that there was at start is in the Snapshot.
func (s *Source) WaitForSync(ctx context.Context) error {
	synced := make([]toolscache.InformerSynced, 0, len(s.registrations))
	for _, r := range s.registrations {
		synced = append(synced, r.HasSynced)
	}
	if !toolscache.WaitForCacheSync(ctx.Done(), synced...) {
		return fmt.Errorf("read the objects of the API server: %w", context.Cause(ctx))
	}
	return nil
}

// Synced says that WaitForSync would not wait.
func (s *Source) Synced() bool {
	return !slices.ContainsFunc(s.registrations, func(r toolscache.ResourceEventHandlerRegistration) bool { return !r.HasSynced() })
}

// Changed receives after one or more changes. One reader.
func (s *Source) Changed() <-chan struct{} { return s.changed }

// Snapshot returns the newest; never nil.
func (s *Source) Snapshot() *source.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stale {
		s.snapshot, s.stale = s.take(), false
	}
	return s.snapshot
}

// Config answers the configuration in force. It never changes; ask again for the newest.
func (s *Source) Config() config.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.configuration.config
}

// ConfigText answers the YAML of the ConfigMap that Config follows, "" for none.
func (s *Source) ConfigText() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.configuration.text
}

// Meshes answers the namespaces that have a mesh, sorted.
func (s *Source) Meshes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.meshes()
}

// Object finds an InferenceService or Predictor of the newest Snapshot, with kind, apiVersion and uid; nil for none. It is
// shared, and has no status.
func (s *Source) Object(key decide.Key) client.Object {
	snapshot := s.Snapshot()
	switch key.Kind {
	case v1beta1.Kind:
		if o, found := Find(snapshot.Objects.InferenceServices, key.Namespace, key.Name); found {
			return o
		}
	case v1alpha1.KindPredictor:
		if o, found := Find(snapshot.Objects.Predictors, key.Namespace, key.Name); found {
			return o
		}
	}
	return nil
}

// Find looks an object up in a list that is sorted by namespace and name, as those of Snapshots are.
func Find[T client.Object](sorted []T, namespace, name string) (found T, ok bool) {
	at, ok := slices.BinarySearchFunc(sorted, [2]string{namespace, name}, func(o T, wanted [2]string) int {
		return compareNames(o.GetNamespace(), o.GetName(), wanted[0], wanted[1])
	})
	if ok {
		found = sorted[at]
	}
	return found, ok
}

// touch notes a change. The caller holds the lock.
func (s *Source) touch() {
	s.stale = true
	select {
	case s.changed <- struct{}{}:
	default:
	}
}
