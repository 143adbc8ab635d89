//go:build cluster

package kubernetes

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// specForms are the ways in which a Predictor of a format names a file of the store: as documented now, by parameters
// alone, and both deprecated ones.
var specForms = map[string]string{
	"storage":    `{modelType: {name: %s}, storage: {key: localMinIO, path: %s}}`,
	"parameters": `{modelType: {name: %s, version: "1"}, protocolVersion: grpc-v2, storage: {key: localMinIO, path: %s, parameters: {type: s3, bucket: modelmesh-example-models}}}`,
	"s3":         `{modelType: {name: %s}, path: %s, storage: {s3: {secretKey: localMinIO, bucket: modelmesh-example-models}}}`,
	"s3-default": `{modelType: {name: %s}, path: %s, storage: {s3: {secretKey: localMinIO}}}`,
}

// specForm is a Predictor's spec for a file of the namespace.
func (u *user) specForm(form, format, file string) string {
	return fmt.Sprintf(specForms[form], format, u.namespace+"/"+file)
}

// testLifecycle: a Predictor of each form is created and loaded, then another of its type and one of another
// type beside it; it is updated to another path, and then to one that is not there; and goes.
func testLifecycle(t *testing.T, h *history) {
	for form := range specForms {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			h := h.in(t)
			u := h.u
			first, same, other := form+"-first", form+"-same", form+"-other"
			u.apply(predictor(first, u.specForm(form, "alpha", "one.json")))
			h.expectLoaded(first)
			u.apply(predictor(same, u.specForm(form, "alpha", "three.json")) + "---\n" + predictor(other, u.specForm(form, "beta", "one.json")))
			h.expectLoaded(same)
			h.expectLoaded(other)
			for _, name := range []string{first, same, other} {
				u.served(name)
			}
			if got := h.update(first, u.specForm(form, "alpha", "two.json")); !slices.Contains(got, "Loading") {
				t.Errorf("the target of %s went %q", first, got)
			}
			h.block(first, u.specForm(form, "alpha", "absent.json"))
			h.update(first, u.specForm(form, "alpha", "three.json"))
			u.kubectl("delete", "predictor", first, same, other)
			u.eventually("the models of deleted Predictors are gone", func() bool { return u.gone(first) && u.gone(same) && u.gone(other) })
		})
	}
}

// testTransition: a Predictor goes to a model of another type, which another runtime holds, while it is asked.
func testTransition(t *testing.T, h *history) {
	h.u.apply(predictor("moving", h.u.specForm("storage", "alpha", "one.json")))
	h.expectLoaded("moving")
	h.update("moving", h.u.specForm("storage", "beta", "one.json"))
	h.update("moving", h.u.specForm("storage", "alpha", "three.json"))
}

// update has a loaded Predictor go to another model: the old one serves until the new one does. It answers the states of the
// new one on the way: one that is short may not have been written.
func (h *history) update(name, spec string) []string {
	h.u.t.Helper()
	before, mark := h.u.served(name), h.mark(name)
	h.u.apply(predictor(name, spec))
	h.u.eventually(name+" is served by another model", func() bool { return h.u.served(name) != before })
	h.u.eventually(name+" is up to date", func() bool {
		all := h.seen.of(name, 0)
		return all[len(all)-1] == loaded
	})
	all := h.seen.of(name, mark)
	got := steps(all, target)
	if !inOrder(got, "FailedToLoad", "Pending", "Loading", "Loaded", "") {
		h.u.t.Errorf("the target of %s went %q:\n%s", name, got, lines(all))
	}
	for _, r := range all {
		if !r.Available || r.Active != "Loaded" || (r.Target == "Pending" || r.Target == "Loading") && r.Transition != "InProgress" {
			h.u.t.Errorf("%s during its update: %v", name, r)
		}
	}
	return got
}

// block has a loaded Predictor go to a model that cannot be loaded: the old one serves on.
func (h *history) block(name, spec string) {
	h.u.t.Helper()
	before, mark := h.u.served(name), h.mark(name)
	h.u.apply(predictor(name, spec))
	blocked := reading{Available: true, Transition: "BlockedByFailedLoad", Active: "Loaded", Target: "FailedToLoad"}
	all := h.until(name, mark, "BlockedByFailedLoad", func(r reading) bool { return r.without() == blocked })
	failure{reason: "ModelLoadFailed", located: true}.check(h.u.t, name, all[len(all)-1].Failure)
	for _, r := range all {
		if !r.Available || r.Active != "Loaded" {
			h.u.t.Errorf("%s while its update failed: %v", name, r)
		}
	}
	if after := h.u.served(name); after != before {
		h.u.t.Errorf("%s is served by %s, not by %s", name, after, before)
	}
}

// testStatus: what is documented of one Predictor, from its creation to its deletion, as kubectl shows it.
func testStatus(t *testing.T, h *history) {
	u := h.u
	u.apply(predictor("mnist", u.specForm("storage", "alpha", "two.json")))
	first := h.until("mnist", 0, "its first status", func(r reading) bool { return r.Active != "" })
	if last := first[len(first)-1]; last.Available || last.Transition != "UpToDate" {
		t.Errorf("the first status is %v", last)
	}
	if got := h.expectLoaded("mnist"); !slices.Contains(got, "Loading") {
		t.Errorf("it went %q", got)
	}
	id := u.served("mnist")
	if !strings.HasPrefix(id, "mnist__ksp-") || len(id) != len("mnist__ksp-0123456789") {
		t.Errorf("the model's id is %q", id)
	}
	for path, want := range map[string]string{
		".status.available":        "true",
		".status.grpcEndpoint":     "grpc://modelmesh-serving.fvt-models:8033",
		".status.httpEndpoint":     "http://modelmesh-serving.fvt-models:8008",
		".status.failedCopies":     "0",
		".status.totalCopies":      "1",
		".status.targetModelState": "",
		".status.lastFailureInfo":  "",
	} {
		if got := u.field("predictor/mnist", path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	u.columns("TYPE AVAILABLE ACTIVEMODEL TARGETMODEL TRANSITION", "mnist alpha true Loaded UpToDate")
	h.block("mnist", u.specForm("storage", "alpha", "absent.json"))
	u.columns("TYPE AVAILABLE ACTIVEMODEL TARGETMODEL TRANSITION", "mnist alpha true Loaded FailedToLoad BlockedByFailedLoad")
	if got := u.field("predictor/mnist", ".status.lastFailureInfo.modelId"); !strings.HasPrefix(got, "mnist__ksp-") || got == id {
		t.Errorf("the failed model's id is %q", got)
	}
	u.kubectl("delete", "predictor", "mnist", "--timeout=30s")
	u.eventually("the model of the deleted Predictor is gone", func() bool { return u.gone("mnist") })
}

// columns compares the table of `kubectl get predictors mnist`, ages aside.
func (u *user) columns(header, row string) {
	u.t.Helper()
	got := strings.Split(u.kubectl("get", "predictors", "mnist"), "\n")
	want := []string{"NAME " + header + " AGE", row}
	if len(got) != 2 || strings.Join(strings.Fields(got[0]), " ") != want[0] || !strings.HasPrefix(strings.Join(strings.Fields(got[1]), " "), want[1]+" ") {
		u.t.Errorf("kubectl get predictors mnist:\n%s\nwant %q", strings.Join(got, "\n"), want)
	}
}
