// Package chart tests charts/wasmesh with the real helm: what it renders (golden files, rewritten by -rewrite), what its
// schema refuses, and, against a real API server, what installing, upgrading, rolling back and uninstalling do to what
// users have. The package has no code of its own.
package chart

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/wasmesh/wasmesh/test/installed"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files, and the chart's copies of the runtimes, instead of comparing with them")

const (
	release   = "wasmesh"
	namespace = "modelmesh-serving"
)

func chartDir(t *testing.T) string { return filepath.Join(installed.Root(t), "charts", "wasmesh") }

// helm runs it without whatever the user of this machine has configured, and answers both outputs.
func helm(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	home := t.TempDir()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), installed.Tool(t, "helm"), args...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home, "KUBECONFIG="+filepath.Join(home, "none"))
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("helm %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), errs.String(), err
}

// render answers what `helm template` makes of the chart, with further arguments.
func render(t *testing.T, args ...string) string {
	t.Helper()
	out, _, err := helm(t, append([]string{"template", release, chartDir(t), "--namespace", namespace}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// object is any Kubernetes object, as YAML has it.
type object map[string]any

func (o object) kind() string { s, _ := o["kind"].(string); return s }

func (o object) name() string { s, _ := o.at("metadata", "name").(string); return s }

// at answers the field at a path, nil when there is none.
func (o object) at(path ...string) any {
	var value any = map[string]any(o)
	for _, key := range path {
		fields, is := value.(map[string]any)
		if !is {
			return nil
		}
		value = fields[key]
	}
	return value
}

// objects reads a rendered manifest.
func objects(t *testing.T, manifest string) []object {
	t.Helper()
	var objects []object
	for _, document := range documents(manifest) {
		var o object
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatalf("%v in:\n%s", err, document)
		}
		if len(o) > 0 {
			objects = append(objects, o)
		}
	}
	return objects
}

func documents(manifest string) []string {
	return strings.Split("\n"+manifest, "\n---\n")
}

// find answers the only object of a kind and name.
func find(t *testing.T, objects []object, kind, name string) object {
	t.Helper()
	var found []object
	for _, o := range objects {
		if o.kind() == kind && o.name() == name {
			found = append(found, o)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects %s %s", len(found), kind, name)
	}
	return found[0]
}
