package resolve

import (
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/wasmesh/wasmesh/sdk/apis/serving"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
)

const (
	// defaultMemBufferBytes is the default of ModelMesh's adapters: what the server itself needs besides models.
	defaultMemBufferBytes = 256 << 20
	// defaultLoadingConcurrency is the default of ModelMesh's adapters; MLServer, for one, gains nothing from more.
	defaultLoadingConcurrency = 1
	// defaultLoadingTimeout is what every ServingRuntime that ModelMesh ships says.
	defaultLoadingTimeout = 90 * time.Second
)

// RuntimePlan makes the plan of a runtime's pods in a namespace; for a ServingRuntime that is its own. Needed is left
// false: whether any model needs it is not the runtime's to say. Values of environment variables that come from
// elsewhere (valueFrom) are left out, since only a cluster can resolve them. The error is for the runtime's owner.
func RuntimePlan(namespace string, r Runtime) (*adminv1.RuntimePlan, error) {
	plan, err := runtimePlan(namespace, r)
	if err != nil {
		return nil, fmt.Errorf("plan runtime %s: %w", r.Name, err)
	}
	return plan, nil
}

func runtimePlan(namespace string, r Runtime) (*adminv1.RuntimePlan, error) {
	var adapter v1alpha1.BuiltInAdapter
	if r.Spec.BuiltInAdapter != nil {
		adapter = *r.Spec.BuiltInAdapter
	}
	c, err := runtimeContainer(r.Spec, adapter.ServerType)
	if err != nil {
		return nil, err
	}
	plan := &adminv1.RuntimePlan{
		Namespace:             namespace,
		Name:                  r.Name,
		ServerType:            adapter.ServerType,
		MaxLoadingConcurrency: defaultLoadingConcurrency,
		Command:               c.Command,
		Args:                  c.Args,
	}
	if plan.CapacityBytes, err = capacity(c, adapter.MemBufferBytes); err != nil {
		return nil, err
	}
	if plan.ModelLoadingTimeoutMs, err = loadingTimeoutMillis(adapter.ModelLoadingTimeoutMillis); err != nil {
		return nil, err
	}
	if err := annotatedConcurrency(r.Annotations, plan); err != nil {
		return nil, err
	}
	for _, e := range c.Env {
		if e.ValueFrom == nil {
			plan.Env = append(plan.Env, &adminv1.RuntimePlan_EnvVar{Name: e.Name, Value: e.Value})
		}
	}
	if r.Spec.Replicas != nil {
		plan.Replicas = uint32(*r.Spec.Replicas)
	}
	return plan, nil
}

// runtimeContainer finds the container that is the inference server: the one of its type's name, else the first.
func runtimeContainer(s *v1alpha1.ServingRuntimeSpec, serverType string) (*corev1.Container, error) {
	if len(s.Containers) == 0 {
		return nil, errors.New("spec.containers is empty")
	}
	for i := range s.Containers {
		if serverType != "" && s.Containers[i].Name == serverType {
			return &s.Containers[i], nil
		}
	}
	return &s.Containers[0], nil
}

// capacity answers the bytes that models may fill: the container's memory request, which Kubernetes takes from the limit
// when there is none, less the server's own share.
func capacity(c *corev1.Container, memBuffer int64) (uint64, error) {
	memory, ok := c.Resources.Requests[corev1.ResourceMemory]
	if !ok {
		memory, ok = c.Resources.Limits[corev1.ResourceMemory]
	}
	if !ok {
		return 0, fmt.Errorf("container %s has neither a memory request nor a memory limit: "+
			"set resources.requests.memory, which says how much models may fill", c.Name)
	}
	if memBuffer < 0 {
		return 0, fmt.Errorf("builtInAdapter.memBufferBytes is negative: %d", memBuffer)
	}
	if memBuffer == 0 {
		memBuffer = defaultMemBufferBytes
	}
	left := memory.Value() - memBuffer
	if left <= 0 {
		return 0, fmt.Errorf("container %s has %d bytes of memory, and memBufferBytes is %d: nothing is left for models; "+
			"raise resources.requests.memory or lower builtInAdapter.memBufferBytes", c.Name, memory.Value(), memBuffer)
	}
	return uint64(left), nil
}

func loadingTimeoutMillis(given int64) (int64, error) {
	if given < 0 {
		return 0, fmt.Errorf("builtInAdapter.modelLoadingTimeoutMillis is negative: %d", given)
	}
	if given == 0 {
		return defaultLoadingTimeout.Milliseconds(), nil
	}
	return given, nil
}

// annotatedConcurrency overwrites the plan's limits with those that the runtime's annotations give.
func annotatedConcurrency(annotations map[string]string, plan *adminv1.RuntimePlan) error {
	if s, ok := annotations[serving.AnnotationMaxLoadingConcurrency]; ok {
		n, err := parseCount(s)
		if err != nil || n == 0 {
			return fmt.Errorf("annotation %s: %q is not a positive whole number", serving.AnnotationMaxLoadingConcurrency, s)
		}
		plan.MaxLoadingConcurrency = n
	}
	if s, ok := annotations[serving.AnnotationPerModelConcurrencyLimit]; ok {
		n, err := parseCount(s)
		if err != nil {
			return fmt.Errorf("annotation %s: %q is not %w", serving.AnnotationPerModelConcurrencyLimit, s, err)
		}
		plan.PerModelConcurrency = n
	}
	return nil
}
