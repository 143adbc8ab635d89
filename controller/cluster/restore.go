package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/inferenceservice"
	"github.com/wasmesh/wasmesh/controller/reconcile"
	"github.com/wasmesh/wasmesh/controller/source/kubernetes"
	syncserver "github.com/wasmesh/wasmesh/controller/sync"
	"github.com/wasmesh/wasmesh/controller/writeback"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// restore reads from the objects themselves what the leader before has decided. They come from the cache: what the leader
// before wrote in its last moments may be missing, and is decided again.
func restore(ctx context.Context, cached client.Reader, declared decide.Objects) (reconcile.Restored, error) {
	r := reconcile.Restored{
		Active: map[decide.Key]*syncv1.Model{}, Refused: map[decide.Key]string{},
		Statuses: reconcile.Statuses{
			InferenceServices: map[decide.Key]v1beta1.InferenceServiceStatus{},
			Predictors:        map[decide.Key]v1alpha1.PredictorStatus{},
		},
	}
	remember := func(key decide.Key, annotations map[string]string) {
		memory := writeback.ReadMemory(annotations)
		if memory.Active != nil {
			r.Active[key] = memory.Active
		}
		if memory.Refused != "" {
			r.Refused[key] = memory.Refused
		}
	}
	if len(declared.InferenceServices) > 0 {
		all := &v1beta1.InferenceServiceList{}
		if err := cached.List(ctx, all, client.UnsafeDisableDeepCopy); err != nil {
			return r, fmt.Errorf("read InferenceServices: %w", err)
		}
		for i := range all.Items {
			o := &all.Items[i]
			key := decide.Key{Namespace: o.Namespace, Kind: v1beta1.Kind, Name: o.Name}
			if found, is := kubernetes.Find(declared.InferenceServices, o.Namespace, o.Name); is && found.UID == o.UID {
				remember(key, o.Annotations)
				r.Statuses.InferenceServices[key] = inferenceservice.Ours(o.Status)
			}
		}
	}
	for _, p := range declared.Predictors {
		object, err := writeback.Actual(ctx, cached, p)
		if err != nil {
			return r, fmt.Errorf("read Predictor %s/%s: %w", p.Namespace, p.Name, err)
		}
		if object == nil {
			continue // It is gone by now.
		}
		key := decide.Key{Namespace: p.Namespace, Kind: v1alpha1.KindPredictor, Name: p.Name}
		remember(key, object.GetAnnotations())
		switch o := object.(type) {
		case *v1alpha1.Predictor:
			r.Statuses.Predictors[key] = o.Status
		case *kubernetes.LegacyPredictor:
			r.Statuses.Predictors[key] = o.Status
		}
	}
	return r, nil
}

// labelService is on every pod of a mesh, with the name of its Service as value.
const labelService = "modelmesh-service"

// knownHosts are the pods that run, ready or not: until they have reported, what nobody speaks of may be there all the same.
func knownHosts(ctx context.Context, live client.Reader, meshes []string) ([]syncserver.HostKey, error) {
	var known []syncserver.HostKey
	for _, namespace := range meshes {
		pods := &metav1.PartialObjectMetadataList{}
		pods.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
		err := live.List(ctx, pods, client.InNamespace(namespace), client.HasLabels{labelService},
			client.MatchingFields{"status.phase": string(corev1.PodRunning)})
		if err != nil {
			return nil, fmt.Errorf("list the pods of namespace %s: %w", namespace, err)
		}
		for _, pod := range pods.Items {
			known = append(known, syncserver.HostKey{Namespace: namespace, ID: pod.Name})
		}
	}
	return known, nil
}
