package resolve

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/sdk/apis/serving"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func TestParseKnobs(t *testing.T) {
	tests := []struct {
		annotations map[string]string
		size        uint64
		want        *syncv1.Knobs
	}{
		{nil, 0, &syncv1.Knobs{}},
		{map[string]string{"unrelated": "x"}, 0, &syncv1.Knobs{}},
		{
			map[string]string{
				serving.AnnotationModelSize: "1.5Gi", serving.AnnotationMinCopies: "2", serving.AnnotationMaxCopies: "4",
				serving.AnnotationPinned: "true", serving.AnnotationIdleTTL: "1h30m", serving.AnnotationPriority: "-7",
			},
			3 << 29,
			&syncv1.Knobs{MinCopies: 2, MaxCopies: 4, Pinned: true, IdleTtlMs: 5400_000, Priority: -7},
		},
		{
			map[string]string{
				serving.AnnotationModelSize: "300000000", serving.AnnotationMinCopies: "9", serving.AnnotationMaxCopies: "0",
				serving.AnnotationPinned: "false", serving.AnnotationIdleTTL: "0",
			},
			300000000,
			&syncv1.Knobs{MinCopies: 9},
		},
	}
	for _, tt := range tests {
		got, err := parseKnobs(tt.annotations)
		if err != nil || got.sizeBytes != tt.size || !proto.Equal(got.knobs, tt.want) {
			t.Errorf("parseKnobs(%v) = %d, %v, %v; want %d, %v", tt.annotations, got.sizeBytes, got.knobs, err, tt.size, tt.want)
		}
	}
}

func TestParseKnobsRefuses(t *testing.T) {
	const count, size = "a whole number from 0 to 4294967295", `a positive quantity of bytes such as "300Mi"`
	const duration = `a duration such as "30m", or "0" for never`
	tests := []struct{ key, value, want string }{
		{serving.AnnotationModelSize, "big", size},
		{serving.AnnotationModelSize, "", size},
		{serving.AnnotationModelSize, "0", size},
		{serving.AnnotationModelSize, "-1Gi", size},
		{serving.AnnotationModelSize, "300m", size},
		{serving.AnnotationModelSize, "100Ei", size},
		{serving.AnnotationMinCopies, "two", count},
		{serving.AnnotationMinCopies, "-1", count},
		{serving.AnnotationMaxCopies, "1.5", count},
		{serving.AnnotationMaxCopies, "4294967296", count},
		{serving.AnnotationPinned, "yes", `"true" or "false"`},
		{serving.AnnotationIdleTTL, "30", duration},
		{serving.AnnotationIdleTTL, "-1s", duration},
		{serving.AnnotationIdleTTL, "1us", duration},
		{serving.AnnotationPriority, "high", "a whole number from -2147483648 to 2147483647"},
	}
	for _, tt := range tests {
		t.Run(tt.key+"="+tt.value, func(t *testing.T) {
			_, err := parseKnobs(map[string]string{tt.key: tt.value})
			wantInvalid(t, err, "annotation "+tt.key+`: "`+tt.value+`" is not `+tt.want)
		})
	}
	_, err := parseKnobs(map[string]string{serving.AnnotationMinCopies: "3", serving.AnnotationMaxCopies: "2"})
	wantInvalid(t, err, "annotation wasmesh.dev/min-copies is 3, more than wasmesh.dev/max-copies, which is 2")
}
