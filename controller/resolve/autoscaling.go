package resolve

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/wasmesh/wasmesh/sdk/apis/serving"
)

// Autoscaling is what a runtime's annotations ask of a HorizontalPodAutoscaler.
type Autoscaling struct {
	// Metric is cpu or memory.
	Metric corev1.ResourceName
	// TargetUtilization in percent of what is requested.
	TargetUtilization int32
	Min, Max          int32
}

// defaultTargetUtilization is KServe's.
const defaultTargetUtilization = 80

// ReadAutoscaling answers nil for a runtime that has a fixed number of pods. The error joins everything that is wrong, each
// for the runtime's owner.
func ReadAutoscaling(r Runtime) (*Autoscaling, error) {
	a := &Autoscaling{Metric: corev1.ResourceCPU, TargetUtilization: defaultTargetUtilization, Min: 1, Max: 1}
	var errs []error
	// ModelMesh looks at it whatever the class is.
	if err := annotatedNumber(r, serving.AnnotationTargetUtilization, 100, &a.TargetUtilization); err != nil {
		errs = append(errs, err)
	}
	switch class := r.Annotations[serving.AnnotationAutoscalerClass]; class {
	case "", serving.AutoscalerClassNone:
		return nil, errors.Join(errs...)
	case serving.AutoscalerClassHPA:
	default:
		return nil, errors.Join(append(errs, fmt.Errorf("annotation %s: %s is not a known class: use %q, or %q for a fixed number of pods",
			serving.AnnotationAutoscalerClass, quote(class), serving.AutoscalerClassHPA, serving.AutoscalerClassNone))...)
	}
	if r.Spec.Replicas != nil {
		errs = append(errs, fmt.Errorf("spec.replicas and the annotation %s: %q cannot both be set: remove one of them",
			serving.AnnotationAutoscalerClass, serving.AutoscalerClassHPA))
	}
	if s, ok := r.Annotations[serving.AnnotationAutoscalerMetric]; ok {
		a.Metric = corev1.ResourceName(s)
		if !slices.Contains([]corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory}, a.Metric) {
			errs = append(errs, fmt.Errorf("annotation %s: %s is not a known metric: use \"cpu\" or \"memory\"",
				serving.AnnotationAutoscalerMetric, quote(s)))
		}
	}
	bounds := errors.Join(
		annotatedNumber(r, serving.AnnotationMinScale, math.MaxInt32, &a.Min),
		annotatedNumber(r, serving.AnnotationMaxScale, math.MaxInt32, &a.Max))
	if bounds == nil && a.Min > a.Max {
		bounds = fmt.Errorf("annotation %s is %d, more than %s, which is %d: raise the latter",
			serving.AnnotationMinScale, a.Min, serving.AnnotationMaxScale, a.Max)
	}
	if err := errors.Join(append(errs, bounds)...); err != nil {
		return nil, err
	}
	return a, nil
}

// annotatedNumber reads a whole number from 1, if the annotation is there.
func annotatedNumber(r Runtime, key string, most int32, into *int32) error {
	s, ok := r.Annotations[key]
	if !ok {
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 1 || n > int64(most) {
		return fmt.Errorf("annotation %s: %s is not a whole number from 1 to %d", key, quote(s), most)
	}
	*into = int32(n)
	return nil
}
