package servingruntime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/resources"
)

// Reasons of Events about ServingRuntimes and ClusterServingRuntimes.
const (
	// EventScaledUp: the runtime gets pods.
	EventScaledUp = "ScaledUp"
	// EventScaledToZero: its pods go, since nobody needs them.
	EventScaledToZero = "ScaledToZero"
	// EventNotDeployed: its pods could not be made, or stay as they were.
	EventNotDeployed = "NotDeployed"
)

const (
	// unusableSecretInterval is when a mesh that lacks the Secret of TLS, or what it has to hold, is looked at again: the
	// Secrets that users make are not watched, so that the controller need not read any of another name.
	unusableSecretInterval = 10 * time.Second
	// usableSecretInterval is when one whose Secret may be used is: it may gain a ca.crt, which hosts are told to use, or
	// lose it.
	usableSecretInterval = time.Minute
	// occupiedInterval is when a name that somebody else's Deployment has is looked at again: those without our labels are not
	// watched.
	occupiedInterval = time.Minute
)

// runtimeReconciler makes the objects of one runtime in one mesh; requests have the mesh's namespace and the runtime's name.
type runtimeReconciler struct {
	gatherer
	follower *follower
	now      func() time.Time

	mu sync.Mutex // guards below
	// rests and complaints of the runtimes that were looked at.
	rests      map[types.NamespacedName]rest
	complaints map[types.NamespacedName]string
}

func newRuntimeReconciler(g gatherer, f *follower) *runtimeReconciler {
	return &runtimeReconciler{
		gatherer: g, follower: f, now: time.Now,
		rests: map[types.NamespacedName]rest{}, complaints: map[types.NamespacedName]string{},
	}
}

// Reconcile implements reconcile.Reconciler.
func (r *runtimeReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	d := r.follower.newest()
	if d == nil {
		return ctrl.Result{}, nil // The follower brings it here again.
	}
	wanted, found := d.runtimes[req.NamespacedName]
	if !found {
		r.forget(req.NamespacedName)
		return ctrl.Result{}, nil // The mesh's reconciler removes what is left.
	}
	m, ok, err := r.mesh(ctx, req.Namespace, d.config)
	if err != nil || !ok {
		return ctrl.Result{}, err
	}
	if m.Claims, err = r.claims(ctx, req.Namespace, d.config, wanted.want); err != nil {
		return ctrl.Result{}, err
	}
	result, err := r.carryOut(ctx, req.NamespacedName, m, wanted)
	if ending(err) {
		return ctrl.Result{}, nil
	}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		// The cache is behind; it catches up, and the next look is another.
		return ctrl.Result{RequeueAfter: 100 * time.Millisecond}, nil
	}
	if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
		// It stays so until somebody changes something. What cannot have pods is not woken by any request.
		r.deps.Sleep.set(req.NamespacedName, false)
		r.complain(req.NamespacedName, wanted.key, err.Error())
		return result, reconcile.TerminalError(err)
	}
	if isRefusal(err) {
		// As a quota or a policy of admission has it, which may change without a trace in what is watched: it is tried again.
		r.complain(req.NamespacedName, wanted.key, err.Error())
	}
	return result, err
}

// objects of one runtime.
type objects struct {
	deployment *appsv1.Deployment
	// autoscaler is nil when the runtime asks for none.
	autoscaler *autoscalingv2.HorizontalPodAutoscaler
	budget     *policyv1.PodDisruptionBudget
}

// errFaulty is about a runtime of whose faults the Loop tells, in an Event.
var errFaulty = errors.New("the runtime is faulty")

// objectsOf answers what should be, or what the owner has to do before anything can.
func objectsOf(m resources.Mesh, w meshRuntime) (objects, error) {
	if w.faulty {
		return objects{}, errFaulty
	}
	d, err := resources.Deployment(m, w.Runtime, nil)
	if err != nil {
		return objects{}, err
	}
	a, err := resources.Autoscaler(m, w.Runtime)
	return objects{d, a, resources.DisruptionBudget(m, w.Runtime)}, err
}

// carryOut decides how many pods there should be, and makes everything be so.
func (r *runtimeReconciler) carryOut(
	ctx context.Context, key types.NamespacedName, m resources.Mesh, w meshRuntime,
) (ctrl.Result, error) {
	should, err := objectsOf(m, w)
	if err != nil {
		// No request wakes what cannot have pods.
		r.deps.Sleep.set(key, false)
		if !errors.Is(err, errFaulty) {
			r.complain(key, w.key, err.Error())
		}
		next, err := r.leave(ctx, key, m, w)
		return r.again(m, next), err
	}
	name := types.NamespacedName{Namespace: key.Namespace, Name: should.deployment.Name}
	there, exists, err := r.writer.findDeployment(ctx, name)
	if err != nil {
		return ctrl.Result{}, err
	}
	if exists && !sameSelector(there, should.deployment) {
		if !r.writer.mayReplace(there) {
			r.deps.Sleep.set(key, false)
			r.complain(key, w.key, occupied(there).Error())
			return ctrl.Result{RequeueAfter: occupiedInterval}, nil
		}
		// It cannot be changed; the end of this one brings the next.
		return ctrl.Result{}, r.writer.remove(ctx, there)
	}
	// Said before it is done: what becomes of its hosts is then no surprise.
	awake, next := r.look(key, m, w, there)
	if err := r.makeDeployment(ctx, m, w, should, there, awake); err != nil {
		return ctrl.Result{}, err
	}
	if err := r.makeBudget(ctx, name, should.budget); err != nil {
		return ctrl.Result{}, err
	}
	r.complain(key, w.key, "")
	return r.again(m, next), nil
}

// again asks to look again at next, which is zero for never, or when the Secret of TLS wants it.
func (r *runtimeReconciler) again(m resources.Mesh, next time.Time) ctrl.Result {
	after := tlsLook(m)
	if !next.IsZero() {
		if until := max(next.Sub(r.now()), time.Millisecond); after == 0 || until < after {
			after = until
		}
	}
	return ctrl.Result{RequeueAfter: after}
}

// look answers whether there should be pods, and when to look again; zero for never.
func (r *runtimeReconciler) look(key types.NamespacedName, m resources.Mesh, w meshRuntime, there *appsv1.Deployment) (bool, time.Time) {
	f := facts{
		ScaleToZero: m.Config.ScaleToZero, want: w.want,
		usage:  usageOf(key.Namespace, key.Name, r.deps.Mesh.Hosts()),
		exists: there != nil, running: there != nil && podsOf(there) > 0,
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	after, next := r.rests[key].look(r.now(), f)
	r.rests[key] = after
	r.deps.Sleep.set(key, after.asleep(f))
	return after.awake, next
}

// makeDeployment and the autoscaler beside. On the way down the autoscaler goes first, and on the way up it comes last, so
// that it never sees a Deployment whose pods it should not count.
func (r *runtimeReconciler) makeDeployment(
	ctx context.Context, m resources.Mesh, w meshRuntime, should objects, there *appsv1.Deployment, awake bool,
) error {
	name := types.NamespacedName{Namespace: m.Namespace, Name: should.deployment.Name}
	scaler, scaled, err := find(ctx, r.writer.cached, name, &autoscalingv2.HorizontalPodAutoscaler{})
	if err != nil {
		return err
	}
	keep := awake && should.autoscaler != nil
	if scaled && !keep && r.writer.ours(scaler) {
		if err := r.writer.remove(ctx, scaler); err != nil {
			return err
		}
	}
	if err := r.writer.applyDeployment(ctx, should.deployment, there); err != nil {
		return err
	}
	before, after := int32(0), int32(0)
	if there != nil {
		before = podsOf(there)
	}
	if awake {
		after = podsWhenAwake(m, w, should)
	}
	if err := r.scale(ctx, w, should, before, after); err != nil {
		return err
	}
	if !keep {
		return nil
	}
	if !scaled {
		return r.writer.apply(ctx, should.autoscaler, nil)
	}
	return r.writer.apply(ctx, should.autoscaler, scaler)
}

// scale sets the number of pods to after, unless an autoscaler says how many there are.
func (r *runtimeReconciler) scale(ctx context.Context, w meshRuntime, should objects, before, after int32) error {
	if before == after || should.autoscaler != nil && before > 0 && after > 0 {
		return nil
	}
	if err := r.writer.scale(ctx, should.deployment, after); err != nil {
		return err
	}
	e := decide.Event{Object: w.key, Type: corev1.EventTypeNormal}
	name := should.deployment.Namespace + "/" + should.deployment.Name
	switch {
	case after == 0:
		e.Reason, e.Message = EventScaledToZero, fmt.Sprintf("Deployment %s has no pods any more: nobody needs them", name)
	case before == 0:
		e.Reason, e.Message = EventScaledUp, fmt.Sprintf("Deployment %s is to have %d pods", name, after)
	default:
		return nil // Its owner knows.
	}
	r.deps.Events.Record(e)
	return nil
}

// podsWhenAwake is how many a runtime has, or begins with where an autoscaler goes on.
func podsWhenAwake(m resources.Mesh, w meshRuntime, should objects) int32 {
	switch {
	case should.autoscaler != nil && should.autoscaler.Spec.MinReplicas != nil:
		return *should.autoscaler.Spec.MinReplicas
	case should.autoscaler != nil:
		return 1 // As the API server has it.
	case w.Spec.Replicas != nil:
		return int32(*w.Spec.Replicas)
	}
	return m.Config.PodsPerRuntime
}

func (r *runtimeReconciler) makeBudget(ctx context.Context, name types.NamespacedName, should *policyv1.PodDisruptionBudget) error {
	there, exists, err := find(ctx, r.writer.cached, name, &policyv1.PodDisruptionBudget{})
	if err != nil {
		return err
	}
	if !exists {
		return r.writer.apply(ctx, should, nil)
	}
	return r.writer.apply(ctx, should, there)
}

// complain tells the owner of a runtime once what is wrong with it; "" for nothing.
func (r *runtimeReconciler) complain(key types.NamespacedName, object decide.Key, complaint string) {
	r.mu.Lock()
	before := r.complaints[key]
	r.complaints[key] = complaint
	if complaint == "" {
		delete(r.complaints, key)
	}
	r.mu.Unlock()
	if complaint == "" || complaint == before {
		return
	}
	r.deps.Logger.Warn("a runtime is not deployed as it says", "namespace", key.Namespace, "runtime", key.Name, "reason", complaint)
	r.deps.Events.Record(decide.Event{
		Object: object, Type: corev1.EventTypeWarning, Reason: EventNotDeployed,
		Message: fmt.Sprintf("In namespace %s: %s", key.Namespace, complaint),
	})
}

func (r *runtimeReconciler) forget(key types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.rests, key)
	r.deps.Sleep.set(key, false)
	delete(r.complaints, key)
}
