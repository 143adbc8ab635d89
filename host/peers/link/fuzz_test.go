package link

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// FuzzFollow: whatever a host says, what was taken in has the digest that it claims, and nothing panics.
func FuzzFollow(f *testing.F) {
	var script []byte
	p := NewPublisher()
	p.Publish(entry(1, residency.Loaded), nil)
	messages, at := p.snapshot()
	p.Publish(entry(2, residency.Failed), &syncv1.Failure{Message: "no"})
	delta, _ := p.delta(at.Sequence)
	for _, m := range slices.Concat([]*peerv1.LinkResponse{{Message: &peerv1.LinkResponse_Hello{Hello: hello("a")}}}, messages,
		[]*peerv1.LinkResponse{delta, &peerv1.LinkResponse{Message: &peerv1.LinkResponse_Beat{Beat: &peerv1.Beat{Stamp: encodeStamp(at)}}}, {Message: &peerv1.LinkResponse_Figures{Figures: &peerv1.Figures{Reclaim: []int64{-1, 2, 3, 4, 5}}}}}) {
		encoded, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		script = protowire.AppendBytes(script, encoded)
	}
	f.Add(script)
	f.Fuzz(func(t *testing.T, script []byte) {
		s := newSink()
		in := &session{sink: s, meter: (&meters{}).meter(), resync: make(chan struct{}, 1)}
		for len(script) > 0 {
			encoded, n := protowire.ConsumeBytes(script)
			if n < 0 {
				return
			}
			script = script[n:]
			var m peerv1.LinkResponse
			if proto.Unmarshal(encoded, &m) != nil {
				return
			}
			if err := in.take(&m); err != nil {
				return
			}
			entries := slices.Collect(s.table.Entries("a"))
			for _, e := range entries {
				if e.State == residency.Absent || e.State > residency.Failed || e.Size < 0 {
					t.Fatalf("took in %+v", e)
				}
			}
			if d := m.GetDelta(); d != nil && !in.asked && residency.DigestOf(entries) != d.GetStamp().GetDigest() {
				t.Fatalf("took in %v, which makes %v", d, entries)
			}
			var member members.Member
			Describe(&member, s.figures)
			if member.Figures.Free[0] < 0 || member.Figures.Capacity[0] < 0 || member.Figures.Reclaim[0] < 0 {
				t.Fatalf("took in %+v", member.Figures)
			}
		}
	})
}

func TestFiguresAreReadAsWritten(t *testing.T) {
	m := members.Member{Draining: true, Warming: true, Arbiter: true, RuntimeReady: true, Catalog: &syncv1.Version{Term: 1, Sequence: 2},
		Figures: members.Figures{
			Sequence: 9, Free: modelcache.Resources{1, 2, 3}, Capacity: modelcache.Resources{4, 5, 6}, Reclaim: modelcache.Curve{1, 2, 3, 4},
			Oldest: time.UnixMilli(1_700_000_000_000), LoadsQueued: 1, LoadsRunning: 2, InFlight: 3, Waiting: 4, Copies: 5, Rate: 6,
		}}
	var got members.Member
	Describe(&got, EncodeFigures(&m))
	if fmt.Sprint(got) != fmt.Sprint(m) {
		t.Errorf("read %+v, want %+v", got, m)
	}
	// Numbers of a host that lies stay calculable.
	Describe(&got, &peerv1.Figures{Free: &syncv1.Resources{HostMemoryBytes: 1<<64 - 1}, Reclaim: []int64{-5}})
	if got.Figures.Free[0] <= 0 || got.Figures.Free[0]*1000 < 0 || got.Figures.Reclaim[0] != 0 {
		t.Errorf("figures of a liar: %+v", got.Figures)
	}
}

// BenchmarkSnapshot is what following a host of 20,000 copies costs both sides, without the wire.
func BenchmarkSnapshot(b *testing.B) {
	p := NewPublisher()
	for key := range uint64(20_000) {
		p.Publish(entry(key*0x9e3779b97f4a7c15, residency.Loaded), nil)
	}
	b.ReportAllocs()
	for b.Loop() {
		s := newSink()
		in := &session{sink: s, greeted: true, meter: (&meters{}).meter(), resync: make(chan struct{}, 1)}
		messages, at := p.snapshot()
		for _, m := range messages {
			encoded, err := proto.Marshal(m)
			if err != nil {
				b.Fatal(err)
			}
			var got peerv1.LinkResponse
			if err := proto.Unmarshal(encoded, &got); err != nil {
				b.Fatal(err)
			}
			if err := in.take(&got); err != nil {
				b.Fatal(err)
			}
		}
		if !s.Matches(at) {
			b.Fatal("another stamp")
		}
	}
}
