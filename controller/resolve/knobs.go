package resolve

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/wasmesh/wasmesh/sdk/apis/serving"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// wishes are the annotations under wasmesh.dev that an owner may put on a model.
type wishes struct {
	sizeBytes uint64
	knobs     *syncv1.Knobs
}

// parseKnobs reads every annotation that there is, and refuses the spec on the first that cannot be read.
func parseKnobs(annotations map[string]string) (wishes, error) {
	k := &syncv1.Knobs{}
	w := wishes{knobs: k}
	for _, a := range []struct {
		key   string
		parse func(string) error
	}{
		{serving.AnnotationModelSize, func(s string) (err error) { w.sizeBytes, err = parseSize(s); return err }},
		{serving.AnnotationMinCopies, func(s string) (err error) { k.MinCopies, err = parseCount(s); return err }},
		{serving.AnnotationMaxCopies, func(s string) (err error) { k.MaxCopies, err = parseCount(s); return err }},
		{serving.AnnotationPinned, func(s string) (err error) { k.Pinned, err = parseBool(s); return err }},
		{serving.AnnotationIdleTTL, func(s string) (err error) { k.IdleTtlMs, err = parseMillis(s); return err }},
		{serving.AnnotationPriority, func(s string) (err error) { k.Priority, err = parsePriority(s); return err }},
	} {
		s, ok := annotations[a.key]
		if !ok {
			continue
		}
		if err := a.parse(s); err != nil {
			return wishes{}, invalid("annotation %s: %q is not %v", a.key, s, err)
		}
	}
	if k.MaxCopies > 0 && k.MinCopies > k.MaxCopies {
		return wishes{}, invalid("annotation %s is %d, more than %s, which is %d",
			serving.AnnotationMinCopies, k.MinCopies, serving.AnnotationMaxCopies, k.MaxCopies)
	}
	return w, nil
}

// errSize and the errors of the other parsers say what the value should have been.
var errSize = errors.New(`a positive quantity of bytes such as "300Mi"`)

func parseSize(s string) (uint64, error) {
	q, err := resource.ParseQuantity(s)
	if err != nil {
		return 0, errSize
	}
	// Value rounds up, and "300m" are 0.3 bytes, never what somebody meant; above int64 it is wrong.
	n := q.Value()
	if q.Sign() <= 0 || q.CmpInt64(n) != 0 || n == math.MaxInt64 {
		return 0, errSize
	}
	return uint64(n), nil
}

func parseCount(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("a whole number from 0 to %d", uint32(math.MaxUint32))
	}
	return uint32(n), nil
}

func parseBool(s string) (bool, error) {
	if s != "true" && s != "false" {
		return false, errors.New(`"true" or "false"`)
	}
	return s == "true", nil
}

func parseMillis(s string) (int64, error) {
	d, err := time.ParseDuration(s)
	// Less than a millisecond would become 0, which is never.
	if err != nil || d < 0 || (d > 0 && d < time.Millisecond) {
		return 0, errors.New(`a duration such as "30m", or "0" for never`)
	}
	return d.Milliseconds(), nil
}

func parsePriority(s string) (int32, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("a whole number from %d to %d", math.MinInt32, math.MaxInt32)
	}
	return int32(n), nil
}
