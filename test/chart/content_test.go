package chart

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/wasmesh/wasmesh/controller/config"
	"github.com/wasmesh/wasmesh/runtimes/builtin"
	"github.com/wasmesh/wasmesh/test/installed"
)

func readObject(t *testing.T, name string) object {
	t.Helper()
	var o object
	if err := yaml.Unmarshal(readFile(t, filepath.Join(chartDir(t), name)), &o); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return o
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// The chart has copies, because a chart cannot reach outside of its directory.
func TestRuntimesAreThoseOfTheirAdapters(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(chartDir(t), "files", "runtimes", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		source := filepath.Join(installed.Root(t), "runtimes", strings.TrimSuffix(filepath.Base(file), ".yaml"), "servingruntime.yaml")
		compare(t, file, string(readFile(t, source)))
	}
}

// A runtime is on by default when models of it would load, and said to be off when they would not.
func TestRuntimesThatAreOnHaveAnAdapter(t *testing.T) {
	for serverType, values := range readObject(t, "values.yaml").at("runtimes").(map[string]any) {
		_, err := builtin.Lookup(serverType)
		if on := values.(map[string]any)["enabled"]; on != (err == nil) {
			t.Errorf("%s: enabled is %v in values.yaml, and its adapter: %v", serverType, on, err)
		}
	}
}

// The chart's file says what holds without it, so that nobody is misled by reading either.
func TestConfigDefaultsAreTheController(t *testing.T) {
	content := readFile(t, filepath.Join(chartDir(t), "files", "config-defaults.yaml"))
	parsed, warnings, err := config.Parse(content, nil)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	got, want := mustYAML(t, parsed), mustYAML(t, config.Default())
	if got != want {
		t.Errorf("files/config-defaults.yaml makes\n%s\nwithout it there is\n%s", got, want)
	}
}

func mustYAML(t *testing.T, value any) string {
	t.Helper()
	content, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// Upgrades reach the CustomResourceDefinitions, uninstalling does not, and their content is what the types say.
func TestCustomResourceDefinitions(t *testing.T) {
	const keep = "helm.sh/resource-policy"
	for _, test := range []struct {
		name string
		set  string
		want []string
		keep any
	}{
		{"default", "crds.keep=true", []string{"clusterservingruntimes", "inferenceservices", "predictors", "servingruntimes"}, "keep"},
		{"to go with the release", "crds.keep=false", []string{"clusterservingruntimes", "inferenceservices", "predictors", "servingruntimes"}, nil},
		{"of one namespace", "namespaceScope=true", []string{"inferenceservices", "predictors", "servingruntimes"}, "keep"},
		{"none", "crds.install=false", nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, o := range objects(t, render(t, "--set", test.set)) {
				if o.kind() != "CustomResourceDefinition" {
					continue
				}
				got = append(got, strings.TrimSuffix(o.name(), ".serving.kserve.io"))
				source := readObject(t, filepath.Join("files", "crds", "serving.kserve.io_"+got[len(got)-1]+".yaml"))
				if !reflect.DeepEqual(o["spec"], source["spec"]) {
					t.Errorf("%s is not as generated", o.name())
				}
				if is := o.at("metadata", "annotations").(map[string]any)[keep]; is != test.keep {
					t.Errorf("%s: %s is %v", o.name(), keep, is)
				}
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// The chart installs on Kubernetes 1.30, whose API server refuses a policy that calls what later ones know: formats of
// 1.31, comprehensions of two variables of 1.32, lists and versions of 1.34 (k8s.io/apiserver, pkg/cel/environment).
func TestAdmissionPoliciesCompileOnTheOldestCluster(t *testing.T) {
	for _, o := range objects(t, render(t)) {
		if o.kind() != "ValidatingAdmissionPolicy" {
			continue
		}
		text := mustYAML(t, o["spec"])
		for _, later := range []string{
			"flatten(", "slice(", "distinct(", "sort(", "sortBy(", "reverse(", "lists.range(", ".first(", ".last(",
			"transformList(", "transformMap(", "format.", "ip(", "cidr(", "semver(",
		} {
			if strings.Contains(text, later) {
				t.Errorf("%s calls %s", o.name(), later)
			}
		}
	}
}

// The first group of Predictor has the same schema.
func TestLegacyPredictor(t *testing.T) {
	all := objects(t, render(t, "--set", "predictor.legacyGroup=true"))
	old := find(t, all, "CustomResourceDefinition", "predictors.wmlserving.ai.ibm.com")
	now := find(t, all, "CustomResourceDefinition", "predictors.serving.kserve.io")
	version := func(o object) map[string]any { return o.at("spec", "versions").([]any)[0].(map[string]any) }
	if old.at("spec", "group") != "wmlserving.ai.ibm.com" || version(old)["name"] != "v1" || !reflect.DeepEqual(version(old)["schema"], version(now)["schema"]) {
		t.Errorf("%v %v", old.at("spec", "group"), version(old)["name"])
	}
}

// The notes' commands are what a new user runs next; the request in them is the tutorial's.
func TestNotes(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want []string
	}{
		{"plain", nil, []string{"kubectl create secret generic storage-config -n modelmesh-serving", "kubectl wait -n modelmesh-serving", "<<EOF\napiVersion: ", "\nEOF\n", "helm test -n modelmesh-serving wasmesh"}},
		{"quickstart", []string{"--set", "quickstart.enabled=true"}, []string{"example-sklearn-isvc", "<<EOF\napiVersion: ", "\nEOF\n", "port-forward -n modelmesh-serving service/modelmesh-serving 8008", tutorialData(t)}},
		{"runtime without adapter", []string{"--set", "runtimes.triton.enabled=true"}, []string{"no adapter for triton"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, _, err := helm(t, append([]string{"install", release, chartDir(t), "--namespace", namespace, "--dry-run=client"}, test.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			_, notes, found := strings.Cut(out, "\nNOTES:\n")
			if !found {
				t.Fatal("no notes")
			}
			for _, want := range test.want {
				if !strings.Contains(notes, want) {
					t.Errorf("notes lack %q:\n%s", want, notes)
				}
			}
		})
	}
}

// tutorialData is the data of the tutorial's request, without blanks and decimals.
func tutorialData(t *testing.T) string {
	t.Helper()
	var request struct {
		Inputs []struct{ Data []float64 }
	}
	file := filepath.Join(installed.Root(t), "docs", "examples", "quickstart-requests", "input-rest.json")
	if err := yaml.Unmarshal(readFile(t, file), &request); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(strings.TrimSpace(mustJSON(t, request.Inputs[0].Data)), " ", "")
}

func mustJSON(t *testing.T, value any) string {
	t.Helper()
	content, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
