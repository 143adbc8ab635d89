package storage

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// reopen closes a store as a host's end does, lets a test damage the directory, and opens it anew on the same bucket.
func reopen(t *testing.T, s *Store, b *fakeBucket, budget int64, damage func(cache string)) *Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	damage(filepath.Join(s.cfg.ModelsDir, cacheName))
	again, _ := newStore(t, Config{ModelsDir: s.cfg.ModelsDir, DiskBudgetBytes: budget})
	again.openers["mem"] = b.opener
	return again
}

func write(t *testing.T, name, data string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRecovery: after a death, whole objects are kept, everything half-done and every materialised model is gone, and
// what others put into the models directory stays.
func TestRecovery(t *testing.T) {
	s, bucket := newStore(t, Config{})
	bucket.put("m/d/w", "weights")
	bucket.put("n", "nn")
	pull(t, s, "one", memRef("m"))
	pull(t, s, "two", memRef("n"))
	models := s.cfg.ModelsDir
	s = reopen(t, s, bucket, 1000, func(cache string) {
		write(t, filepath.Join(cache, partialName, "7"), "half")
		staged := filepath.Join(cache, stagingName, "9", "d")
		if err := os.MkdirAll(staged, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(staged, "f"), "half")
		if err := os.Chmod(staged, 0o555); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(cache, objectsName, strings.Repeat("0", 64)+"-5"), "1234") // truncated
		write(t, filepath.Join(cache, objectsName, "junk"), "x")
		write(t, filepath.Join(cache, modelsName, "three"), "") // died before its directory appeared
		if err := os.Mkdir(filepath.Join(models, "_mlserver_models"), 0o755); err != nil {
			t.Fatal(err)
		}
		if !exists(filepath.Join(models, "one")) {
			t.Error("close took away what a runtime may still read")
		}
	})
	entries, err := os.ReadDir(models)
	if err != nil || len(entries) != 2 || entries[0].Name() != cacheName || entries[1].Name() != "_mlserver_models" {
		t.Errorf("models directory holds %v (%v)", entries, err)
	}
	wantCacheClean(t, s)
	if st := s.Stats(); st.UsedBytes != 9 || st.HeldBytes != 0 || st.Objects != 2 {
		t.Errorf("stats %+v", st)
	}
	pull(t, s, "one", memRef("m"))
	if got := files(t, filepath.Join(models, "one")); !reflect.DeepEqual(got, map[string]string{"m/d/w": "weights"}) {
		t.Errorf("files %q", got)
	}
	if n := len(bucket.reads("m/d/w")); n != 1 {
		t.Errorf("read %d times, want once", n)
	}
}

// TestRecoveryWithoutTheMark: where records cannot be links, and what was prepared for the next model is gone, models come
// and are known as ours all the same.
func TestRecoveryWithoutTheMark(t *testing.T) {
	s, bucket := newStore(t, Config{})
	bucket.put("m/w", "weights")
	cache := filepath.Join(s.cfg.ModelsDir, cacheName)
	if err := os.Remove(filepath.Join(cache, markName)); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"one", "two", "three"} {
		pull(t, s, id, memRef("m"))
		if got := files(t, filepath.Join(s.cfg.ModelsDir, id)); !reflect.DeepEqual(got, map[string]string{"m/w": "weights"}) {
			t.Errorf("%s holds %q", id, got)
		}
		if err := os.RemoveAll(filepath.Join(cache, spareName)); err != nil {
			t.Fatal(err)
		}
	}
	s = reopen(t, s, bucket, 1000, func(string) {})
	if entries, err := os.ReadDir(s.cfg.ModelsDir); err != nil || len(entries) != 1 {
		t.Errorf("models directory holds %v (%v)", entries, err)
	}
	pull(t, s, "one", memRef("m"))
}

// TestRecoveryKeepsTheOrderOfUse: when the budget shrank over a restart, the least recently used objects go.
func TestRecoveryKeepsTheOrderOfUse(t *testing.T) {
	s, bucket := newStore(t, Config{})
	for _, name := range []string{"a", "b", "c"} {
		bucket.put(name, strings.Repeat(name, 10))
		pull(t, s, name, memRef(name))
	}
	for _, name := range []string{"b", "c", "a"} {
		if err := s.Remove(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	s = reopen(t, s, bucket, 20, func(cache string) {
		// The file system's clock may not tell three removals apart; move them, in their order.
		for i := range 3 {
			e := s.disk.idle.Front()
			for range i {
				e = e.Next()
			}
			at := time.Unix(1000+int64(i), 0)
			if err := os.Chtimes(s.disk.path(e.Value.(*entry)), at, time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, name := range []string{"a", "c"} {
		pull(t, s, name, memRef(name))
		if n := len(bucket.reads(name)); n != 1 {
			t.Errorf("%s was read %d times, want once", name, n)
		}
	}
	if st := s.Stats(); st.UsedBytes != 20 || st.Objects != 2 {
		t.Errorf("stats %+v", st)
	}
}

// TestCachedBytes: what the next Open will find, counted before it, for a host that derives its budget from free disk.
func TestCachedBytes(t *testing.T) {
	if n, err := CachedBytes(t.TempDir()); n != 0 || err != nil {
		t.Errorf("of a new directory: %d, %v", n, err)
	}
	s, bucket := newStore(t, Config{})
	bucket.put("m/d/w", "weights")
	pull(t, s, "one", memRef("m"))
	write(t, filepath.Join(s.cfg.ModelsDir, cacheName, objectsName, strings.Repeat("0", 64)+"-5"), "1234") // truncated
	if n, err := CachedBytes(s.cfg.ModelsDir); n != s.Stats().UsedBytes || n != 7 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}
