package storage

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// pulled is what a pull in the background came to.
type pulled struct {
	done chan struct{}
	err  error
}

func pullInBackground(ctx context.Context, s *Store, id string, ref *syncv1.StorageReference) *pulled {
	p := &pulled{done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_, p.err = s.Pull(ctx, id, ref)
	}()
	return p
}

func (p *pulled) wait() error {
	<-p.done
	return p.err
}

// gate holds reads of the bucket until it is opened; a read whose context ends leaves.
func (b *fakeBucket) gate() (open func()) {
	gate := make(chan struct{})
	b.onRead = func(ctx context.Context, _ string, _ int64) (int64, error) {
		select {
		case <-gate:
			return -1, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return sync.OnceFunc(func() { close(gate) })
}

// TestOneDownloadForAll: pulls of many models at once fetch a shared object once.
func TestOneDownloadForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, bucket := newStore(t, Config{PartBytes: 4})
		bucket.put("m/w", "123456789")
		open := bucket.gate()
		var pulls []*pulled
		for i := range 50 {
			pulls = append(pulls, pullInBackground(t.Context(), s, fmt.Sprint("id", i), memRef("m")))
		}
		synctest.Wait()
		open()
		for i, p := range pulls {
			if err := p.wait(); err != nil {
				t.Fatalf("pull %d: %v", i, err)
			}
		}
		got := bucket.reads("m/w")
		slices.Sort(got)
		if want := []int64{0, 4, 8}; !slices.Equal(got, want) {
			t.Errorf("ranges read at %v, want each of %v once", got, want)
		}
		if st := s.Stats(); st.FetchedBytes != 9 || st.UsedBytes != 9 {
			t.Errorf("stats %+v", st)
		}
	})
}

// TestCancelLeavesNothing: when Pull returns, nothing of it runs on, nothing is visible and its disk is free.
func TestCancelLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, bucket := newStore(t, Config{DiskBudgetBytes: 10})
		bucket.put("m", "0123456789")
		bucket.gate()
		ctx, cancel := context.WithCancel(t.Context())
		p := pullInBackground(ctx, s, "id", memRef("m"))
		synctest.Wait()
		cancel()
		if err := p.wait(); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "pull model id") {
			t.Errorf("error %v, want a cancelled pull", err)
		}
		if st := s.Stats(); st.UsedBytes != 0 || st.Objects != 0 {
			t.Errorf("stats %+v", st)
		}
		wantCacheClean(t, s)
		if exists(filepath.Join(s.cfg.ModelsDir, "id")) {
			t.Error("a cancelled pull is visible")
		}
		bucket.onRead = nil
		pull(t, s, "id", memRef("m")) // needs the whole budget
	})
}

// TestStarterLeaves: the pull that began a download is cancelled; another that joined it gets its object from the same
// download.
func TestStarterLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, bucket := newStore(t, Config{})
		bucket.put("m", "0123456789")
		open := bucket.gate()
		ctx, cancel := context.WithCancel(t.Context())
		first := pullInBackground(ctx, s, "first", memRef("m"))
		synctest.Wait()
		second := pullInBackground(t.Context(), s, "second", memRef("m"))
		synctest.Wait()
		cancel()
		if err := first.wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("first pull: %v", err)
		}
		open()
		if err := second.wait(); err != nil {
			t.Errorf("second pull: %v", err)
		}
		if n := len(bucket.reads("m")); n != 1 {
			t.Errorf("%d reads, want 1", n)
		}
	})
}

// TestBrokenRangesResume: a connection that breaks after every byte, more often than a silent one would be tried,
// costs no byte twice.
func TestBrokenRangesResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, bucket := newStore(t, Config{PartBytes: 10})
		data := "abcdefghijklmnopqrstuvwxyz"
		bucket.put("m", data)
		bucket.onRead = func(context.Context, string, int64) (int64, error) { return 1, errFakeBroken }
		pull(t, s, "id", memRef("m"))
		if got := files(t, filepath.Join(s.cfg.ModelsDir, "id")); got["m"] != data {
			t.Errorf("got %q", got)
		}
		got := bucket.reads("m")
		slices.Sort(got)
		for i, offset := range got {
			if offset != int64(i) {
				t.Fatalf("reads began at %v, want each offset once", got)
			}
		}
		if len(got) != len(data) {
			t.Errorf("%d reads, want %d", len(got), len(data))
		}
	})
}

// TestGivesUpAndForgets: an outage ends a pull after a bounded number of tries, and the next pull starts fresh.
// (ModelMesh's GCS client answered one old error for ever.)
func TestGivesUpAndForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, bucket := newStore(t, Config{})
		bucket.put("m", "data")
		bucket.onRead = func(context.Context, string, int64) (int64, error) { return 0, errFakeBroken }
		_, err := s.Pull(t.Context(), "id", memRef("m"))
		wantError(t, err, Unavailable, "mem://bucket/m cannot be read now (connection reset)")
		if n := len(bucket.reads("m")); n != maxAttempts {
			t.Errorf("%d reads, want %d", n, maxAttempts)
		}
		wantCacheClean(t, s)
		bucket.onRead = nil
		pull(t, s, "id", memRef("m"))
	})
}

// TestSilentConnection: a read that brings nothing is given up and tried again where it stood.
func TestSilentConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, bucket := newStore(t, Config{})
		bucket.put("m", "data")
		silent := 2
		bucket.onRead = func(ctx context.Context, _ string, _ int64) (int64, error) {
			if silent--; silent >= 0 {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return -1, nil
		}
		start := time.Now()
		pull(t, s, "id", memRef("m"))
		if took := time.Since(start); took < 2*stallTimeout || took > 3*stallTimeout {
			t.Errorf("two silent connections took %v", took)
		}
	})
}

// TestSlowConnection: a read that brings a byte now and then is not silent, however long it takes.
func TestSlowConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, bucket := newStore(t, Config{})
		bucket.put("m", "0123456789")
		bucket.pause = stallTimeout * 3 / 4
		pull(t, s, "id", memRef("m"))
		if n := len(bucket.reads("m")); n != 1 {
			t.Errorf("%d reads, want 1", n)
		}
	})
}

// TestChangingObject: an object that is replaced while it is fetched comes whole in its new version; one that never
// rests is given up.
func TestChangingObject(t *testing.T) {
	for _, changes := range []int{1, maxListings - 1, maxListings} {
		synctest.Test(t, func(t *testing.T) {
			s, bucket := newStore(t, Config{PartBytes: 4, PullConcurrency: 1})
			bucket.put("m", "version-0")
			left := changes
			bucket.onRead = func(_ context.Context, key string, offset int64) (int64, error) {
				if offset == 4 && left > 0 { // after the first range has been written
					left--
					bucket.put(key, fmt.Sprintf("version-%d", changes-left))
				}
				return -1, nil
			}
			_, err := s.Pull(t.Context(), "id", memRef("m"))
			if changes == maxListings {
				wantError(t, err, Unavailable, "kept changing")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"m": fmt.Sprintf("version-%d", changes)}
			if got := files(t, filepath.Join(s.cfg.ModelsDir, "id")); !reflect.DeepEqual(got, want) {
				t.Errorf("after %d changes: %q, want %q", changes, got, want)
			}
		})
	}
}

// TestOthersCredentials: a download that fails by the credentials of the pull that began it does not fail another
// pull that joined it with credentials of its own.
func TestOthersCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, bucket := newStore(t, Config{})
		bucket.put("m", "data")
		gate := make(chan struct{})
		bucket.onRead = func(ctx context.Context, _ string, _ int64) (int64, error) {
			if ctx.Value(fakeUser{}) == "bad" {
				<-gate
				return 0, errFakeDenied
			}
			return -1, nil
		}
		ref := func(user string) *syncv1.StorageReference {
			r := memRef("m")
			r.Parameters["user"] = user
			return r
		}
		bad := pullInBackground(t.Context(), s, "bad", ref("bad"))
		synctest.Wait()
		good := pullInBackground(t.Context(), s, "good", ref("good"))
		synctest.Wait()
		close(gate)
		if err := good.wait(); err != nil {
			t.Errorf("pull with good credentials: %v", err)
		}
		if err := bad.wait(); KindOf(err) != Denied {
			t.Errorf("pull with bad credentials: %v", err)
		}
	})
}

// TestImpatientCallersBlockNobody: callers that wait for a busy model and leave do not hold up those that come later.
// (ModelMesh's puller stopped for ever after one.)
func TestImpatientCallersBlockNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, bucket := newStore(t, Config{})
		bucket.put("m", "data")
		open := bucket.gate()
		first := pullInBackground(t.Context(), s, "id", memRef("m"))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for range 30 {
			if err := pullInBackground(ctx, s, "id", memRef("m")).wait(); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("impatient pull: %v", err)
			}
			if err := s.Remove(ctx, "id"); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("impatient remove: %v", err)
			}
		}
		open()
		if err := first.wait(); err != nil {
			t.Fatal(err)
		}
		if err := s.Remove(t.Context(), "id"); err != nil {
			t.Fatal(err)
		}
		pull(t, s, "id", memRef("m"))
		if len(s.locks.held) != 0 {
			t.Errorf("%d locks are kept", len(s.locks.held))
		}
	})
}

// TestCloseEndsPulls: Close cancels what runs and waits for it; afterwards every call says so.
func TestCloseEndsPulls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, bucket := newStore(t, Config{})
		bucket.put("m", "data")
		bucket.gate()
		p := pullInBackground(t.Context(), s, "id", memRef("m"))
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wantError(t, p.wait(), Unavailable, "shutting down")
		wantCacheClean(t, s)
		_, err := s.Pull(t.Context(), "id", memRef("m"))
		wantError(t, err, Unavailable, "shutting down")
		_, _, err = s.Size(t.Context(), memRef("m"))
		wantError(t, err, Unavailable, "shutting down")
		wantError(t, s.Remove(t.Context(), "id"), Unavailable, "shutting down")
	})
}

// TestConnectionsAreBounded: however many pulls run, no more reads are open than allowed.
func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, bucket := newStore(t, Config{PullConcurrency: 3, PartBytes: 1})
		gate := make(chan struct{})
		var mu sync.Mutex
		running, most := 0, 0
		bucket.onRead = func(context.Context, string, int64) (int64, error) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			<-gate
			mu.Lock()
			running--
			mu.Unlock()
			return -1, nil
		}
		var pulls []*pulled
		for i := range 4 {
			for k := range 5 {
				bucket.put(fmt.Sprintf("m%d/%d", i, k), "12345")
			}
			pulls = append(pulls, pullInBackground(t.Context(), s, fmt.Sprint("id", i), memRef(fmt.Sprint("m", i))))
		}
		synctest.Wait()
		mu.Lock()
		if running != 3 {
			t.Errorf("%d reads are open, want 3", running)
		}
		mu.Unlock()
		close(gate)
		for _, p := range pulls {
			if err := p.wait(); err != nil {
				t.Error(err)
			}
		}
		if most > 3 {
			t.Errorf("%d reads were open at once", most)
		}
	})
}
