package resolve

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/wasmesh/wasmesh/sdk/apis/serving"
)

// ModelDir is the directory of model files that host and runtime share.
type ModelDir struct {
	// Writable by the runtime's containers.
	Writable bool
	// Size bounds what is in it; nil: nothing is known of which it could be made.
	Size *resource.Quantity
}

// modelDirScale is how much larger than memory it is, so that models which were evicted from memory are found on disk.
const modelDirScale = 2

// ReadModelDir answers what the runtime's annotations say, else the defaults: built-in servers only read model files,
// while adapters of others lay them out there; the size follows the memory limits, or the requests where there are none.
func ReadModelDir(r Runtime) (ModelDir, error) {
	d := ModelDir{Writable: r.Spec.BuiltInAdapter == nil}
	var errs []error
	switch s, ok := r.Annotations[serving.AnnotationModelDir]; {
	case !ok:
	case s == serving.ModelDirWritable, s == serving.ModelDirReadOnly:
		d.Writable = s == serving.ModelDirWritable
	default:
		errs = append(errs, fmt.Errorf("annotation %s: %s is not %q or %q",
			serving.AnnotationModelDir, quote(s), serving.ModelDirWritable, serving.ModelDirReadOnly))
	}
	if s, ok := r.Annotations[serving.AnnotationModelDirSize]; ok {
		n, err := parseSize(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("annotation %s: %s is not %w", serving.AnnotationModelDirSize, quote(s), err))
		}
		d.Size = resource.NewQuantity(int64(n), resource.BinarySI)
	} else if memory := memoryOf(r.Spec.Containers); memory > 0 {
		d.Size = resource.NewQuantity(modelDirScale*memory, resource.BinarySI)
	}
	if err := errors.Join(errs...); err != nil {
		return ModelDir{}, err
	}
	return d, nil
}

func memoryOf(containers []corev1.Container) (sum int64) {
	for i := range containers {
		memory, ok := containers[i].Resources.Limits[corev1.ResourceMemory]
		if !ok {
			memory = containers[i].Resources.Requests[corev1.ResourceMemory]
		}
		sum += memory.Value()
	}
	return sum
}
