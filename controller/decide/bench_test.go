package decide

import (
	"fmt"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// BenchmarkDecide is one decision over 10,000 InferenceServices on 20 hosts, with nothing to change: what every report of
// a host costs.
func BenchmarkDecide(b *testing.B) {
	s := newScript(nil, mlserver(tutorialRuntime, "sklearn"))
	for i := range 10_000 {
		s.in.Objects.InferenceServices = append(s.in.Objects.InferenceServices, sklearn(fmt.Sprintf("m-%05d", i), "sklearn/a"))
	}
	for i := range 20 {
		s.in.Hosts = append(s.in.Hosts, *s.host(fmt.Sprintf("host-%02d", i), tutorialRuntime))
	}
	s.out = Decide(s.in)
	s.in = apply(s.in, s.out)
	s.publish()
	for i, row := range s.out.Rows {
		if m := row.GetModel(); m != nil {
			s.in.Hosts[i%20].Copies[m.Id] = &syncv1.Copy{ModelId: m.Id, State: loadedCopy}
		}
	}
	s.in = apply(s.in, Decide(s.in))
	if got := s.in.Objects.InferenceServices[0].Status.ModelStatus.ModelRevisionStates.ActiveModelState; got != v1beta1.Loaded {
		b.Fatalf("state %q", got)
	}
	b.ReportAllocs()
	for b.Loop() {
		Decide(s.in)
	}
}
