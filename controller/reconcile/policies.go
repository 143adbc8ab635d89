package reconcile

import (
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// Policies decides how statuses read; *policies.Runner is one.
type Policies interface {
	// Declare says which ConfigMaps there are; they never change afterwards.
	Declare([]*corev1.ConfigMap)
	// Status is decide.Input.Status, and Contradicted takes decide.Output.Contradictions.
	Status(*policyabi.StatusRequest) policyabi.StatusAnswer
	// StatusVersion is decide.Input.StatusVersion.
	StatusVersion() uint64
	Contradicted([]decide.Contradiction)
	// Changed receives after the answers of the other methods have changed. One reader.
	Changed() <-chan struct{}
	// TakeEvents answers the Events since it was last called, and Annotations View.Annotations.
	TakeEvents() []decide.Event
	Annotations() map[decide.Key]string
}

// hearPolicies records what has become of policies; it answers whether operators see anything new.
func (l *Loop) hearPolicies(now time.Time) bool {
	if l.config.Policies == nil {
		return false
	}
	l.record(now, l.config.Policies.TakeEvents())
	annotations := l.config.Policies.Annotations()
	changed := !maps.Equal(annotations, l.annotations)
	l.annotations = annotations
	return changed
}
