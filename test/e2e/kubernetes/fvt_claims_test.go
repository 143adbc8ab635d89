//go:build cluster

package kubernetes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// claimForm is a volume that exists on the node, and a claim that is bound to it.
const claimForm = `
apiVersion: v1
kind: PersistentVolume
metadata: {name: %[1]s-%[2]s}
spec:
  capacity: {storage: 1Mi}
  accessModes: [ReadOnlyMany]
  storageClassName: ""
  hostPath: {path: %[3]q}
  claimRef: {namespace: %[1]s, name: %[2]s}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: %[2]s}
spec:
  accessModes: [ReadOnlyMany]
  storageClassName: ""
  volumeName: %[1]s-%[2]s
  resources: {requests: {storage: 1Mi}}
`

// claim makes one that holds model.json.
func (u *user) claim(name string) {
	u.t.Helper()
	dir := filepath.Join(u.t.TempDir(), name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		u.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "model.json"), []byte("{}"), 0o644); err != nil {
		u.t.Fatal(err)
	}
	u.apply(fmt.Sprintf(claimForm, u.namespace, name, dir))
	u.t.Cleanup(func() {
		// The test's context has ended. The volume goes after its claim, which goes with the namespace.
		if out, err := theCluster.Output(context.Background(), nil, "kubectl", "delete", "persistentvolume", u.namespace+"-"+name, "--wait=false"); err != nil {
			u.t.Errorf("%v\n%s", err, out)
		}
	})
}

// storageEntries replaces entries of the namespace's Secret; an empty one goes.
func (u *user) storageEntries(entries map[string]string) {
	u.t.Helper()
	var patch []string
	for name, entry := range entries {
		patch = append(patch, fmt.Sprintf("%q: %q", name, entry))
		if entry == "" {
			u.kubectl("patch", "secret", "storage-config", "--type=json", "-p", fmt.Sprintf(`[{"op": "remove", "path": "/data/%s"}]`, name))
			patch = patch[:len(patch)-1]
		}
	}
	if len(patch) > 0 {
		u.kubectl("patch", "secret", "storage-config", "--type=merge", "-p", "{\"stringData\": {"+strings.Join(patch, ", ")+"}}")
	}
}

// TestClaims: models on PersistentVolumeClaims, as InferenceServices name them.
func TestClaims(t *testing.T) {
	t.Parallel()
	u := newUser(t, "fvt-claims")
	for _, name := range []string{"one", "two", "three"} {
		u.claim(name)
	}
	// The last is of a claim that there is not, and must not keep pods from starting.
	u.storageEntries(map[string]string{
		"first": `{"type": "pvc", "name": "one"}`, "second": `{"type": "pvc", "name": "two"}`, "lost": `{"type": "pvc", "name": "lost"}`,
	})
	h := u.watch("inferenceservices")
	model := func(name, storage string) string {
		return "---\n" + inferenceService(name, "", "{model: {modelFormat: {name: alpha}, "+storage+"}}")
	}
	u.applyRuntimes(fakeRuntime("alpha"), "alpha")
	u.apply(model("by-uri", "storageUri: pvc://one/model.json") +
		model("by-parameters", "storage: {path: model.json, parameters: {type: pvc, name: one}}") +
		model("by-key", "storage: {key: second, path: model.json}") +
		model("on-another", "storageUri: pvc://two/model.json") +
		model("unlisted", "storageUri: pvc://three/model.json") +
		model("absent", "storageUri: pvc://absent/model.json") +
		model("lost", "storage: {key: lost, path: model.json}"))
	listed := []string{"by-uri", "by-parameters", "by-key", "on-another"}
	t.Run("in the storage secret", func(t *testing.T) {
		for _, name := range listed {
			h := h.in(t)
			h.expectLoaded(name)
			h.u.served(name)
		}
	})
	t.Run("not there", func(t *testing.T) {
		for name, claim := range map[string]string{"unlisted": "three", "absent": "absent", "lost": "lost"} {
			h.in(t).expectFailed(name, failure{reason: "ModelLoadFailed", located: true, message: claim})
		}
	})
	t.Run("any claim", func(t *testing.T) {
		h := h.in(t)
		setting(t, "allowAnyPVC", true)
		h.u.untilServed(h, "unlisted")
		// Claims that models name by themselves need no entry.
		h.u.storageEntries(map[string]string{"first": "", "second": ""})
		h.u.apply(model("anew", "storageUri: pvc://three/model.json"))
		h.u.untilServed(h, "anew")
		for _, name := range []string{"by-uri", "by-parameters", "on-another"} {
			h.u.served(name)
		}
		h.expectFailed("absent", failure{reason: "ModelLoadFailed", located: true, message: "absent"})
	})
}

// untilServed waits until a model is loaded, wherever it comes from.
func (u *user) untilServed(h *history, name string) {
	u.t.Helper()
	h.until(name, 0, "Loaded", func(r reading) bool { return r == loaded })
	u.served(name)
}
