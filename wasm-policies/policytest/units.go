package policytest

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// isSize says whether the ABI counts a field, by its name there, in bytes.
func isSize(name string) bool {
	return strings.HasSuffix(name, "_memory") || strings.HasSuffix(name, "_device")
}

// setSize takes bytes with a unit as Kubernetes writes it. No unit ends in another.
func setSize(field reflect.Value, value string) error {
	for unit, bytes := range map[string]float64{
		"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40,
	} {
		if number, found := strings.CutSuffix(value, unit); found {
			if n, err := strconv.ParseFloat(number, 64); err == nil {
				return setNumber(field, n*bytes)
			}
		}
	}
	return fmt.Errorf("%q is no size: write bytes, or a number with Ki, Mi, Gi, Ti, k, M, G or T, such as 500Mi", value)
}

// setMs takes what a field in milliseconds is: a time, or a duration from now, where the ABI has a time (i64), and a
// duration where it has one (u32).
func (f filler) setMs(field reflect.Value, value string) error {
	d, err := parseDuration(value)
	if field.CanUint() {
		if err != nil {
			return fmt.Errorf("%q is no duration such as 200ms, 30s, 5m or 1d", value)
		}
		return setNumber(field, float64(d)/float64(time.Millisecond))
	}
	at := f.now.Add(d)
	if err != nil {
		at, err = time.Parse(time.RFC3339, value)
	}
	if err != nil || !field.CanInt() {
		return fmt.Errorf("%q is neither a time such as 2026-01-01T00:00:00Z nor a duration from now such as -5m, -36h or -5d", value)
	}
	field.SetInt(at.UnixMilli())
	return nil
}

// parseDuration takes days, too: ages of models are often days.
func parseDuration(value string) (time.Duration, error) {
	days, found := strings.CutSuffix(value, "d")
	if !found {
		return time.ParseDuration(value)
	}
	n, err := strconv.ParseFloat(days, 64)
	ns := n * 24 * float64(time.Hour)
	if err == nil && !(math.Abs(ns) < math.MaxInt64) { // NaN neither.
		err = strconv.ErrRange
	}
	if err != nil {
		return 0, err
	}
	return time.Duration(ns), nil
}
