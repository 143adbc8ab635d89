//go:build cluster

package kubernetes

import (
	"strings"
	"testing"
)

// TestRemovals: what a mesh needs is taken from it. It says so, goes on with the rest, and with what was taken when that is
// back.
func TestRemovals(t *testing.T) {
	t.Parallel()
	u := newUser(t, "removals")
	secret := u.kubectl("get", "secret", "storage-config", "-o", "yaml")
	u.kubectl("delete", "secret", "storage-config")
	u.put(map[string]string{"one.json": "{}"})
	h := u.watch("predictors")
	u.applyRuntimes(fakeRuntime("alpha")+"---"+customRuntime("beta"), "alpha", "beta")
	u.apply(predictor("first", u.specForm("storage", "alpha", "one.json")) + "---\n" + predictor("second", u.specForm("storage", "beta", "one.json")))

	// Without its Secret the pods come up all the same.
	for _, deployment := range []string{"deployment/modelmesh-serving-alpha", "deployment/modelmesh-serving-beta"} {
		u.untilField(deployment, ".status.readyReplicas", "1")
	}
	h.expectFailed("first", failure{reason: "ModelLoadFailed", located: true, message: "Storage secretKey not found: localMinIO"})
	u.apply(withoutVersion(secret))
	u.untilServed(h, "first")
	u.untilServed(h, "second")

	// A runtime in use goes, and with it its pods; what others hold does not.
	mark := h.mark("first")
	u.kubectl("delete", "servingruntime", "alpha")
	gone := h.until("first", mark, "without a runtime", func(r reading) bool { return !r.Available && r.Failure != nil })
	failure{reason: "NoSupportingRuntime", whole: true, message: "No ServingRuntime supports specified model type and/or protocol"}.
		check(t, "first", gone[len(gone)-1].Failure)
	u.eventually("the Deployment is gone", func() bool {
		return !strings.Contains(u.kubectl("get", "deployments", "-o", "name"), "modelmesh-serving-alpha")
	})
	u.served("second")
	mark = h.mark("first")
	u.apply(fakeRuntime("alpha"))
	h.until("first", mark, "Loaded", func(r reading) bool { return r == loaded })
	u.served("first")
}

// withoutVersion lets an object that was deleted be made again.
func withoutVersion(yaml string) string {
	var kept strings.Builder
	for line := range strings.Lines(yaml) {
		if !strings.HasPrefix(line, "  resourceVersion:") && !strings.HasPrefix(line, "  uid:") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// TestNamespaceInUse: a namespace goes with everything in it, a loaded model among it, and the controller serves the
// others.
func TestNamespaceInUse(t *testing.T) {
	t.Parallel()
	admin := &user{t, releaseNamespace}
	before := admin.controllerPods()
	u := newUser(t, "ending")
	u.put(map[string]string{"one.json": "{}"})
	h := u.watch("predictors")
	u.applyRuntimes(fakeRuntime("alpha"), "alpha")
	u.apply(predictor("asked", u.specForm("storage", "alpha", "one.json")))
	h.expectLoaded("asked")
	u.served("asked")
	u.kubectl("delete", "namespace", u.namespace, "--wait=false")
	u.eventually("the namespace is gone", func() bool {
		return u.kubectl("get", "namespace", u.namespace, "--ignore-not-found", "-o", "name") == ""
	})
	// Under its name there may be another.
	again := newUser(t, u.namespace)
	again.applyRuntimes(fakeRuntime("alpha"), "alpha")
	again.apply(predictor("new", u.specForm("storage", "alpha", "one.json")))
	again.watch("predictors").expectLoaded("new")
	again.served("new")
	if after := admin.controllerPods(); after != before {
		t.Errorf("pods of the controller and their restarts: %s, before %s", after, before)
	}
}

// controllerPods has their names, and how often they were restarted.
func (u *user) controllerPods() string {
	u.t.Helper()
	return u.kubectl("get", "pods", "--selector", "app.kubernetes.io/component=controller",
		"-o", "jsonpath={range .items[*]}{.metadata.name} {.status.containerStatuses[*].restartCount} {end}")
}
