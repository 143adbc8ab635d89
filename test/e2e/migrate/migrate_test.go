//go:build cluster

package migrate

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// guide is the document that is executed.
const guide = "docs/migrate.md"

// TestMigrate is somebody who comes from ModelMesh: the commands of the guide, in its order, in one shell.
func TestMigrate(t *testing.T) {
	empty(t)
	o := newOwner(t, "from-modelmesh")
	o.store()
	o.modelMesh()
	o.declare()

	had := possessions(t)
	deployments := map[string]string{}
	for _, r := range runtimes {
		deployments[r.name] = o.field("deployment/modelmesh-serving-"+r.name, ".metadata.uid")
	}
	service := o.field("service/modelmesh-serving", ".metadata.uid")
	blocks, sh := commands(t, guide), newShell(t)
	if got := slices.Sorted(maps.Keys(blocks)); !slices.Equal(got, []string{"1", "2", "3", "4", "5"}) {
		t.Fatalf("%s has commands in sections %q: what is new has to be tried here", guide, got)
	}
	section := func(number string) {
		t.Helper()
		for _, block := range blocks[number] {
			// "say yours", says the guide.
			t.Logf("section %s\n%s", number, sh.run(strings.Replace(block, "NAMESPACE=modelmesh-serving\n", "NAMESPACE="+o.namespace+"\n", 1)))
		}
	}

	section("1") // See what will differ.
	unharmed(t, had, "looking")
	section("2") // Stop ModelMesh's controller.
	if got := o.kubectl("get", "pods", "--selector", "control-plane=modelmesh-controller", "-o", "name"); got != "" {
		t.Errorf("ModelMesh's controller runs on: %s", got)
	}
	section("3") // Install, and wait for the rolling updates.
	for _, r := range runtimes {
		d := "deployment/modelmesh-serving-" + r.name
		if got := o.field(d, ".metadata.uid"); got != deployments[r.name] {
			t.Errorf("%s was not taken over in place", d)
		}
		o.untilField(d, ".spec.template.spec.containers[*].name", "server mm")
		o.untilField(d, ".status.updatedReplicas", "1")
	}
	if got := o.field("service/modelmesh-serving", ".metadata.uid"); got != service {
		t.Error("the Service was not taken over in place")
	}
	section("4") // Look.
	o.served()
	t.Logf("people had %d objects", unharmed(t, had, "installing"))
	t.Run("footprint", func(t *testing.T) { (&owner{t, o.namespace}).footprint(setting(t, "MODELS", 20, strconv.Atoi)) })

	had = possessions(t)
	section("5") // Go back.
	t.Logf("people had %d objects", unharmed(t, had, "going back"))
	o.kubectl("rollout", "status", "deployment/modelmesh-controller", "--timeout=2m")
	for _, r := range runtimes {
		if got := o.field("deployment/modelmesh-serving-"+r.name, ".metadata.uid"); got != deployments[r.name] {
			t.Errorf("the Deployment of %s went with the release", r.name)
		}
	}
	// Until ModelMesh has replaced them, the pods serve on.
	o.answers(sklearnISVC, sklearnModel)
}
