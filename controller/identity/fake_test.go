package identity

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// cluster is as much of an API server as an Authority sees.
type cluster struct {
	mu      sync.Mutex // guards below
	objects map[string]client.Object
	version int
	writes  int
	// tokens are what is said of each.
	tokens map[string]authenticationv1.TokenReviewStatus
	// fail is the answer to every call of these verbs, "create" say.
	fail map[string]error
}

func newCluster() *cluster {
	return &cluster{objects: map[string]client.Object{}, tokens: map[string]authenticationv1.TokenReviewStatus{}, fail: map[string]error{}}
}

func keyOf(object client.Object, key client.ObjectKey) string {
	return fmt.Sprintf("%T %s", object, key)
}

func (c *cluster) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.fail["get"]; err != nil {
		return err
	}
	kept, ok := c.objects[keyOf(object, key)]
	if !ok {
		return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
	}
	switch into := object.(type) {
	case *corev1.Secret:
		kept.(*corev1.Secret).DeepCopyInto(into)
	case *corev1.ConfigMap:
		kept.(*corev1.ConfigMap).DeepCopyInto(into)
	}
	return nil
}

func (c *cluster) Create(_ context.Context, object client.Object, _ ...client.CreateOption) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.fail["create"]; err != nil {
		return err
	}
	if review, ok := object.(*authenticationv1.TokenReview); ok {
		review.Status = c.tokens[review.Spec.Token]
		return nil
	}
	key := keyOf(object, client.ObjectKeyFromObject(object))
	if c.objects[key] != nil {
		return apierrors.NewAlreadyExists(schema.GroupResource{}, object.GetName())
	}
	return c.keep(key, object)
}

func (c *cluster) Update(_ context.Context, object client.Object, _ ...client.UpdateOption) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := keyOf(object, client.ObjectKeyFromObject(object))
	if c.objects[key] == nil || c.objects[key].GetResourceVersion() != object.GetResourceVersion() {
		return apierrors.NewConflict(schema.GroupResource{}, object.GetName(), nil)
	}
	return c.keep(key, object)
}

func (c *cluster) keep(key string, object client.Object) error {
	c.version++
	c.writes++
	object.SetResourceVersion(fmt.Sprint(c.version))
	c.objects[key] = object.DeepCopyObject().(client.Object)
	return nil
}

func (c *cluster) written() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writes
}

func (c *cluster) secret(t *testing.T, namespace, name string) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, secret); err != nil {
		t.Fatal(err)
	}
	return secret
}

func (c *cluster) trusted(t *testing.T, namespace string) string {
	t.Helper()
	config := &corev1.ConfigMap{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: CAConfigMap}, config); err != nil {
		t.Fatal(err)
	}
	return config.Data[CAKey]
}

// pod has the cluster know a token of a pod.
func (c *cluster) pod(token, namespace, pod string) {
	c.tokens[token] = authenticationv1.TokenReviewStatus{
		Authenticated: true, Audiences: []string{"wasmesh"},
		User: authenticationv1.UserInfo{
			Username: "system:serviceaccount:" + namespace + ":default",
			Extra:    map[string]authenticationv1.ExtraValue{podNameExtra: {pod}, podUIDExtra: {"1234"}},
		},
	}
}

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// logs keeps what is logged.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newTest makes an Authority of namespace "wasmesh" with a mesh in "models".
func newTest(t *testing.T) (*Authority, *cluster, *clock, *logs) {
	t.Helper()
	api, now, said := newCluster(), &clock{now: time.Now()}, &logs{}
	a, err := New(Config{
		Namespace: "wasmesh", Client: api, Now: now.Now,
		Logger: slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	a.SetNamespaces([]string{"models"})
	return a, api, now, said
}

// worked does everything that is due.
func worked(t *testing.T, a *Authority) time.Time {
	t.Helper()
	due, err := a.work(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return due
}
