package resolve

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/wasmesh/wasmesh/sdk/apis/serving"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Bounds of an owner's wishes. What lies beyond is a slip, such as a digit too many, and following it would cost others.
const (
	// MaxMinCopies: copies that are kept whether or not anybody asks for them, on as many hosts.
	MaxMinCopies = 64
	// MaxMaxCopies is more than a mesh has hosts.
	MaxMaxCopies = 4096
	// MinIdleTTL: below a second a model would be loaded for nearly every request.
	MinIdleTTL = time.Second
	// MaxIdleTTL is a year.
	MaxIdleTTL = 8760 * time.Hour
)

// Wishes are what an owner asks of one model, by annotations under wasmesh.dev. The zero value is that of an object without
// any.
type Wishes struct {
	// SizeBytes is the declared memory of one copy; 0 is unknown.
	SizeBytes uint64
	// Knobs may be nil, for none. Shared with the rows that are made of them, and never changed.
	Knobs *syncv1.Knobs
}

// ReadWishes reads every annotation that there is. For one that cannot be followed the last good value stays in force, or
// the default when there was none: a slip of the pen must not take a model out of service, or its copies away. faults says
// what is wrong with each, and what is in force; nil when nothing is.
func ReadWishes(annotations map[string]string, last Wishes) (w Wishes, faults []string) {
	k := &syncv1.Knobs{}
	w.Knobs = k
	if !wishing(annotations) {
		return w, nil
	}
	last = last.sound()
	for _, a := range w.readers(last) {
		s, given := annotations[a.key]
		if !given {
			continue
		}
		if err := a.read(s); err != nil {
			a.keep()
			faults = append(faults, fmt.Sprintf("annotation %s: %s is not %v; %s is in force", a.key, quote(s), err, a.show()))
		}
	}
	if k.MaxCopies > 0 && k.MinCopies > k.MaxCopies {
		fault := fmt.Sprintf("annotation %s is %d, more than %s, which is %d; ",
			serving.AnnotationMinCopies, k.MinCopies, serving.AnnotationMaxCopies, k.MaxCopies)
		k.MinCopies, k.MaxCopies = last.Knobs.GetMinCopies(), last.Knobs.GetMaxCopies()
		faults = append(faults, fault+fmt.Sprintf("%d and %d are in force", k.MinCopies, k.MaxCopies))
	}
	return w, append(faults, strangers(annotations)...)
}

// wishing says that any annotation is ours, which few objects of many have.
func wishing(annotations map[string]string) bool {
	for key := range annotations {
		if strings.HasPrefix(key, serving.AnnotationPrefix) {
			return true
		}
	}
	return false
}

// sound answers the wishes, or none where they break a bound: what is remembered may have been written by anybody.
func (w Wishes) sound() Wishes {
	k := w.Knobs
	ttl := k.GetIdleTtlMs()
	if k.GetMinCopies() > MaxMinCopies || k.GetMaxCopies() > MaxMaxCopies ||
		k.GetMaxCopies() > 0 && k.GetMinCopies() > k.GetMaxCopies() ||
		ttl != 0 && (ttl < MinIdleTTL.Milliseconds() || ttl > MaxIdleTTL.Milliseconds()) {
		w.Knobs = nil
	}
	return w
}

// reader is how one annotation is read.
type reader struct {
	key string
	// read sets the value, unless it cannot be followed; the error says what it should have been.
	read func(string) error
	// keep sets the last good value, and show prints what is set as it would be written.
	keep func()
	show func() string
}

// readers of all annotations, into w.
func (w *Wishes) readers(last Wishes) []reader {
	k, l := w.Knobs, last.Knobs
	return []reader{
		{
			serving.AnnotationModelSize, into(&w.SizeBytes, parseSize), func() { w.SizeBytes = last.SizeBytes },
			func() string { return w.showSize() },
		},
		{
			serving.AnnotationMinCopies, into(&k.MinCopies, countUpTo(MaxMinCopies)), func() { k.MinCopies = l.GetMinCopies() },
			func() string { return strconv.FormatUint(uint64(k.MinCopies), 10) },
		},
		{
			serving.AnnotationMaxCopies, into(&k.MaxCopies, countUpTo(MaxMaxCopies)), func() { k.MaxCopies = l.GetMaxCopies() },
			func() string { return strconv.FormatUint(uint64(k.MaxCopies), 10) },
		},
		{
			serving.AnnotationPin, into(&k.Pinned, parseBool), func() { k.Pinned = l.GetPinned() },
			func() string { return strconv.FormatBool(k.Pinned) },
		},
		{
			serving.AnnotationIdleTTL, into(&k.IdleTtlMs, parseTTL), func() { k.IdleTtlMs = l.GetIdleTtlMs() },
			func() string { return (time.Duration(k.IdleTtlMs) * time.Millisecond).String() },
		},
		{
			serving.AnnotationPriority, into(&k.Priority, parsePriority), func() { k.Priority = l.GetPriority() },
			func() string { return strconv.FormatInt(int64(k.Priority), 10) },
		},
	}
}

func (w *Wishes) showSize() string {
	if w.SizeBytes == 0 {
		return "the size that is found out"
	}
	return strconv.FormatUint(w.SizeBytes, 10)
}

// into has a parser set a value, but not to nonsense.
func into[T any](value *T, parse func(string) (T, error)) func(string) error {
	return func(s string) error {
		parsed, err := parse(s)
		if err == nil {
			*value = parsed
		}
		return err
	}
}

// maxStrangers bounds the annotations that are told of one by one.
const maxStrangers = 8

// strangers are annotations with our prefix that mean nothing: most likely one is misspelt, and what its owner wished for
// does not happen.
func strangers(annotations map[string]string) (faults []string) {
	var keys []string
	for key := range annotations {
		if strings.HasPrefix(key, serving.AnnotationPrefix) && !slices.Contains(serving.ModelAnnotations(), key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys[:min(len(keys), maxStrangers)] {
		faults = append(faults, fmt.Sprintf("annotation %s is not known, and has no effect", quote(key)))
	}
	return faults
}

// maxQuoted bounds what is repeated of a value.
const maxQuoted = 64

func quote(s string) string {
	if len(s) > maxQuoted {
		return strconv.Quote(s[:maxQuoted]) + " ..."
	}
	return strconv.Quote(s)
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

func countUpTo(most uint32) func(string) (uint32, error) {
	return func(s string) (uint32, error) {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil || n > uint64(most) {
			return 0, fmt.Errorf("a whole number from 0 to %d", most)
		}
		return uint32(n), nil
	}
}

func parseCount(s string) (uint32, error) { return countUpTo(math.MaxUint32)(s) }

func parseBool(s string) (bool, error) {
	if s != "true" && s != "false" {
		return false, errors.New(`"true" or "false"`)
	}
	return s == "true", nil
}

func parseTTL(s string) (millis int64, err error) {
	d, err := time.ParseDuration(s)
	if err != nil || d != 0 && d < MinIdleTTL || d > MaxIdleTTL {
		return 0, errors.New(`a duration from "1s" to "8760h" such as "30m", or "0" for never`)
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
