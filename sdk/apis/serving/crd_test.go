package serving_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"
)

// crd is the part of a CustomResourceDefinition that users see through kubectl.
type crd struct {
	Spec struct {
		Group string
		Scope string
		Names struct {
			Kind       string
			ShortNames []string
		}
		Versions []struct {
			Name                     string
			Served, Storage          bool
			AdditionalPrinterColumns []struct{ Name, JSONPath string }
			Subresources             struct{ Status *struct{} }
		}
	}
}

// The CRDs replace KServe's and ModelMesh's on a cluster, so kubectl must show the same columns and names.
func TestCRDs(t *testing.T) {
	runtimeColumns := []string{"Disabled", "ModelType", "Containers", "Age"}
	for file, want := range map[string]struct {
		kind, version, scope string
		shortNames, columns  []string
		status               bool
	}{
		"inferenceservices": {
			"InferenceService", "v1beta1", "Namespaced", []string{"isvc"},
			[]string{"URL", "Ready", "Prev", "Latest", "PrevRolledoutRevision", "LatestReadyRevision", "Age"}, true,
		},
		"predictors": {
			"Predictor", "v1alpha1", "Namespaced", nil,
			[]string{"Type", "Available", "ActiveModel", "TargetModel", "Transition", "Age"}, true,
		},
		"servingruntimes":        {"ServingRuntime", "v1alpha1", "Namespaced", nil, runtimeColumns, false},
		"clusterservingruntimes": {"ClusterServingRuntime", "v1alpha1", "Cluster", nil, runtimeColumns, false},
	} {
		b, err := os.ReadFile(filepath.Join("..", "..", "..", "charts", "wasmesh", "files", "crds", "serving.kserve.io_"+file+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		// An object of 256 KiB cannot be applied by kubectl's client side, which copies it into an annotation.
		if len(b) > 200<<10 {
			t.Errorf("%s: %d bytes", file, len(b))
		}
		var c crd
		if err := yaml.Unmarshal(b, &c); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		s := c.Spec
		if s.Group != "serving.kserve.io" || s.Scope != want.scope || s.Names.Kind != want.kind || !slices.Equal(s.Names.ShortNames, want.shortNames) {
			t.Errorf("%s: %+v", file, s)
		}
		if len(s.Versions) != 1 || s.Versions[0].Name != want.version || !s.Versions[0].Served || !s.Versions[0].Storage {
			t.Fatalf("%s: versions %+v", file, s.Versions)
		}
		var columns []string
		for _, column := range s.Versions[0].AdditionalPrinterColumns {
			columns = append(columns, column.Name)
		}
		if !slices.Equal(columns, want.columns) {
			t.Errorf("%s: columns %v", file, columns)
		}
		if (s.Versions[0].Subresources.Status != nil) != want.status {
			t.Errorf("%s: status subresource %v", file, s.Versions[0].Subresources)
		}
	}
}
