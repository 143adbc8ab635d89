package servingruntime

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// deploymentController writes annotations of its own to Deployments; they stay its own.
const deploymentController = "kube-controller-manager"

// adopt makes FieldManager the owner of every field that somebody wrote to the object, so that the apply which follows
// removes what is not wanted: the containers of ModelMesh's pods, above all. (What one manager leaves out stays as long as
// another has it.) The number of pods becomes ScaleManager's: left out by its only owner it would become 1. It
// answers whether the object has changed.
func (w writer) adopt(ctx context.Context, there client.Object, wanted *unstructured.Unstructured) (bool, error) {
	present := &unstructured.Unstructured{}
	present.SetGroupVersionKind(wanted.GroupVersionKind())
	// The cache does not keep who owns what.
	if err := w.live.Get(ctx, client.ObjectKeyFromObject(there), present); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	entries, changed, err := adopted(present.GetManagedFields(), present.GetAPIVersion())
	if err != nil || !changed {
		return false, err
	}
	patch, err := json.Marshal([]map[string]any{
		{"op": "replace", "path": "/metadata/managedFields", "value": entries},
		// The entries are about this version of the object only.
		{"op": "replace", "path": "/metadata/resourceVersion", "value": present.GetResourceVersion()},
	})
	if err != nil {
		return false, fmt.Errorf("encode its managed fields: %w", err)
	}
	return true, w.cached.Patch(ctx, present, client.RawPatch(types.JSONPatchType, patch), client.FieldOwner(FieldManager))
}

// adopted (pure) answers the entries with all that were updates of objects in one of FieldManager's, and whether there was
// any. Entries of subresources, such as status, are not about what is applied.
func adopted(entries []metav1.ManagedFieldsEntry, version string) (after []metav1.ManagedFieldsEntry, changed bool, err error) {
	ours := map[string]any{}
	for _, e := range entries {
		own := e.Manager == FieldManager && e.Operation == metav1.ManagedFieldsOperationApply
		others := e.Operation == metav1.ManagedFieldsOperationUpdate && e.Manager != deploymentController && e.Manager != ScaleManager
		if e.Subresource != "" || e.APIVersion != version || e.FieldsV1 == nil || !own && !others {
			after = append(after, e)
			continue
		}
		var set map[string]any
		if err := json.Unmarshal(e.FieldsV1.GetRawBytes(), &set); err != nil {
			return nil, false, fmt.Errorf("read the managed fields of %s: %w", e.Manager, err)
		}
		unite(ours, set)
		changed = changed || others
	}
	if !changed {
		return entries, false, nil
	}
	if spec, ok := ours["f:spec"].(map[string]any); ok && spec["f:replicas"] != nil {
		delete(spec, "f:replicas")
		if !slices.ContainsFunc(after, func(e metav1.ManagedFieldsEntry) bool { return e.Manager == ScaleManager }) {
			after = append(after, metav1.ManagedFieldsEntry{
				Manager: ScaleManager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: version, FieldsType: "FieldsV1",
				FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:replicas":{}}}`),
			})
		}
	}
	raw, err := json.Marshal(ours)
	if err != nil {
		return nil, false, fmt.Errorf("encode managed fields: %w", err)
	}
	return append(after, metav1.ManagedFieldsEntry{
		Manager: FieldManager, Operation: metav1.ManagedFieldsOperationApply, APIVersion: version, FieldsType: "FieldsV1",
		FieldsV1: metav1.NewFieldsV1(string(raw)),
	}), true, nil
}

// unite adds one set of fields to another: both are trees, whose leaves are empty.
func unite(into, from map[string]any) {
	for key, value := range from {
		below, isTree := value.(map[string]any)
		present, has := into[key].(map[string]any)
		if isTree && has {
			unite(present, below)
			continue
		}
		into[key] = value
	}
}
