package writeback

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/reconcile"
)

// parallelWrites of one kind: an API server answers one in some milliseconds, and the client's rate limit bounds all.
const parallelWrites = 8

// Decisions are what is carried out; *reconcile.Loop has them.
type Decisions interface {
	// View answers the newest, nil before there is one, and a channel that is closed when there is a newer one.
	View() (*reconcile.View, <-chan struct{})
}

// Kind is what is special to one kind of object. Decided objects are of a View, actual ones of the cache or an answer of
// the API server.
type Kind[T client.Object] struct {
	// Name of the controller, and the kind in keys.
	Name, Kind string
	// New makes an empty object for the API server's answers, and Typed what it is to decide.
	New   func() client.Object
	Typed func(client.Object) T
	// Listed answers the decided objects of this kind, sorted by namespace and name.
	Listed func(*reconcile.View) []T
	// Mine says that a decided object is one of these; nil for all.
	Mine func(T) bool
	// Status answers what the status should be, in its JSON, given what others have put into the actual one; false when that
	// says it all, or nothing has been decided.
	Status func(decided, actual T) (status any, differs bool)
	// Left answers what an applied status has left of others', as a merge patch with nulls; nil for nothing.
	Left func(decided, actual T) any
}

// Reconciler carries out what was decided about the objects of one kind.
type Reconciler[T client.Object] struct {
	kind      Kind[T]
	client    client.Client
	decisions Decisions
}

// SetUp adds a Reconciler to the manager, fed by the objects' events and by what is decided.
func SetUp[T client.Object](mgr ctrl.Manager, kind Kind[T], decisions Decisions) error {
	r := &Reconciler[T]{kind: kind, client: mgr.GetClient(), decisions: decisions}
	err := builder.ControllerManagedBy(mgr).Named(kind.Name).For(kind.New()).
		WatchesRawSource(feed(r)).
		WithOptions(controller.Options{MaxConcurrentReconciles: parallelWrites}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up %s: %w", kind.Name, err)
	}
	return nil
}

// Reconcile implements reconcile.Reconciler: gather, compare, write what differs.
func (r *Reconciler[T]) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	view, _ := r.decisions.View()
	decided, found := r.decided(view, request.NamespacedName)
	if !found {
		return ctrl.Result{}, nil
	}
	object := r.kind.New()
	if err := r.client.Get(ctx, request.NamespacedName, object); err != nil {
		if apierrors.IsNotFound(err) {
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, fmt.Errorf("read %s %s: %w", r.kind.Kind, request, err)
	}
	actual := r.kind.Typed(object)
	if actual.GetUID() != decided.GetUID() || actual.GetDeletionTimestamp() != nil {
		return ctrl.Result{}, nil // The View that is about this one comes.
	}
	if err := r.status(ctx, decided, actual); err != nil {
		return ctrl.Result{}, err
	}
	key := decide.Key{Namespace: request.Namespace, Kind: r.kind.Kind, Name: request.Name}
	wanted := Memory{Active: view.Active[key], Refused: view.Refused[key]}
	return ctrl.Result{}, WriteMemory(ctx, r.client, decided, actual.GetAnnotations(), wanted)
}

func (r *Reconciler[T]) decided(view *reconcile.View, name types.NamespacedName) (decided T, found bool) {
	if view == nil {
		return decided, false
	}
	decided, found = find(r.kind.Listed(view), name)
	return decided, found && (r.kind.Mine == nil || r.kind.Mine(decided))
}

func (r *Reconciler[T]) status(ctx context.Context, decided, actual T) error {
	status, differs := r.kind.Status(decided, actual)
	if !differs {
		return nil
	}
	p := statusPatch{client: r.client, object: decided, version: actual.GetResourceVersion(), into: r.kind.New()}
	err := p.apply(ctx, status)
	if left := r.kind.Left(decided, actual); apierrors.IsInvalid(err) && left != nil {
		// Of an object in which others have a hold and all fields were ours, to apply without it leaves null. The event of
		// the merge brings the object up again.
		return p.merge(ctx, left)
	}
	if err != nil {
		return err
	}
	p.version = p.into.GetResourceVersion()
	if left := r.kind.Left(decided, r.kind.Typed(p.into)); left != nil {
		return p.merge(ctx, left)
	}
	return nil
}
