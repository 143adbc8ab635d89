package cluster

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func digestOf(module []byte) string {
	sum := sha256.Sum256(module)
	return hex.EncodeToString(sum[:])
}

// What decides outlives the controller, also a module that no single ConfigMap could hold; what is not needed any more goes.
func TestPoliciesAreKept(t *testing.T) {
	r := newRig(t)
	s := &state{client: r.client, namespace: r.own, logger: slog.New(slog.DiscardHandler)}
	// Noise, which no compression makes smaller.
	large := make([]byte, 2*partBytes+17)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(large)
	small := []byte("small")
	saved := map[string][]byte{digestOf(large): large, digestOf(small): small}
	r.must(s.SavePolicies([]byte(`{"a":1}`), saved))
	restored, err := s.policies(t.Context())
	r.must(err)
	if string(restored.Record) != `{"a":1}` || len(restored.Modules) != 2 ||
		!bytes.Equal(restored.Modules[digestOf(large)], large) || !bytes.Equal(restored.Modules[digestOf(small)], small) {
		t.Errorf("restored record %s and %d modules", restored.Record, len(restored.Modules))
	}

	r.must(s.SavePolicies([]byte(`{"a":2}`), map[string][]byte{digestOf(small): small}))
	present, err := s.modules(t.Context())
	r.must(err)
	if len(present) != 1 {
		t.Errorf("%d ConfigMaps with modules, want 1", len(present))
	}
	for _, cm := range present {
		cm.BinaryData[keyModule][len(cm.BinaryData[keyModule])/2] ^= 1
		r.must(r.client.Update(t.Context(), cm))
	}
	restored, err = s.policies(t.Context())
	r.must(err)
	if string(restored.Record) != `{"a":2}` || len(restored.Modules) != 0 {
		t.Errorf("restored record %s and %d modules, want none that is damaged", restored.Record, len(restored.Modules))
	}
}

// The term of a leader is above that of every leader before, whatever the clock says, and the record of policies stays.
func TestTermGrows(t *testing.T) {
	r := newRig(t)
	s := &state{client: r.client, namespace: r.own, logger: slog.New(slog.DiscardHandler)}
	first, err := s.nextTerm(t.Context())
	r.must(err)
	r.must(s.SavePolicies([]byte("record"), nil))
	cm := &corev1.ConfigMap{}
	r.must(r.client.Get(t.Context(), client.ObjectKey{Namespace: r.own, Name: stateName}, cm))
	// As one with a clock that is far ahead would have left it.
	cm.Data[keyTerm] = "9000000000000000000"
	r.must(r.client.Update(t.Context(), cm))
	second, err := s.nextTerm(t.Context())
	r.must(err)
	if first < 1_700_000_000_000 || second != 9000000000000000001 {
		t.Errorf("terms %d, %d", first, second)
	}
	restored, err := s.policies(t.Context())
	r.must(err)
	if string(restored.Record) != "record" {
		t.Errorf("record %q", restored.Record)
	}
}
