package policyabi

import (
	"fmt"
	"testing"
)

func sample(rows int) *PlaceRequest {
	r := &PlaceRequest{Context: PlaceContext{Name: "m", NeedMemory: 1 << 20}}
	for i := range rows {
		r.Rows = append(r.Rows, PlaceRow{Name: fmt.Sprintf("host-%06d", i), FreeMemory: int64(i) << 10, CapacityMemory: 1 << 30, LoadsQueued: uint32(i % 3)})
	}
	return r
}

func BenchmarkEncode1000(b *testing.B) {
	r := sample(1000)
	buf := make([]byte, r.Size())
	b.ReportAllocs()
	for b.Loop() {
		r.Encode(buf)
	}
}

func BenchmarkView1000(b *testing.B) {
	r := sample(1000)
	buf := make([]byte, r.Size())
	r.Encode(buf)
	b.ReportAllocs()
	sum := int64(0)
	for b.Loop() {
		v, _ := ViewPlace(buf)
		for i := range v.Len() {
			row := v.Row(i)
			sum += row.FreeMemory() + row.CapacityMemory() - int64(row.LoadsQueued()) + row.StartedMs()
		}
	}
	if sum == 42 {
		b.Fatal(sum)
	}
}

func BenchmarkAnswers1000(b *testing.B) {
	r := sample(1000)
	buf := make([]byte, r.Size())
	r.Encode(buf)
	v, _ := ViewPlace(buf)
	dst := make([]PlaceAnswer, 0, 1000)
	b.ReportAllocs()
	for b.Loop() {
		a := v.Answers()
		for i := range v.Len() {
			a.Add(i, int32(i), ReasonFree)
		}
		if _, err := AppendPlaceAnswers(dst, a.Bytes(), 1000); err != nil {
			b.Fatal(err)
		}
	}
}
