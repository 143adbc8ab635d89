package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wasmesh/wasmesh/controller/identity"
)

// What every pod of a mesh mounts is there again soon after somebody has deleted or emptied it.
func TestIdentityIsKept(t *testing.T) {
	r := newRig(t)
	r.run()
	key := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: r.own, Name: identity.MeshKeySecret}}
	until(r, &corev1.SecretList{}, key, "a key", func() bool { return len(key.Data[identity.MeshKeyKey]) > 0 })
	trusted := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: r.own, Name: identity.CAConfigMap}}
	until(r, &corev1.ConfigMapList{}, trusted, "authorities", func() bool { return trusted.Data[identity.CAKey] != "" })

	first := key.UID
	r.must(r.client.Delete(t.Context(), key))
	until(r, &corev1.SecretList{}, key, "a key again", func() bool { return key.UID != first && len(key.Data[identity.MeshKeyKey]) > 0 })
	r.edit(trusted, func() { trusted.Data = nil })
	until(r, &corev1.ConfigMapList{}, trusted, "authorities again", func() bool { return trusted.Data[identity.CAKey] != "" })
}
