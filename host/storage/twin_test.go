package storage

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// twin is the store as simply as it can be said: a materialised model is a copy of what the bucket held when it was
// pulled. It knows no cache, and bounds only what models hold.
type twin struct {
	bucket map[string]string
	models map[string]map[string]string
}

// objects answers what a pull of path brings, by its file name below the model's directory.
func (w *twin) objects(path string) map[string]string {
	got := map[string]string{}
	for key, data := range w.bucket {
		if key == path || strings.HasPrefix(key, path+"/") {
			got[key] = data
		}
	}
	return got
}

// held is the distinct bytes of the models except one: a version is what was put at a key, so equal content at different
// keys is different.
func (w *twin) held(except string) map[string]int {
	bytes := map[string]int{}
	for id, m := range w.models {
		if id == except {
			continue
		}
		for key, data := range m {
			bytes[key+"="+data] = len(data)
		}
	}
	return bytes
}

func sum(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// FuzzStore runs a random sequence of changes in the bucket, pulls and removes against the twin. After each step every
// model's files are what the bucket held at its pull, and the cache is within its budget.
func FuzzStore(f *testing.F) {
	const budget = 60
	f.Add([]byte{0, 1, 40, 0, 2, 80, 41, 120})
	f.Add([]byte("\x00\x01\x02\x03pull and remove and put and pull again, over and over"))
	random := rand.New(rand.NewPCG(1, 2))
	for range 40 { // so that a plain run of the tests goes some way, too
		script := make([]byte, 64)
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 64 {
			script = script[:64]
		}
		s, bucket := newStore(t, Config{DiskBudgetBytes: budget, PartBytes: 5})
		w := &twin{bucket: map[string]string{}, models: map[string]map[string]string{}}
		for step, op := range script {
			what, which, where := op&3, int(op>>2)&3, int(op>>4)&3
			dir := fmt.Sprintf("d%d", where)
			key := fmt.Sprintf("%s/k%d", dir, which)
			id := fmt.Sprintf("id%d", which)
			switch what {
			case 0: // same length as other puts to the key, so that size alone tells nothing
				data := fmt.Sprintf("%03d%s", step, strings.Repeat("x", 4*which))
				bucket.put(key, data)
				w.bucket[key] = data
			case 1:
				bucket.delete(key)
				delete(w.bucket, key)
			case 2:
				w.pull(t, s, id, dir, budget)
			case 3:
				if err := s.Remove(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				delete(w.models, id)
			}
			w.compare(t, s, budget)
		}
	})
}

func (w *twin) pull(t *testing.T, s *Store, id, dir string, budget int) {
	want := w.objects(dir)
	_, err := s.Pull(t.Context(), id, memRef(dir))
	// The model that is replaced holds its bytes until the new one is in place.
	held := w.held("")
	for key, data := range want {
		held[key+"="+data] = len(data)
	}
	switch {
	case len(want) == 0:
		wantError(t, err, NotFound)
	case sum(held) > budget:
		if kind := KindOf(err); kind != Unavailable && kind != TooLarge {
			t.Fatalf("pull of %s with %d of %d bytes held: %v, want a refusal", id, sum(held), budget, err)
		}
	case err != nil:
		t.Fatalf("pull of %s with %d of %d bytes held: %v", id, sum(held), budget, err)
	default:
		w.models[id] = want
	}
}

func (w *twin) compare(t *testing.T, s *Store, budget int) {
	for _, id := range slices.Sorted(maps.Keys(w.models)) {
		got := files(t, filepath.Join(s.cfg.ModelsDir, id))
		if !maps.Equal(got, w.models[id]) {
			t.Fatalf("%s holds %q, want %q", id, got, w.models[id])
		}
	}
	for id := range 4 {
		name := fmt.Sprintf("id%d", id)
		if _, ok := w.models[name]; !ok && exists(filepath.Join(s.cfg.ModelsDir, name)) {
			t.Fatalf("%s is there after its removal", name)
		}
	}
	st := s.Stats()
	if st.UsedBytes > int64(budget) || st.HeldBytes != int64(sum(w.held(""))) {
		t.Fatalf("stats %+v, want %d bytes held", st, sum(w.held("")))
	}
	objects, err := os.ReadDir(s.disk.objects)
	if err != nil {
		t.Fatal(err)
	}
	var total int64
	for _, o := range objects {
		info, err := o.Info()
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if total != st.UsedBytes || len(objects) != st.Objects {
		t.Fatalf("%d objects of %d bytes on disk, stats %+v", len(objects), total, st)
	}
	wantCacheClean(t, s)
}
