package identity

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/sdk/meshcert"
)

func TestNamespacesAreGivenWhatTheyNeed(t *testing.T) {
	a, api, _, said := newTest(t)
	worked(t, a)
	select {
	case <-a.Ready():
	default:
		t.Error("not ready")
	}
	ca := api.secret(t, "wasmesh", CASecret)
	key := string(api.secret(t, "models", MeshKeySecret).Data[MeshKeyKey])
	if got := api.trusted(t, "models"); got != string(ca.Data[signerCertKey]) || got == "" {
		t.Errorf("to be trusted: %q", got)
	}
	if len(key) != 64 {
		t.Errorf("a key of %d digits", len(key))
	}
	// At rest nothing is written.
	before := api.written()
	worked(t, a)
	if got := api.written() - before; got != 0 {
		t.Errorf("%d writes without a reason", got)
	}
	// A namespace that comes has its own key; one that was changed by somebody is set right.
	a.SetNamespaces([]string{"models", "other"})
	changed := &corev1.ConfigMap{}
	if err := api.Get(t.Context(), client.ObjectKey{Namespace: "models", Name: CAConfigMap}, changed); err != nil {
		t.Fatal(err)
	}
	changed.Data[CAKey] = "nobody"
	if err := api.Update(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	worked(t, a)
	if other := string(api.secret(t, "other", MeshKeySecret).Data[MeshKeyKey]); other == key || len(other) != 64 {
		t.Error("two namespaces have one key")
	}
	if api.trusted(t, "models") != api.trusted(t, "other") {
		t.Error("the ConfigMap that was changed has stayed so")
	}
	if string(api.secret(t, "models", MeshKeySecret).Data[MeshKeyKey]) != key {
		t.Error("the key has changed without a reason")
	}
	for _, secret := range []string{key, "PRIVATE", string(ca.Data[signerKeyKey])[40:80]} {
		if strings.Contains(said.String(), secret) {
			t.Error("the log has a secret in it")
		}
	}
}

// Another controller goes on with what this one has made.
func TestARestartChangesNothing(t *testing.T) {
	a, api, _, _ := newTest(t)
	worked(t, a)
	before := api.written()
	again, err := New(Config{Namespace: "wasmesh", Client: api, Logger: a.logger})
	if err != nil {
		t.Fatal(err)
	}
	again.SetNamespaces([]string{"models"})
	worked(t, again)
	if got := api.written() - before; got != 0 {
		t.Errorf("%d writes by a controller that has started again", got)
	}
	if !again.present.Load().authorities.signer.cert.Equal(a.present.Load().authorities.signer.cert) {
		t.Error("another authority")
	}
}

// The serving certificate and everything else is replaced when it is time, with nobody asking.
func TestRunDoesWhatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newCluster()
		a, _, _, _ := newTest(t)
		a.config.Client, a.config.Now = api, time.Now
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		<-a.Ready()
		synctest.Wait()
		first := a.present.Load()
		for range 400 {
			time.Sleep(24 * time.Hour) // In the bubble, no time passes.
			synctest.Wait()
			now := a.present.Load()
			if time.Until(now.serving.Leaf.NotAfter) < certificateLife/4 {
				t.Fatalf("the serving certificate ends in %v", time.Until(now.serving.Leaf.NotAfter))
			}
			if err := meshcert.Verify(chainOf(t, now), now.pool, x509.ExtKeyUsageServerAuth, time.Now()); err != nil {
				t.Fatal(err)
			}
			if api.trusted(t, "models") != string(now.bundle) {
				t.Fatal("a namespace trusts others than the controller does")
			}
		}
		if a.present.Load().authorities.signer.cert.Equal(first.authorities.signer.cert) {
			t.Error("the authority is still the first after 400 days")
		}
		if phase := api.secret(t, "models", MeshKeySecret).Annotations[phaseAnnotation]; phase != string(steady) {
			t.Errorf("the mesh's key is %s", phase)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// What fails is tried again, and is said; what was there stays in use.
func TestRunOutlivesTheAPIServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newCluster()
		a, _, _, said := newTest(t)
		a.config.Client, a.config.Now = api, time.Now
		api.fail["get"] = errors.New("the API server is away")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		if attempts := strings.Count(said.String(), "is away"); attempts < 4 || attempts > 10 {
			t.Errorf("%d attempts in a minute", attempts)
		}
		api.mu.Lock()
		delete(api.fail, "get")
		api.mu.Unlock()
		<-a.Ready()
		// A Secret that was damaged is nobody's to overwrite.
		secret := api.secret(t, "wasmesh", CASecret)
		secret.Data[signerKeyKey] = []byte("damaged")
		if err := api.Update(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
		before := a.present.Load()
		a.recheck()
		time.Sleep(time.Second)
		synctest.Wait()
		if a.present.Load() != before || !strings.Contains(said.String(), "delete it") {
			t.Error("a damaged Secret has changed what is in use, or nobody is told")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
