package decide

import (
	"fmt"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// BenchmarkDecide is one decision over 10,000 InferenceServices on 20 hosts: from nothing, as a controller that starts; when
// nothing has changed, which is what the report of a host costs; and when one object was edited.
func BenchmarkDecide(b *testing.B) {
	in := tenThousand(b)
	b.Run("forgetful", func(b *testing.B) {
		b.ReportAllocs()
		in := in
		in.Memo = nil
		for b.Loop() {
			Decide(in)
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Decide(in)
		}
	})
	b.Run("edit", func(b *testing.B) {
		b.ReportAllocs()
		in, objects := in, in.Objects.InferenceServices
		for i := 0; b.Loop(); i++ {
			edited := *objects[i%len(objects)]
			edited.Generation++
			edited.Annotations = sklearn("", "").Annotations
			in.Objects.InferenceServices = append(append(objects[:i%len(objects):i%len(objects)], &edited), objects[i%len(objects)+1:]...)
			in.Memo = Decide(in).Memo
		}
	})
}

// tenThousand are loaded, and known to all hosts.
func tenThousand(b *testing.B) Input {
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
	for i := range s.in.Hosts {
		s.in.Hosts[i].Acked = &syncv1.Version{Term: 1, Sequence: s.sequence}
	}
	for i, row := range s.out.Rows {
		if m := row.GetModel(); m != nil {
			s.in.Hosts[i%20].Copies[m.Id] = &syncv1.Copy{ModelId: m.Id, State: loadedCopy}
		}
	}
	for range 2 {
		s.in = apply(s.in, Decide(s.in))
	}
	if got := s.in.Objects.InferenceServices[0].Status.ModelStatus.ModelRevisionStates.ActiveModelState; got != v1beta1.Loaded {
		b.Fatalf("state %q", got)
	}
	return s.in
}
