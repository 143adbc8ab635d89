package identity

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// CacheOptions of the cache that Watch registers with: the two objects of each namespace, by their names, so that RBAC need
// not let the controller list any other.
func CacheOptions(namespace string, namespaceScope bool) cache.Options {
	named := func(name string) cache.ByObject {
		return cache.ByObject{Field: fields.OneTermEqualSelector(metav1.ObjectNameField, name)}
	}
	options := cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Secret{}: named(MeshKeySecret), &corev1.ConfigMap{}: named(CAConfigMap),
		},
	}
	if namespaceScope {
		options.DefaultNamespaces = map[string]cache.Config{namespace: {}}
	}
	return options
}

// Watch has objects that somebody else changes or deletes put right at once: without them no pod of the mesh starts. Only
// metadata are asked for.
func (a *Authority) Watch(ctx context.Context, informers cache.Informers) error {
	for _, kind := range []string{"Secret", "ConfigMap"} {
		object := &metav1.PartialObjectMetadata{}
		object.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
		informer, err := informers.GetInformer(ctx, object, cache.BlockUntilSynced(false))
		if err == nil {
			_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
				UpdateFunc: func(_, _ any) { a.recheck() },
				DeleteFunc: func(any) { a.recheck() },
			})
		}
		if err != nil {
			return fmt.Errorf("watch %ss of the mesh: %w", kind, err)
		}
	}
	return nil
}
