package kubernetes

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/policyconfig"
	"github.com/wasmesh/wasmesh/controller/source"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
)

// take makes a Snapshot of the tables. The caller holds the lock.
func (s *Source) take() *source.Snapshot {
	meshes := map[string]bool{}
	for _, namespace := range s.meshes() {
		meshes[namespace] = true
	}
	mesh := func(namespace string) bool { return meshes[namespace] }
	snapshot := &source.Snapshot{
		Objects: decide.Objects{
			InferenceServices:      s.inferenceServices.in(mesh),
			Predictors:             s.predictors.in(mesh),
			ServingRuntimes:        s.servingRuntimes.in(mesh),
			ClusterServingRuntimes: s.clusterServingRuntimes.in(func(string) bool { return true }),
		},
		StorageConfig: map[string]map[string][]byte{},
		ConfigMaps:    s.configMaps.in(func(namespace string) bool { return namespace == s.options.Namespace }),
		Endpoints:     s.configuration.config.Endpoints(),
		Warnings:      slices.Clone(s.configuration.warnings),
	}
	for _, secret := range s.secrets.in(mesh) {
		snapshot.StorageConfig[secret.Namespace] = secret.Data
	}
	s.addLegacy(snapshot, s.legacyPredictors.in(mesh))
	for _, cm := range snapshot.ConfigMaps {
		if why := policyconfig.Mislabelled(cm); why != "" {
			snapshot.Warnings = append(snapshot.Warnings, source.Warning{File: "ConfigMap " + cm.Namespace + "/" + cm.Name, Message: why})
		}
	}
	return snapshot
}

// addLegacy adds the Predictors of the older group. Of two with one name that of the newer counts.
func (s *Source) addLegacy(snapshot *source.Snapshot, legacy []*v1alpha1.Predictor) {
	if len(legacy) == 0 {
		return
	}
	newer := snapshot.Objects.Predictors
	all := slices.Clip(newer)
	for _, p := range legacy {
		if _, taken := Find(newer, p.Namespace, p.Name); !taken {
			all = append(all, p)
			continue
		}
		snapshot.Warnings = append(snapshot.Warnings, source.Warning{
			File: "Predictor " + p.Namespace + "/" + p.Name,
			Message: fmt.Sprintf("there is one of %s and one of %s: the second is ignored, delete one of the two",
				v1alpha1.GroupVersion, LegacyGroupVersion),
		})
	}
	slices.SortFunc(all, func(a, b *v1alpha1.Predictor) int { return compareNames(a.Namespace, a.Name, b.Namespace, b.Name) })
	snapshot.Objects.Predictors = all
}

// meshes answers the namespaces that have a mesh, sorted. The caller holds the lock.
func (s *Source) meshes() []string {
	own := s.options.Namespace
	if s.options.NamespaceScope {
		return []string{own}
	}
	var meshes []string
	for _, o := range s.namespaces.in(func(string) bool { return true }) {
		value, labelled := o.Labels[LabelEnabled]
		if (value == "true" || o.Name == own && !labelled) && !terminating(o) {
			meshes = append(meshes, o.Name)
		}
	}
	slices.Sort(meshes)
	return meshes
}

// terminating: nothing can be made in such a namespace, and everything in it goes.
func terminating(o *corev1.Namespace) bool {
	return o.DeletionTimestamp != nil || o.Status.Phase == corev1.NamespaceTerminating
}
