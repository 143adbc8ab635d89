package cluster

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// labelEnabled of a Namespace says with "true" that it has a mesh; the controller's own has one without it.
const labelEnabled = "modelmesh-enabled"

// NoMesh says that no mesh is made in the namespace, and what makes one: an *Error with NoMesh. It is nil when there is one,
// and when the person may not see enough to tell.
func (c *Cluster) NoMesh(ctx context.Context, namespace string) error {
	object, err := c.in(namespaces, "").Get(ctx, namespace, metav1.GetOptions{})
	if err != nil {
		return nil
	}
	value, labelled := object.GetLabels()[labelEnabled]
	if value == "true" {
		return nil
	}
	if own, err := c.PolicyNamespace(ctx); !labelled && (err != nil || own == namespace) {
		return nil
	}
	return &Error{NoMesh, fmt.Sprintf("namespace %s has no mesh: `kubectl label namespace %[1]s %s=true --overwrite` makes one", namespace, labelEnabled), nil}
}
