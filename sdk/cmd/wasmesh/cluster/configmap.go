package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// fieldManager is what the API server notes as the writer.
const fieldManager = "wasmesh"

// putAttempts is how often an object that others write, too, is read again.
const putAttempts = 5

// PolicyNamespace is where ConfigMaps of policies are read from: the controller's namespace.
func (c *Cluster) PolicyNamespace(ctx context.Context) (string, error) {
	if c.config.ControllerNamespace != "" {
		return c.config.ControllerNamespace, nil
	}
	pod, err := c.controller(ctx, 0)
	return pod.Namespace, err
}

// PutConfigMap makes the ConfigMap that of the cluster: its labels are added, and its data replaces all that was there, so
// that nothing of the one before is left in force. One without the label that ours has is somebody else's: an *Error with
// Taken. changed says that the API server's was another.
func (c *Cluster) PutConfigMap(ctx context.Context, ours *corev1.ConfigMap, label string) (changed bool, err error) {
	for range putAttempts {
		changed, err = c.putConfigMap(ctx, ours, label)
		if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
			break
		}
	}
	if err != nil {
		if _, explained := errors.AsType[*Error](err); !explained {
			err = c.explain(err, "update", configMaps, ours.Namespace)
		}
		return false, err
	}
	return changed, nil
}

func (c *Cluster) putConfigMap(ctx context.Context, ours *corev1.ConfigMap, label string) (changed bool, err error) {
	client := c.in(configMaps, ours.Namespace)
	present, err := client.Get(ctx, ours.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		object, err := untyped(ours)
		if err == nil {
			_, err = client.Create(ctx, object, metav1.CreateOptions{FieldManager: fieldManager})
		}
		return err == nil, err
	}
	if err != nil {
		return false, err
	}
	var theirs corev1.ConfigMap
	if err := typed(present, &theirs); err != nil {
		return false, err
	}
	if theirs.Labels[label] != ours.Labels[label] {
		return false, &Error{Taken, fmt.Sprintf("ConfigMap %s/%s holds something else: it has no label %s; choose another --name",
			ours.Namespace, ours.Name, label), nil}
	}
	if reflect.DeepEqual(theirs.Data, ours.Data) && reflect.DeepEqual(theirs.BinaryData, ours.BinaryData) {
		return false, nil
	}
	maps.Copy(theirs.Labels, ours.Labels)
	theirs.Data, theirs.BinaryData = ours.Data, ours.BinaryData
	object, err := untyped(&theirs) // Its resourceVersion makes the API server refuse what was read too early.
	if err == nil {
		_, err = client.Update(ctx, object, metav1.UpdateOptions{FieldManager: fieldManager})
	}
	return err == nil, err
}

func untyped(cm *corev1.ConfigMap) (*unstructured.Unstructured, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(cm)
	if err != nil {
		return nil, fmt.Errorf("encode ConfigMap %s: %w", cm.Name, err)
	}
	object := &unstructured.Unstructured{Object: fields}
	object.SetAPIVersion("v1")
	object.SetKind("ConfigMap")
	return object, nil
}
