package chart

import (
	"strings"
	"testing"
)

// What is wrong is refused with a message that leads to the value; nobody finds out from a pod that does not start.
func TestBadValuesAreRefused(t *testing.T) {
	for _, test := range []struct {
		name string
		set  string
		want []string
	}{
		{"unknown value", "quickStart.enabled=true", []string{"quickStart"}},
		{"unknown value below", "crds.instal=false", []string{"/crds", "instal"}},
		{"unknown runtime", "runtimes.vllm.enabled=true", []string{"/runtimes", "vllm"}},
		{"no boolean", "namespaceScope=maybe", []string{"/namespaceScope", "boolean"}},
		{"pull policy", "images.pullPolicy=Sometimes", []string{"/images/pullPolicy", "IfNotPresent"}},
		{"digest", "images.digests.host=latest", []string{"/images/digests/host", "sha256:"}},
		{"registry that ends in a slash", "images.registry=ghcr.io/wasmesh/", []string{"/images/registry"}},
		{"log level", "controller.logLevel=verbose", []string{"/controller/logLevel", "debug"}},
		{"quantity", "controller.resources.limits.memory=much", []string{"/controller/resources/limits/memory"}},
		{"flag without dashes", "controller.extraArgs={log-level=debug}", []string{"/controller/extraArgs/0"}},
		{"replicas", "controller.replicas=9", []string{"/controller/replicas", "5"}},
		{"runtime's replicas", "runtimes.mlserver.replicas=-1", []string{"/runtimes/mlserver/replicas"}},
		{"namespace that cannot be", "userNamespaces={Team_A}", []string{"/userNamespaces/0"}},
		{"namespace twice", "userNamespaces={a,a}", []string{"/userNamespaces"}},
		{"interval", "metrics.serviceMonitor.interval=often", []string{"/metrics/serviceMonitor/interval"}},
		{"namespaces in namespace scope", "namespaceScope=true,userNamespaces={a}", []string{"userNamespaces needs a controller for the whole cluster"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, _, err := helm(t, "template", release, chartDir(t), "--set", test.set)
			if err == nil {
				t.Fatalf("rendered:\n%.500s", out)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("message lacks %q: %v", want, err)
				}
			}
		})
	}
}

// Every value is described where people look for it, and everything that the schema knows has a default.
func TestValuesAndSchemaAgree(t *testing.T) {
	values := readObject(t, "values.yaml")
	schema := readObject(t, "values.schema.json")
	definitions := schema.at("definitions").(map[string]any)
	var check func(path string, values, schema map[string]any)
	check = func(path string, values, schema map[string]any) {
		properties, _ := schema["properties"].(map[string]any)
		for name := range values {
			if _, known := properties[name]; !known {
				t.Errorf("values.yaml has %s%s, which the schema does not", path, name)
			}
		}
		for name, property := range properties {
			value, has := values[name]
			if !has && path+name != "global" {
				t.Errorf("the schema has %s%s, which values.yaml does not", path, name)
			}
			fields, _ := property.(map[string]any)
			if reference, is := fields["$ref"].(string); is {
				fields, _ = definitions[strings.TrimPrefix(reference, "#/definitions/")].(map[string]any)
			}
			below, is := value.(map[string]any)
			// Empty maps are the user's to fill.
			if _, closed := fields["properties"]; is && closed && len(below) > 0 && !strings.HasSuffix(path+name, "resources") {
				check(path+name+".", below, fields)
			}
		}
	}
	check("", values, schema)
}
