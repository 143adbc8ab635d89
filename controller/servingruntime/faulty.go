package servingruntime

import (
	"context"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/types"

	"github.com/wasmesh/wasmesh/controller/resolve"
	"github.com/wasmesh/wasmesh/controller/resources"
)

// faultyInterval is when a runtime that has pods and is faulty is looked at again: models that would need it if it were not
// are not followed one by one.
const faultyInterval = time.Minute

// isFaulty (pure) says that a runtime can run in no mesh, whatever the settings.
func isFaulty(r resolve.Runtime) bool {
	if len(resolve.ValidateRuntime(r)) > 0 {
		return true
	}
	_, err := resolve.RuntimePlan(r.Namespace, r)
	return err != nil
}

// leave is for a runtime of which no Deployment can be made. The one that it had before stays as it is while models need
// it, and loses its pods, never to get any, when they no longer do. It answers when to look again; zero for never.
func (r *runtimeReconciler) leave(ctx context.Context, key types.NamespacedName, m resources.Mesh, w meshRuntime) (time.Time, error) {
	// What sleeps cannot be woken now, so that a runtime is not put to sleep.
	m.Config.ScaleToZero.OnIdle = false
	name := types.NamespacedName{Namespace: key.Namespace, Name: resources.DeploymentName(m, key.Name)}
	there, exists, err := r.writer.findDeployment(ctx, name)
	if err != nil || !exists || !r.writer.ours(there) || podsOf(there) == 0 {
		return time.Time{}, err
	}
	w.needed = w.needed || len(w.models) > 0 || r.follower.newest().wouldNeed(key)
	awake, next := r.look(key, m, w, there)
	if awake {
		if again := r.now().Add(faultyInterval); w.faulty && (next.IsZero() || again.Before(next)) {
			next = again
		}
		return next, nil
	}
	scaler, scaled, err := find(ctx, r.writer.cached, name, &autoscalingv2.HorizontalPodAutoscaler{})
	if err != nil {
		return time.Time{}, err
	}
	if scaled && r.writer.ours(scaler) {
		if err := r.writer.remove(ctx, scaler); err != nil {
			return time.Time{}, err
		}
	}
	return next, r.scale(ctx, w, objects{deployment: there}, podsOf(there), 0)
}

// wouldNeed says that a model would be placed on the runtime first if no runtime were faulty. A decision plans none that is,
// and has no rows for it while its hosts are away.
func (d *declared) wouldNeed(runtime types.NamespacedName) bool {
	first := func(spec resolve.Spec, err error) bool {
		if err != nil {
			return false
		}
		names, _ := resolve.Eligible(spec, d.resolved)
		return len(names) > 0 && names[0] == runtime.Name
	}
	for _, m := range d.objects.InferenceServices {
		if m != nil && m.Namespace == runtime.Namespace && resolve.IsModelMesh(m) && first(resolve.FromInferenceService(m)) {
			return true
		}
	}
	for _, p := range d.objects.Predictors {
		if p != nil && p.Namespace == runtime.Namespace && first(resolve.FromPredictor(p)) {
			return true
		}
	}
	return false
}
