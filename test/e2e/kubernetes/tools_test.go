//go:build cluster

package kubernetes

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	// patience is how long anything may take that ends by itself, such as a pod that comes up.
	patience = 3 * time.Minute
	// lookAgain is the pause between two looks: each is a kubectl, which costs more than what it looks at.
	lookAgain = 500 * time.Millisecond
)

// user is somebody who works in one namespace.
type user struct {
	t         *testing.T
	namespace string
}

// newUser makes a namespace with a mesh, which goes with the test. Storage is the quickstart's.
func newUser(t *testing.T, namespace string) *user {
	t.Helper()
	u := &user{t, namespace}
	// One of an earlier run may still be going.
	said := ""
	if !u.eventually("there is no namespace "+namespace, func() (created bool) {
		out, err := u.try("create", "namespace", namespace)
		said = out
		return err == nil
	}) {
		t.Fatal(said)
	}
	t.Cleanup(func() {
		if t.Failed() {
			u.explain()
		}
		// The test's context has ended. A namespace with pods takes more than a minute to go, whoever made them:
		// TestNamespaceInUse waits for one.
		if out, err := theCluster.Output(context.Background(), nil, "kubectl", "delete", "namespace", namespace, "--wait=false", "--ignore-not-found"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	secret := (&user{t, releaseNamespace}).kubectl("get", "secret", "storage-config", "-o", "jsonpath={.data.localMinIO}")
	u.apply(fmt.Sprintf("{apiVersion: v1, kind: Secret, metadata: {name: storage-config}, data: {localMinIO: %q}}", secret))
	u.kubectl("label", "namespace", namespace, "modelmesh-enabled=true")
	return u
}

// kubectl must succeed; it answers what was printed.
func (u *user) kubectl(args ...string) string {
	u.t.Helper()
	out, err := u.try(args...)
	if err != nil {
		u.t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// try is kubectl that may fail.
func (u *user) try(args ...string) (string, error) {
	return theCluster.Output(u.t.Context(), nil, "kubectl", append([]string{"--namespace", u.namespace}, args...)...)
}

// apply is `kubectl apply -f -`; flags such as --server-side go along.
func (u *user) apply(yaml string, flags ...string) string {
	u.t.Helper()
	out, err := u.tryApply(yaml, flags...)
	if err != nil {
		u.t.Fatalf("%v\n%s\n%s", err, out, yaml)
	}
	return out
}

func (u *user) tryApply(yaml string, flags ...string) (string, error) {
	return u.tryWith(yaml, append([]string{"apply"}, flags...)...)
}

// applyRuntimes applies ServingRuntimes, and waits until the controller has made the Deployments of those named. What is
// applied at once with its runtime may be seen before it, and be without one for a moment.
func (u *user) applyRuntimes(yaml string, names ...string) {
	u.t.Helper()
	u.apply(yaml)
	for _, name := range names {
		u.untilField("deployment/modelmesh-serving-"+name, ".metadata.name", "modelmesh-serving-"+name)
	}
}

// tryWith is a kubectl that reads a file, such as apply or replace.
func (u *user) tryWith(yaml string, args ...string) (string, error) {
	return theCluster.Output(u.t.Context(), strings.NewReader(yaml), "kubectl", append(args, "--namespace", u.namespace, "--filename", "-")...)
}

// field is one field of an object, by JSONPath without braces, such as ".status.url".
func (u *user) field(object, path string) string {
	u.t.Helper()
	return u.kubectl("get", object, "-o", "jsonpath={"+path+"}")
}

// eventually waits until the condition holds. When it does not within patience, the test has failed, and false is answered.
func (u *user) eventually(what string, condition func() bool) bool {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), patience)
	defer cancel()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for !condition() {
		select {
		case <-again.C:
		case <-ctx.Done():
			u.t.Errorf("not within %v: %s", patience, what)
			return false
		}
	}
	return true
}

// untilField waits until a field has the value.
func (u *user) untilField(object, path, want string) {
	u.t.Helper()
	got := ""
	if !u.eventually(fmt.Sprintf("%s of %s is %q", path, object, want), func() bool {
		out, err := u.try("get", object, "-o", "jsonpath={"+path+"}")
		got = out
		return err == nil && out == want
	}) {
		u.t.Fatalf("%s of %s is %q", path, object, got)
	}
}

// explain logs what a person would look at after a failure.
func (u *user) explain() {
	for _, args := range [][]string{
		{"get", "isvc,predictors,pods,deployments,events", "--namespace", u.namespace},
		{"logs", "--namespace", releaseNamespace, "deployment/" + controllerService, "--tail=40"},
		{"logs", "--namespace", u.namespace, "--selector", "modelmesh-service=modelmesh-serving", "--container", "mm", "--tail=40", "--prefix"},
	} {
		out, _ := theCluster.Output(context.Background(), nil, "kubectl", args...)
		u.t.Logf("kubectl %s:\n%s", strings.Join(args, " "), out)
	}
}
