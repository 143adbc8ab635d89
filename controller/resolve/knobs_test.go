package resolve

import (
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/sdk/apis/serving"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func TestReadWishes(t *testing.T) {
	tests := []struct {
		annotations map[string]string
		size        uint64
		want        *syncv1.Knobs
	}{
		{nil, 0, &syncv1.Knobs{}},
		{map[string]string{"unrelated": "x"}, 0, &syncv1.Knobs{}},
		{
			map[string]string{
				"wasmesh.dev/model-size": "1.5Gi", "wasmesh.dev/min-copies": "2", "wasmesh.dev/max-copies": "4",
				"wasmesh.dev/pin": "true", "wasmesh.dev/idle-ttl": "1h30m", "wasmesh.dev/priority": "-7",
			},
			3 << 29,
			&syncv1.Knobs{MinCopies: 2, MaxCopies: 4, Pinned: true, IdleTtlMs: 5400_000, Priority: -7},
		},
		{
			map[string]string{
				"wasmesh.dev/model-size": "300000000", "wasmesh.dev/min-copies": "64", "wasmesh.dev/max-copies": "0",
				"wasmesh.dev/pin": "false", "wasmesh.dev/idle-ttl": "0", "wasmesh.dev/priority": "2147483647",
			},
			300000000,
			&syncv1.Knobs{MinCopies: 64, Priority: math.MaxInt32},
		},
		{
			map[string]string{
				"wasmesh.dev/min-copies": "4", "wasmesh.dev/max-copies": "4", "wasmesh.dev/idle-ttl": "1s",
				"wasmesh.dev/active-model": "{}",
			},
			0, &syncv1.Knobs{MinCopies: 4, MaxCopies: 4, IdleTtlMs: 1000},
		},
	}
	// What was good before has no part in what is good now, and what is not asked for any more is not kept.
	for _, last := range []Wishes{{}, {SizeBytes: 5, Knobs: &syncv1.Knobs{MinCopies: 3, MaxCopies: 3, Pinned: true, Priority: 9}}} {
		for _, tt := range tests {
			got, faults := ReadWishes(tt.annotations, last)
			if faults != nil || got.SizeBytes != tt.size || !proto.Equal(got.Knobs, tt.want) {
				t.Errorf("ReadWishes(%v) = %d, %v, %q; want %d, %v", tt.annotations, got.SizeBytes, got.Knobs, faults, tt.size, tt.want)
			}
		}
	}
}

func TestReadWishesKeepsTheLastGoodValue(t *testing.T) {
	const size, ttl = `a positive quantity of bytes such as "300Mi"`, `a duration from "1s" to "8760h" such as "30m", or "0" for never`
	const min, max = "a whole number from 0 to 64", "a whole number from 0 to 4096"
	last := Wishes{
		SizeBytes: 1 << 20,
		Knobs:     &syncv1.Knobs{MinCopies: 2, MaxCopies: 4, Pinned: true, IdleTtlMs: 60_000, Priority: 7},
	}
	tests := []struct{ key, value, want, good, byDefault string }{
		{serving.AnnotationModelSize, "big", size, "1048576", "the size that is found out"},
		{serving.AnnotationModelSize, "", size, "1048576", "the size that is found out"},
		{serving.AnnotationModelSize, "0", size, "1048576", "the size that is found out"},
		{serving.AnnotationModelSize, "-1Gi", size, "1048576", "the size that is found out"},
		{serving.AnnotationModelSize, "300m", size, "1048576", "the size that is found out"},
		{serving.AnnotationModelSize, "100Ei", size, "1048576", "the size that is found out"},
		{serving.AnnotationMinCopies, "two", min, "2", "0"},
		{serving.AnnotationMinCopies, "-1", min, "2", "0"},
		{serving.AnnotationMinCopies, "65", min, "2", "0"},
		{serving.AnnotationMaxCopies, "4097", max, "4", "0"},
		{serving.AnnotationMaxCopies, "1.5", max, "4", "0"},
		{serving.AnnotationMaxCopies, "4294967296", max, "4", "0"},
		{serving.AnnotationPin, "yes", `"true" or "false"`, "true", "false"},
		{serving.AnnotationIdleTTL, "30", ttl, "1m0s", "0s"},
		{serving.AnnotationIdleTTL, "-1s", ttl, "1m0s", "0s"},
		{serving.AnnotationIdleTTL, "999ms", ttl, "1m0s", "0s"},
		{serving.AnnotationIdleTTL, "8761h", ttl, "1m0s", "0s"},
		{serving.AnnotationPriority, "high", "a whole number from -2147483648 to 2147483647", "7", "0"},
		{serving.AnnotationPriority, "2147483648", "a whole number from -2147483648 to 2147483647", "7", "0"},
	}
	// Each good value, as an annotation of its own: a bad one beside it must read as that.
	goods := map[string]string{
		serving.AnnotationModelSize: "1Mi", serving.AnnotationMinCopies: "2", serving.AnnotationMaxCopies: "4",
		serving.AnnotationPin: "true", serving.AnnotationIdleTTL: "1m", serving.AnnotationPriority: "7",
	}
	for _, tt := range tests {
		t.Run(tt.key+"="+tt.value, func(t *testing.T) {
			got, faults := ReadWishes(with(goods, tt.key, tt.value), last)
			want := []string{"annotation " + tt.key + `: "` + tt.value + `" is not ` + tt.want + "; " + tt.good + " is in force"}
			if !slices.Equal(faults, want) || got.SizeBytes != last.SizeBytes || !proto.Equal(got.Knobs, last.Knobs) {
				t.Errorf("%v, %q; want what was before and %q", got, faults, want)
			}
			got, faults = ReadWishes(map[string]string{tt.key: tt.value}, Wishes{})
			want[0] = strings.Replace(want[0], "; "+tt.good+" is", "; "+tt.byDefault+" is", 1)
			if !slices.Equal(faults, want) || got.SizeBytes != 0 || !proto.Equal(got.Knobs, &syncv1.Knobs{}) {
				t.Errorf("without a value before: %v, %q; want the default and %q", got, faults, want)
			}
		})
	}
}

func with(annotations map[string]string, key, value string) map[string]string {
	changed := map[string]string{key: value}
	for k, v := range annotations {
		if k != key {
			changed[k] = v
		}
	}
	return changed
}

func TestReadWishesThatContradict(t *testing.T) {
	last := Wishes{Knobs: &syncv1.Knobs{MinCopies: 2, MaxCopies: 4}}
	for _, tt := range []struct {
		min, max string
		last     Wishes
		want     *syncv1.Knobs
		faults   int
	}{
		{"5", "3", last, last.Knobs, 1},
		{"5", "3", Wishes{}, &syncv1.Knobs{}, 1},
		// The minimum that stays in force is too much for the new maximum.
		{"x", "1", last, last.Knobs, 2},
		// What is remembered may be anybody's.
		{"x", "y", Wishes{Knobs: &syncv1.Knobs{MinCopies: 1000}}, &syncv1.Knobs{}, 2},
		{"x", "y", Wishes{Knobs: &syncv1.Knobs{MinCopies: 3, MaxCopies: 2}}, &syncv1.Knobs{}, 2},
		{"x", "y", Wishes{Knobs: &syncv1.Knobs{MinCopies: 1, IdleTtlMs: -1}}, &syncv1.Knobs{}, 2},
	} {
		got, faults := ReadWishes(map[string]string{serving.AnnotationMinCopies: tt.min, serving.AnnotationMaxCopies: tt.max}, tt.last)
		if !proto.Equal(got.Knobs, tt.want) || len(faults) != tt.faults {
			t.Errorf("min %s, max %s after %v: %v, %q; want %v", tt.min, tt.max, tt.last.Knobs, got.Knobs, faults, tt.want)
		}
	}
	_, faults := ReadWishes(map[string]string{serving.AnnotationMinCopies: "5", serving.AnnotationMaxCopies: "3"}, last)
	if want := "annotation wasmesh.dev/min-copies is 5, more than wasmesh.dev/max-copies, which is 3; 2 and 4 are in force"; faults[0] != want {
		t.Errorf("%q, want %q", faults[0], want)
	}
}

// A misspelt annotation would else be a wish that silently does not come true.
func TestReadWishesTellsOfStrangers(t *testing.T) {
	annotations := map[string]string{"wasmesh.dev/pinned": "true", "other.dev/x": "y", "wasmesh.dev/min-copies": "1"}
	got, faults := ReadWishes(annotations, Wishes{})
	if want := []string{`annotation "wasmesh.dev/pinned" is not known, and has no effect`}; !slices.Equal(faults, want) || got.Knobs.MinCopies != 1 {
		t.Errorf("%v, %q; want %q", got.Knobs, faults, want)
	}
	for i := range 100 {
		annotations["wasmesh.dev/"+strings.Repeat("x", i)] = ""
	}
	annotations["wasmesh.dev/min-copies"] = strings.Repeat("9", 1<<20)
	_, faults = ReadWishes(annotations, Wishes{})
	if n := len(strings.Join(faults, "")); n > 2000 {
		t.Errorf("%d bytes of faults", n)
	}
}

// Whatever is written, what is in force is within all bounds, and reading it again with that as the last good changes
// nothing.
func FuzzReadWishes(f *testing.F) {
	f.Add("2", "4", "true", "1h", "0", "1Gi", uint32(1), uint32(2), int64(1000))
	f.Add("65", "x", "", "-1s", "1e9", "0", uint32(9), uint32(3), int64(-5))
	f.Fuzz(func(t *testing.T, min, max, pin, ttl, priority, size string, lastMin, lastMax uint32, lastTTL int64) {
		annotations := map[string]string{
			serving.AnnotationMinCopies: min, serving.AnnotationMaxCopies: max, serving.AnnotationPin: pin,
			serving.AnnotationIdleTTL: ttl, serving.AnnotationPriority: priority, serving.AnnotationModelSize: size,
		}
		last := Wishes{Knobs: &syncv1.Knobs{MinCopies: lastMin, MaxCopies: lastMax, IdleTtlMs: lastTTL}}
		got, faults := ReadWishes(annotations, last)
		k := got.Knobs
		if k.MinCopies > 64 || k.MaxCopies > 4096 || k.MaxCopies > 0 && k.MinCopies > k.MaxCopies ||
			k.IdleTtlMs != 0 && (k.IdleTtlMs < 1000 || k.IdleTtlMs > 8760*3600*1000) {
			t.Errorf("%v of %q after %v", k, annotations, last.Knobs)
		}
		again, sameFaults := ReadWishes(annotations, got)
		if !proto.Equal(again.Knobs, k) || again.SizeBytes != got.SizeBytes || !slices.Equal(faults, sameFaults) {
			t.Errorf("read again: %v %q, then %v %q", k, faults, again.Knobs, sameFaults)
		}
	})
}
