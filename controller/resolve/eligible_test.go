package resolve

import (
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	"github.com/wasmesh/wasmesh/sdk/modelid"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// servingRuntime reads a runtime of the namespace, or of the cluster when that is empty, with a spec in flow style.
func servingRuntime(t *testing.T, namespace, name, spec string) Runtime {
	t.Helper()
	s := &v1alpha1.ServingRuntimeSpec{}
	if err := yaml.UnmarshalStrict([]byte(spec), s); err != nil {
		t.Fatalf("%s: %v", spec, err)
	}
	return Runtime{Namespace: namespace, Name: name, Spec: s}
}

func TestEligible(t *testing.T) {
	const (
		skl0   = `{multiModel: true, protocolVersions: [grpc-v2], supportedModelFormats: [{name: sklearn, version: "0", autoSelect: true}]}`
		skl1   = `{multiModel: true, protocolVersions: [grpc-v1], supportedModelFormats: [{name: sklearn, version: "1", autoSelect: true}]}`
		silent = `{multiModel: true, supportedModelFormats: [{name: sklearn, version: "0", autoSelect: true}]}`
		manual = `{multiModel: true, supportedModelFormats: [{name: sklearn, version: "0"}]}`
		off    = `{multiModel: true, disabled: true, supportedModelFormats: [{name: sklearn, autoSelect: true}]}`
		single = `{supportedModelFormats: [{name: sklearn, autoSelect: true}]}`
		prio2  = `{multiModel: true, supportedModelFormats: [{name: sklearn, autoSelect: true, priority: 2}, {name: onnx, autoSelect: true, priority: 9}]}`
		prio3  = `{multiModel: true, supportedModelFormats: [{name: sklearn, version: "0", autoSelect: true, priority: 1}, {name: sklearn, version: "1", autoSelect: true, priority: 3}]}`
	)
	sklearn := Spec{Namespace: "ns", Format: "sklearn"}
	with := func(change func(*Spec)) Spec { s := sklearn; change(&s); return s }
	version := func(v string) Spec { return with(func(s *Spec) { s.FormatVersion = v }) }
	protocol := func(p string) Spec { return with(func(s *Spec) { s.Protocol = p }) }
	named := func(r string) Spec { return with(func(s *Spec) { s.Runtime = r }) }
	none := &Reason{v1beta1.NoSupportingRuntime, "No ServingRuntime supports specified model type and/or protocol"}
	unknown := &Reason{v1beta1.RuntimeNotRecognized, "Specified runtime name not recognized"}

	type rt struct{ namespace, name, spec string }
	tests := []struct {
		name     string
		spec     Spec
		runtimes []rt
		want     []string
		reason   *Reason
	}{
		{"nothing there", sklearn, nil, nil, none},
		{"by format, in order of names", sklearn, []rt{{"ns", "b", skl0}, {"", "c", silent}, {"ns", "a", skl1}}, []string{"a", "b", "c"}, nil},
		{"version must be equal", version("0"), []rt{{"ns", "a", skl1}, {"ns", "b", skl0}}, []string{"b"}, nil},
		{"1.0 is not 1", version("1.0"), []rt{{"ns", "a", skl1}}, nil, none},
		{"other format", with(func(s *Spec) { s.Format = "onnx" }), []rt{{"ns", "a", skl0}}, nil, none},
		{"without autoSelect only by name", sklearn, []rt{{"ns", "a", manual}}, nil, none},
		{"named", named("a"), []rt{{"ns", "a", manual}, {"ns", "b", skl0}}, []string{"a"}, nil},
		{"named, format and protocol not looked at", Spec{Namespace: "ns", Format: "pmml", Protocol: "v1", Runtime: "a"}, []rt{{"", "a", skl0}}, []string{"a"}, nil},
		{"named, unknown", named("x"), []rt{{"ns", "a", skl0}}, nil, unknown},
		{"named, disabled", named("a"), []rt{{"ns", "a", off}}, nil, unknown},
		{"named, of another namespace", named("a"), []rt{{"other", "a", skl0}}, nil, unknown},
		{"disabled and single-model ones excluded", sklearn, []rt{{"ns", "a", off}, {"ns", "b", single}}, nil, none},
		{"other namespaces excluded", sklearn, []rt{{"other", "a", skl0}, {"ns", "b", skl0}}, []string{"b"}, nil},
		{"namespaced hides clusterwide", version("0"), []rt{{"ns", "a", skl1}, {"", "a", skl0}}, nil, none},
		{"a disabled one hides too", sklearn, []rt{{"", "a", skl0}, {"ns", "a", off}}, nil, none},
		{"hidden elsewhere only", sklearn, []rt{{"other", "a", off}, {"", "a", skl0}}, []string{"a"}, nil},
		{"protocol listed", protocol("grpc-v1"), []rt{{"ns", "a", skl0}, {"ns", "b", skl1}, {"ns", "c", silent}}, []string{"b"}, nil},
		{"grpc-v2 gives v2", protocol("v2"), []rt{{"ns", "a", skl0}, {"ns", "b", skl1}}, []string{"a"}, nil},
		{"grpc-v1 does not give v1", protocol("v1"), []rt{{"ns", "b", skl1}}, nil, none},
		{"priority before name", sklearn, []rt{{"ns", "a", skl0}, {"ns", "b", prio2}, {"ns", "c", prio3}}, []string{"c", "b", "a"}, nil},
		{"priority of the entry that matches", version("0"), []rt{{"ns", "a", skl0}, {"ns", "b", prio3}}, []string{"b", "a"}, nil},
		{"an entry without version matches no version", version("0"), []rt{{"ns", "b", prio2}}, nil, none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var runtimes []Runtime
			for _, r := range tt.runtimes {
				runtimes = append(runtimes, servingRuntime(t, r.namespace, r.name, "{containers: [], "+r.spec[1:]))
			}
			before := append([]Runtime(nil), runtimes...)
			got, reason := Eligible(tt.spec, runtimes)
			if !reflect.DeepEqual(got, tt.want) || !reflect.DeepEqual(reason, tt.reason) {
				t.Errorf("got %v, %v; want %v, %v", got, reason, tt.want, tt.reason)
			}
			if !reflect.DeepEqual(runtimes, before) {
				t.Error("the runtimes were changed")
			}
		})
	}
}

func TestModel(t *testing.T) {
	storage := &syncv1.StorageReference{SecretKey: "k", Path: "p", Parameters: map[string]string{"type": "s3"}}
	knobs := &syncv1.Knobs{MinCopies: 2}
	spec := Spec{
		Namespace: "ns", ID: modelid.ID{Name: "m", Source: modelid.Predictor, Hash: "0123456789"},
		Format: "onnx", FormatVersion: "1", Protocol: "v2", Runtime: "r", Storage: storage,
		Wishes: Wishes{SizeBytes: 7, Knobs: knobs},
	}
	want := &syncv1.Model{
		Namespace: "ns", Id: "m__ksp-0123456789", Alias: "m", Type: &syncv1.ModelType{Name: "onnx", Version: "1"},
		Storage: storage, Runtimes: []string{"r", "s"}, SizeHint: &syncv1.Resources{HostMemoryBytes: 7}, Knobs: knobs,
	}
	if got := Model(spec, []string{"r", "s"}); !proto.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	spec.SizeBytes = 0
	if got := Model(spec, nil); got.SizeHint != nil || got.Runtimes != nil {
		t.Errorf("size and runtimes that are unknown: %v", got)
	}
}
