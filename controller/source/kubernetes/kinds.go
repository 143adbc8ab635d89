package kubernetes

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// Kinds that are watched.
type Kinds struct {
	InferenceServices, Predictors, LegacyPredictors, ServingRuntimes, ClusterServingRuntimes bool
}

// Beyond names those that before lacks.
func (k Kinds) Beyond(before Kinds) (later []string) {
	for _, kind := range []struct {
		name     string
		now, was bool
	}{
		{v1beta1.Kind, k.InferenceServices, before.InferenceServices},
		{v1alpha1.KindPredictor, k.Predictors, before.Predictors},
		{v1alpha1.KindPredictor + "." + LegacyGroupVersion.Group, k.LegacyPredictors, before.LegacyPredictors},
		{v1alpha1.KindServingRuntime, k.ServingRuntimes, before.ServingRuntimes},
		{v1alpha1.KindClusterServingRuntime, k.ClusterServingRuntimes, before.ClusterServingRuntimes},
	} {
		if kind.now && !kind.was {
			later = append(later, kind.name)
		}
	}
	return later
}

// Wish is whether to watch a kind, as ModelMesh's ENABLE_ISVC_WATCH and ENABLE_CSR_WATCH spell it.
type Wish string

// Values of Wish.
const (
	// WatchIfThere watches a kind whose CustomResourceDefinition there is at start.
	WatchIfThere Wish = ""
	// WatchAlways fails without it.
	WatchAlways Wish = "true"
	// WatchNever does not look.
	WatchNever Wish = "false"
)

// Wishes for the kinds that a cluster may not have, or that may be another controller's.
type Wishes struct {
	InferenceServices, ClusterServingRuntimes Wish
	// LegacyPredictors need RBAC of their own, so they are watched only when that is asked for.
	LegacyPredictors bool
	// NamespaceScope: the kinds of a whole cluster are watched only when that is asked for.
	NamespaceScope bool
}

// Detect finds which kinds there are.
func Detect(mapper meta.RESTMapper, wishes Wishes) (Kinds, error) {
	var kinds Kinds
	csr := wishes.ClusterServingRuntimes
	if wishes.NamespaceScope && csr == WatchIfThere {
		csr = WatchNever
	}
	legacy := WatchNever
	if wishes.LegacyPredictors {
		legacy = WatchIfThere
	}
	for _, k := range []struct {
		kind schema.GroupVersionKind
		wish Wish
		set  *bool
	}{
		{v1beta1.GroupVersion.WithKind(v1beta1.Kind), wishes.InferenceServices, &kinds.InferenceServices},
		{v1alpha1.GroupVersion.WithKind(v1alpha1.KindPredictor), WatchIfThere, &kinds.Predictors},
		{LegacyGroupVersion.WithKind(v1alpha1.KindPredictor), legacy, &kinds.LegacyPredictors},
		{v1alpha1.GroupVersion.WithKind(v1alpha1.KindServingRuntime), WatchIfThere, &kinds.ServingRuntimes},
		{v1alpha1.GroupVersion.WithKind(v1alpha1.KindClusterServingRuntime), csr, &kinds.ClusterServingRuntimes},
	} {
		var err error
		if *k.set, err = present(mapper, k.kind, k.wish); err != nil {
			return Kinds{}, err
		}
	}
	return kinds, nil
}

func present(mapper meta.RESTMapper, kind schema.GroupVersionKind, wish Wish) (bool, error) {
	switch wish {
	case WatchNever:
		return false, nil
	case WatchIfThere, WatchAlways:
	default:
		return false, fmt.Errorf("watch %s: %q is neither %q nor %q", kind.Kind, wish, WatchAlways, WatchNever)
	}
	_, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	switch {
	case err == nil:
		return true, nil
	case meta.IsNoMatchError(err) && wish == WatchIfThere:
		return false, nil
	case meta.IsNoMatchError(err):
		return false, fmt.Errorf("watch %s: the cluster has no CustomResourceDefinition of %s: install it", kind.Kind, kind.GroupVersion())
	}
	return false, fmt.Errorf("watch %s: %w", kind.Kind, err)
}
