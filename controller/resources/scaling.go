package resources

import (
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/wasmesh/wasmesh/controller/resolve"
)

// Autoscaler makes what the runtime's annotations ask for; nil: nothing.
func Autoscaler(m Mesh, r Runtime) (*autoscalingv2.HorizontalPodAutoscaler, error) {
	wish, err := resolve.ReadAutoscaling(r.resolved(m.Namespace))
	if err != nil {
		return nil, fmt.Errorf("make the autoscaler of runtime %s: %w", r.Name, err)
	}
	if wish == nil {
		return nil, nil
	}
	name := DeploymentName(m, r.Name)
	return &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"},
		ObjectMeta: m.object(name, union(m.labels(), m.selector(name)), r.Owner),
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: name},
			MinReplicas:    ptr(wish.Min),
			MaxReplicas:    wish.Max,
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ResourceMetricSourceType,
				Resource: &autoscalingv2.ResourceMetricSource{
					Name: wish.Metric,
					Target: autoscalingv2.MetricTarget{
						Type: autoscalingv2.UtilizationMetricType, AverageUtilization: ptr(wish.TargetUtilization),
					},
				},
			}},
		},
	}, nil
}

// DisruptionBudget lets nodes be drained one pod of the runtime at a time, so that each finds others to hand its models to.
// It never stands in the way of a runtime with one pod, or of pods that do not work anyhow.
func DisruptionBudget(m Mesh, r Runtime) *policyv1.PodDisruptionBudget {
	name := DeploymentName(m, r.Name)
	return &policyv1.PodDisruptionBudget{
		TypeMeta:   metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"},
		ObjectMeta: m.object(name, union(m.labels(), m.selector(name)), r.Owner),
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable:             ptr(intstr.FromInt32(1)),
			Selector:                   &metav1.LabelSelector{MatchLabels: m.selector(name)},
			UnhealthyPodEvictionPolicy: ptr(policyv1.AlwaysAllow),
		},
	}
}
