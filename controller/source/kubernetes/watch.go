package kubernetes

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/controller/policyconfig"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// watch makes a table of each kind and registers it.
func (s *Source) watch(ctx context.Context, informers cache.Informers) error {
	kinds := s.options.Kinds
	s.secrets = newTable(s, takeSecret, sameSecret)
	s.configMaps = newTable(s, takeConfigMap, sameConfigMap)
	watches := []watch{
		{&corev1.Secret{}, s.secrets}, {&corev1.ConfigMap{}, s.configMaps}, {&corev1.ConfigMap{}, configHandler{s}},
	}
	if !s.options.NamespaceScope {
		s.namespaces = newTable(s, takeNamespace, sameNamespace)
		watches = append(watches, watch{&corev1.Namespace{}, s.namespaces})
	}
	if kinds.InferenceServices {
		s.inferenceServices = newTable(s, takeInferenceService, sameInferenceService)
		watches = append(watches, watch{&v1beta1.InferenceService{}, s.inferenceServices})
	}
	if kinds.Predictors {
		s.predictors = newTable(s, takePredictor, samePredictor)
		watches = append(watches, watch{&v1alpha1.Predictor{}, s.predictors})
	}
	if kinds.LegacyPredictors {
		s.legacyPredictors = newTable(s, takeLegacyPredictor, samePredictor)
		watches = append(watches, watch{&LegacyPredictor{}, s.legacyPredictors})
	}
	if kinds.ServingRuntimes {
		s.servingRuntimes = newTable(s, takeServingRuntime,
			func(a, b *v1alpha1.ServingRuntime) bool { return sameSpec(a.ObjectMeta, b.ObjectMeta) })
		watches = append(watches, watch{&v1alpha1.ServingRuntime{}, s.servingRuntimes})
	}
	if kinds.ClusterServingRuntimes {
		s.clusterServingRuntimes = newTable(s, takeClusterServingRuntime,
			func(a, b *v1alpha1.ClusterServingRuntime) bool { return sameSpec(a.ObjectMeta, b.ObjectMeta) })
		watches = append(watches, watch{&v1alpha1.ClusterServingRuntime{}, s.clusterServingRuntimes})
	}
	for _, w := range watches {
		if err := s.register(ctx, informers, w); err != nil {
			return err
		}
	}
	return nil
}

// watch is a kind and who is told of it.
type watch struct {
	object  client.Object
	handler toolscache.ResourceEventHandler
}

func (s *Source) register(ctx context.Context, informers cache.Informers, w watch) error {
	informer, err := informers.GetInformer(ctx, w.object, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watch %T: %w", w.object, err)
	}
	registration, err := informer.AddEventHandler(w.handler)
	if err != nil {
		return fmt.Errorf("watch %T: %w", w.object, err)
	}
	s.registrations = append(s.registrations, registration)
	return nil
}

// CacheOptions of the cache that New registers with: which Secrets and ConfigMaps are watched, and what is kept of objects.
// Other kinds are restricted to the controller's namespace in namespace scope. A reader that wants any other Secret or
// ConfigMap must ask the API server.
func CacheOptions(namespace string, namespaceScope bool, storageSecretName, configMap string) cache.Options {
	own := map[string]cache.Config{namespace: {}}
	options := cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			// By name, so that RBAC need not let the controller read any other Secret.
			&corev1.Secret{}:    {Field: fields.OneTermEqualSelector("metadata.name", storageSecretName)},
			&corev1.ConfigMap{}: {Namespaces: own, Transform: trimConfigMap(configMap)},
		},
	}
	if namespaceScope {
		options.DefaultNamespaces = own
	}
	return options
}

// trimConfigMap keeps the content only of the ConfigMaps that are read: others of the namespace may be large.
func trimConfigMap(configuration string) toolscache.TransformFunc {
	return func(object any) (any, error) {
		if accessor, err := meta.Accessor(object); err == nil {
			accessor.SetManagedFields(nil)
			annotations := accessor.GetAnnotations()
			delete(annotations, annotationLastApplied)
		}
		if cm, is := object.(*corev1.ConfigMap); is && cm.Name != configuration {
			if _, labelled := cm.Labels[policyconfig.Label]; !labelled {
				cm.Data, cm.BinaryData = nil, nil
			}
		}
		return object, nil
	}
}
