//go:build cluster

package kubernetes

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// maxPlainModule is what `kubectl apply` without --server-side takes along: it keeps the object in an annotation too.
const maxPlainModule = 150 << 10

// A ConfigMap says where the next models are loaded: first one that fills the fullest host, then one written in Go for the
// emptiest, while requests flow. ConfigMaps that are wrong change nothing.
func TestPlacementPolicies(t *testing.T) {
	p := newPolicyMesh(t, "policies-place", 2, 300<<20)
	flow := p.startFlow()

	module := shippedPolicy("place-pack")
	if info, err := os.Stat(module); err != nil || info.Size() > maxPlainModule {
		t.Fatalf("module: %v, %v", info, err)
	}
	pack, file := p.policyFile("p-pack", module)
	p.activate(pack, file)
	p.untilProgrammed(pack, "place")
	full := ""
	for _, name := range []string{"pack-1", "pack-2", "pack-3", "pack-4", "pack-5"} {
		p.addModel(name, policyModelBytes)
		pod := p.where(name)
		if full == "" {
			full = pod
		}
		if pod != full {
			t.Errorf("%s was loaded on %s, want %s, which is fuller", name, pod, full)
		}
	}

	// A module of Go is too large for the annotation of a plain apply.
	module = filepath.Join(t.TempDir(), "hello.wasm")
	p.wasmesh("policy", "build", "sdk/policy/go/examples/hello", "--output", module)
	free, file := p.policyFile("p-free", module)
	p.activate(free, file, "--server-side")
	p.untilProgrammed(free, "place")
	p.untilEvent(pack, "PolicyConflict", free)
	p.expectElsewhere(full, "free-1", "free-2")

	p.refuseWrongPolicies()
	p.untilProgrammed(free, "place")
	p.expectElsewhere(full, "free-3")
	p.deactivate(free)
	p.untilProgrammed(pack, "place")
	p.deactivate(pack)
	p.untilEvent(pack, "PolicyRemoved", "the built-in policy balanced decides")
	flow.end(t)
}

// expectElsewhere loads models, which must not go to the fuller host.
func (p *policyMesh) expectElsewhere(full string, names ...string) {
	p.t.Helper()
	for _, name := range names {
		p.addModel(name, policyModelBytes)
		if pod := p.where(name); pod == full {
			p.t.Errorf("%s was loaded on %s, which is fuller", name, pod)
		}
	}
}

// refuseWrongPolicies applies ConfigMaps whose names come before all others, so that they would decide if they could.
func (p *policyMesh) refuseWrongPolicies() {
	p.t.Helper()
	good, err := os.ReadFile(shippedPolicy("place-pack"))
	if err != nil {
		p.t.Fatal(err)
	}
	noise := bytes.Repeat([]byte{7, 42, 9}, 1000)
	for _, wrong := range []struct {
		name   string
		module []byte
		data   map[string]string
		says   string
	}{
		{"a-noise", noise, nil, "no WebAssembly module"},
		{"a-truncated", good[:len(good)/2], nil, "format"},
		{"a-digest", good, map[string]string{"sha256": strings.Repeat("0", 64)}, "sha256"},
		{"a-hook", good, map[string]string{"hooks": "placement"}, `"placement"`},
		{"a-other-hook", good, map[string]string{"hooks": "evict"}, "evict"},
		{"a-key", good, map[string]string{"Mode": "shadow"}, "data.Mode"},
	} {
		configMap := wrong.name + "-" + p.run
		file := writeTemporary(p.t, configMap+".yaml", policyYAML(p.t, configMap, wrong.module, wrong.data))
		p.activate(configMap, file)
		p.untilEvent(configMap, "PolicyRefused", wrong.says)
		p.eventually(configMap+" is invalid", func() bool {
			status := p.policyStatus(configMap)
			return strings.Contains(status, "invalid") && strings.Contains(status, wrong.says)
		})
		p.t.Logf("%s: %s", configMap, p.policyStatus(configMap))
		p.operator.kubectl("delete", "configmap", configMap)
	}
	large := writeTemporary(p.t, "large.yaml", policyYAML(p.t, "a-large-"+p.run, bytes.Repeat(noise, 400), nil))
	if out, err := p.operator.try("apply", "--server-side", "-f", large); err == nil || !strings.Contains(out, "1048576") {
		p.t.Errorf("a ConfigMap over 1 MiB: %v\n%s", err, out)
	}
}

// policyYAML is a ConfigMap that nobody has checked.
func policyYAML(t *testing.T, name string, module []byte, data map[string]string) []byte {
	t.Helper()
	content, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata":   map[string]any{"name": name, "labels": map[string]string{"wasmesh.dev/policy": "true"}},
		"binaryData": map[string][]byte{"policy.wasm": module},
		"data":       data,
	})
	if err != nil {
		t.Fatal(fmt.Errorf("write ConfigMap: %w", err))
	}
	return content
}
