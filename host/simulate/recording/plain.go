package recording

import (
	"path/filepath"
	"strings"
	"time"
)

// readPlain reads a file with a row for each request: time_ms,model,size_bytes and, if it likes, load_ms.
func readPlain(path string) (*Trace, error) {
	t, err := open(path)
	if err != nil {
		return nil, err
	}
	defer t.close()
	if err := t.need("time_ms", "model", "size_bytes"); err != nil {
		return nil, err
	}
	trace := &Trace{Name: strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), ".gz"), ".csv")}
	if trace.Name == "requests" {
		trace.Name = filepath.Base(filepath.Dir(path))
	}
	index := map[string]int32{}
	for {
		ok, err := t.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			return trace, trace.arrange()
		}
		if err := trace.request(t, index); err != nil {
			return nil, err
		}
	}
}

// request takes in one row.
func (trace *Trace) request(t *table, index map[string]int32) error {
	at, err := t.number("time_ms", 0, maxTraceSeconds*1000)
	if err != nil {
		return err
	}
	m, err := t.model()
	if err != nil {
		return err
	}
	i, known := index[m.Name]
	if !known {
		i = int32(len(trace.Models))
		index[m.Name] = i
		trace.Models = append(trace.Models, m)
	} else if had := trace.Models[i]; had != m {
		return t.wrong("model %s has %d bytes and loads in %v, and had %d and %v in a row before", m.Name, m.Size, m.Load, had.Size, had.Load)
	}
	if len(trace.Requests) == maxRequests {
		return t.wrong("more than %d requests", maxRequests)
	}
	trace.Requests = append(trace.Requests, Request{time.Duration(at) * time.Millisecond, i})
	return nil
}

// model reads what a row says of the model.
func (t *table) model() (Model, error) {
	m := Model{Name: strings.Clone(t.text("model"))}
	if m.Name == "" {
		return m, t.wrong("model is empty")
	}
	var err error
	if m.Size, err = t.number("size_bytes", 1, maxModelBytes); err != nil {
		return m, err
	}
	m.Load = loadTime(m.Size)
	if _, ok := t.columns["load_ms"]; ok {
		ms, err := t.number("load_ms", 1, 24*3600*1000)
		if err != nil {
			return m, err
		}
		m.Load = time.Duration(ms) * time.Millisecond
	}
	return m, nil
}
