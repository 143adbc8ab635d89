package recording

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// arrivalSeed places the requests of a minute within it. The recording does not say when they came.
const arrivalSeed = 1

// readAzure reads files as those of the Azure Functions 2019 trace: a function is a model, its memory the size, its
// invocations the requests.
func readAzure(dir, invocations string) (*Trace, error) {
	memory, err := find(dir, "memory")
	if err != nil {
		return nil, err
	}
	key, sizes, err := readSizes(memory)
	if err != nil {
		return nil, err
	}
	t, err := open(invocations)
	if err != nil {
		return nil, err
	}
	defer t.close()
	if err := t.need("HashFunction", key); err != nil {
		return nil, err
	}
	trace := &Trace{Name: filepath.Base(filepath.Clean(dir))}
	random := rand.New(rand.NewPCG(arrivalSeed, 0))
	minutes := t.minutes()
	if len(minutes) == 0 {
		return nil, fmt.Errorf("read trace: %s:1: no column for a minute: their names are numbers", invocations)
	}
	seen := map[string]bool{}
	for {
		ok, err := t.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			return trace, trace.arrange()
		}
		name := strings.Clone(t.text("HashFunction"))
		size, known := sizes[t.text(key)]
		switch {
		case seen[name]:
			return nil, t.wrong("function %s twice", name)
		case !known:
			return nil, t.wrong("%s %s has no row in %s", key, t.text(key), memory)
		}
		seen[name] = true
		trace.Models = append(trace.Models, Model{name, size, loadTime(size)})
		if err := trace.invocations(t, minutes, random); err != nil {
			return nil, err
		}
	}
}

// readSizes answers the bytes of each function, or of each app, and which of the two it is.
func readSizes(path string) (key string, sizes map[string]int64, err error) {
	t, err := open(path)
	if err != nil {
		return "", nil, err
	}
	defer t.close()
	key = "HashFunction"
	if _, ok := t.columns[key]; !ok {
		key = "HashApp"
	}
	if err := t.need(key, "AverageAllocatedMb"); err != nil {
		return "", nil, err
	}
	sizes = map[string]int64{}
	for {
		ok, err := t.next()
		if err != nil || !ok {
			return key, sizes, err
		}
		mb, err := strconv.ParseFloat(t.text("AverageAllocatedMb"), 64)
		if err != nil || !(mb*1e6 >= 1 && mb*1e6 <= maxModelBytes) {
			return "", nil, t.wrong("AverageAllocatedMb is %q, not a positive number", t.text("AverageAllocatedMb"))
		}
		if _, twice := sizes[t.text(key)]; twice {
			return "", nil, t.wrong("%s %s twice", key, t.text(key))
		}
		sizes[strings.Clone(t.text(key))] = int64(mb * 1e6)
	}
}

// minutes answers the names of the columns that count invocations, in the order of time.
func (t *table) minutes() []string {
	first := len(t.columns)
	names := make([]string, len(t.columns))
	for name, i := range t.columns {
		names[i] = name
	}
	for i, name := range names {
		if _, err := strconv.Atoi(name); err == nil {
			first = i
			break
		}
	}
	return names[first:]
}

// invocations takes in one function's counts.
func (trace *Trace) invocations(t *table, minutes []string, random *rand.Rand) error {
	model := int32(len(trace.Models) - 1)
	for i, name := range minutes {
		n, err := t.number(name, 0, maxRequests)
		if err != nil {
			return err
		}
		if int64(len(trace.Requests))+n > maxRequests {
			return t.wrong("more than %d invocations", maxRequests)
		}
		for range n {
			at := time.Duration(i)*time.Minute + time.Duration(random.Int64N(60_000))*time.Millisecond
			trace.Requests = append(trace.Requests, Request{at, model})
		}
	}
	return nil
}
