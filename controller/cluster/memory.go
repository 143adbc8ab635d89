package cluster

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/reconcile"
	syncserver "github.com/wasmesh/wasmesh/controller/sync"
	"github.com/wasmesh/wasmesh/controller/writeback"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

const (
	// urgentWrites at a time, and how long all of one decision may take: the rows of all models wait for them.
	urgentWrites  = 16
	urgentTimeout = 10 * time.Second
)

// memory implements reconcile.Store: active models are annotations of their objects. What a change depends on is written
// before its rows are published; the rest the reconcilers write when they come by. Statuses are the reconcilers' too, and
// known hosts are pods, so nothing of those is kept.
//
// An object whose annotation the API server refuses to take, as an admission webhook may, or one that does not answer, holds
// up nobody: its change goes on, and a crash in the middle of it would have it begin anew.
type memory struct {
	objects interface {
		Object(decide.Key) client.Object
	}
	client client.Client
	logger *slog.Logger
	// durable is what is known to be written of the keys that are changing.
	mu      sync.Mutex
	durable map[decide.Key]written
}

// written is Memory as it was compared last: its pointers, not what they say.
type written struct {
	object  client.Object
	active  *syncv1.Model
	refused string
}

func newMemory(a *assembly) *memory {
	return &memory{objects: a.source, client: a.manager.GetClient(), logger: a.config.Logger, durable: map[decide.Key]written{}}
}

// SaveDecision implements reconcile.Store. A change that has just ended is written as well: otherwise a restart would begin
// it again.
func (m *memory) SaveDecision(active map[decide.Key]*syncv1.Model, refused map[decide.Key]string, changing map[decide.Key]bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), urgentTimeout)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(urgentWrites)
	save := func(key decide.Key, lasts bool) {
		wanted := written{m.objects.Object(key), active[key], refused[key]}
		if before, known := m.before(key); known && before == wanted && lasts {
			return
		}
		group.Go(func() error {
			err := m.write(ctx, key, wanted)
			if err == nil {
				m.note(key, wanted, lasts)
			}
			return err
		})
	}
	for key := range changing {
		save(key, true)
	}
	for _, key := range m.ended(changing) {
		save(key, false)
	}
	return group.Wait()
}

// ended answers the keys that were changing and are not any more.
func (m *memory) ended(changing map[decide.Key]bool) (ended []decide.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.durable {
		if !changing[key] {
			ended = append(ended, key)
		}
	}
	return ended
}

func (m *memory) before(key decide.Key) (written, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w, known := m.durable[key]
	return w, known
}

func (m *memory) note(key decide.Key, w written, lasts bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if lasts {
		m.durable[key] = w
	} else {
		delete(m.durable, key)
	}
}

// write compares with the cache, which may be behind: then the same is written again, and changes nothing.
func (m *memory) write(ctx context.Context, key decide.Key, w written) error {
	if w.object == nil {
		return nil // It was deleted, and its memory with it.
	}
	actual, err := writeback.Actual(ctx, m.client, w.object)
	if err == nil && actual != nil {
		err = writeback.WriteMemory(ctx, m.client, w.object, actual.GetAnnotations(), writeback.Memory{Active: w.active, Refused: w.refused})
	}
	if refusedAlone(err) {
		m.logger.Warn("the active model is not kept beside its object, a restart of the controller may lose it",
			"kind", key.Kind, "namespace", key.Namespace, "name", key.Name, "error", err)
		return nil
	}
	return err
}

// What the API server says of webhooks, whose answers else look as if they were its own: one without which nothing is to be
// written cannot be reached (k8s.io/apiserver/pkg/util/webhook, ErrCallingWebhook), an internal error; or it refuses, with
// whatever code it likes (k8s.io/apiserver/pkg/admission/plugin/webhook/errors, ToStatusErr).
const (
	webhookFailed  = "failed calling webhook"
	webhookRefused = "denied the request"
)

// refusedAlone says that an error is about one object, and another attempt would end the same.
func refusedAlone(err error) bool {
	var refusal apierrors.APIStatus
	if !errors.As(err, &refusal) {
		return false
	}
	for _, said := range []string{webhookFailed, webhookRefused} {
		if strings.Contains(refusal.Status().Message, said) {
			return true
		}
	}
	return refusal.Status().Code >= 400 && refusal.Status().Code < 500 &&
		!apierrors.IsTooManyRequests(err) && !apierrors.IsTimeout(err) && !apierrors.IsUnauthorized(err)
}

// SaveStatuses implements reconcile.Store.
func (m *memory) SaveStatuses(reconcile.Statuses) error { return nil }

// SaveHosts implements reconcile.Store.
func (m *memory) SaveHosts([]syncserver.HostKey) error { return nil }
