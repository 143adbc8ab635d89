//go:build cluster

package guides

import (
	"strconv"
	"testing"
)

// TestMigrate is somebody who comes from ModelMesh: the commands of docs/migrate.md, in its order, in one shell.
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
	guide := read(t, "docs/migrate.md")
	guide.replace("NAMESPACE=modelmesh-serving\n", "NAMESPACE="+o.namespace+"\n") // "say yours", it says

	guide.section("1. See what will differ")
	unharmed(t, had, "looking")
	guide.section("2. Stop ModelMesh's controller")
	if got := o.kubectl("get", "pods", "--selector", "control-plane=modelmesh-controller", "-o", "name"); got != "" {
		t.Errorf("ModelMesh's controller runs on: %s", got)
	}
	guide.section("3. Install") // And wait for the rolling updates.
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
	guide.section("4. Look")
	o.served()
	t.Logf("people had %d objects", unharmed(t, had, "installing"))
	t.Run("footprint", func(t *testing.T) { (&owner{t, o.namespace}).footprint(setting(t, "MODELS", 20, strconv.Atoi)) })

	had = possessions(t)
	guide.section("5. Go back, if you want to")
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
