package link

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/host/peers/residency"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, m := NewPublisher(), &meters{}
		server := NewServer(p, hello("a"), all, m.meter(), never)
		ended := make(chan error, 10)
		r := newRig(t, func(stream Stream) error {
			err := server.Serve(t.Context(), stream)
			ended <- err
			return err
		})
		defer server.Wait()
		defer r.end()
		// A follower that greets and says no more, and one that does not even greet.
		for _, greets := range []bool{true, false} {
			stream, err := r.client.Link(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if greets {
				stream.Send(&peerv1.LinkRequest{Message: &peerv1.LinkRequest_Hello{Hello: hello("b")}})
			}
			began := time.Now()
			err = <-ended
			if took := time.Since(began); status.Code(err) != codes.DeadlineExceeded || took > deserted+Beat {
				t.Errorf("the server ended after %v with %v", took, err)
			}
			for err = nil; err == nil; _, err = stream.Recv() {
			}
		}
		// A host that falls silent, and one that is there on the wire but never answers.
		began := time.Now()
		go func() {
			time.Sleep(10 * time.Second)
			r.network.Cut("10.0.0.1", "10.0.0.2")
		}()
		s := newSink()
		err := following("b", m).Follow(t.Context(), r.client, s)
		if took := s.fell.Sub(began); !errors.Is(err, ErrSilent) || took < 10*time.Second || took > 10*time.Second+Silence {
			t.Errorf("it was told after %v, and ended with %v", took, err)
		}
		if took := time.Since(s.fell); took > lingering {
			t.Errorf("the follower ended %v after that", took)
		}
		began = time.Now()
		if err := following("b", m).Follow(t.Context(), r.client, newSink()); !errors.Is(err, ErrSilent) || time.Since(began) > Patience {
			t.Errorf("the second ended after %v with %v", time.Since(began), err)
		}
		r.network.HealAll()
	})
}

// Silence that is this host's own fault is no reason to take the others for dead, for a while.
func TestSilenceWhileStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meters{}
		server := NewServer(NewPublisher(), hello("a"), all, m.meter(), never)
		r := newRig(t, serving(server))
		defer server.Wait()
		defer r.end()
		f := following("b", m)
		f.Stalled = func() bool { return true }
		done := make(chan error, 1)
		s := newSink()
		go func() { done <- f.Follow(t.Context(), r.client, s) }()
		time.Sleep(time.Second)
		r.network.Cut("10.0.0.1", "10.0.0.2")
		time.Sleep(3 * Silence)
		r.network.HealAll()
		time.Sleep(time.Second)
		select {
		case err := <-done:
			t.Fatalf("ended with %v", err)
		default:
		}
		synctest.Wait()
		if !s.fell.IsZero() {
			t.Error("a host was taken for dead")
		}
		r.network.Cut("10.0.0.1", "10.0.0.2")
		began := time.Now()
		if err := <-done; !errors.Is(err, ErrSilent) || time.Since(began) > (maxStalls+2)*Silence+lingering {
			t.Errorf("ended after %v with %v", time.Since(began), err)
		}
		r.network.HealAll()
	})
}

// A host that was silent for a moment, and is heard again, has said nothing in vain: it needs no other stream and no
// other snapshot.
func TestHeardAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, m := NewPublisher(), &meters{}
		server := NewServer(p, hello("a"), all, m.meter(), never)
		r := newRig(t, serving(server))
		defer server.Wait()
		defer r.end()
		p.Publish(entry(1, residency.Loaded), nil)
		s := newSink()
		stop := r.follow(s, m)
		for range 3 {
			time.Sleep(3 * time.Second)
			r.network.Cut("10.0.0.1", "10.0.0.2")
			p.Publish(entry(2, residency.Loaded), nil)
			p.Publish(entry(1, residency.Absent), nil)
			time.Sleep(Silence)
			synctest.Wait()
			if s.fell.IsZero() || s.rose.After(s.fell) {
				t.Fatalf("silent: told at %v, heard again at %v", s.fell, s.rose)
			}
			time.Sleep(lingering / 2)
			r.network.HealAll()
			synctest.Wait()
			if !s.rose.After(s.fell) || !s.Matches(p.log.Stamp()) {
				t.Fatalf("heard again: silent at %v, heard at %v, %d entries", s.fell, s.rose, s.table.Len())
			}
			p.Publish(entry(1, residency.Loaded), nil)
			p.Publish(entry(2, residency.Absent), nil)
		}
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
		if m.snapshots != 1 || s.replaced != 1 {
			t.Errorf("%d snapshots were sent, %d taken in", m.snapshots, s.replaced)
		}
	})
}

// A host that has no time says so, and less; its followers have patience with it until it has time again.
func TestSlowBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meters{}
		var stalled atomic.Bool
		server := NewServer(NewPublisher(), hello("a"), all, m.meter(), stalled.Load)
		r := newRig(t, serving(server))
		defer server.Wait()
		defer r.end()
		var heard atomic.Int64
		meter := m.meter()
		meter.Message = func(direction string, _ int) {
			if direction == In {
				heard.Add(1)
			}
		}
		s, done := newSink(), make(chan error, 1)
		go func() {
			done <- Follower{Hello: hello("b"), Meter: meter, Stalled: never}.Follow(t.Context(), r.client, s)
		}()
		in := func(d time.Duration) time.Duration {
			synctest.Wait()
			before := heard.Load()
			time.Sleep(d)
			synctest.Wait()
			return time.Duration(heard.Load() - before)
		}
		const while = 20 * time.Second
		usual := in(while)
		stalled.Store(true)
		time.Sleep(Beat)
		slow := in(while)
		if usual != while/Beat || slow != while/slowBeat || !s.fell.IsZero() {
			t.Errorf("%d beats, and %d when it had no time; told at %v", usual, slow, s.fell)
		}
		stalled.Store(false)
		time.Sleep(slowBeat)
		synctest.Wait()
		r.network.Cut("10.0.0.1", "10.0.0.2")
		began := time.Now()
		<-done
		if took := s.fell.Sub(began); took <= 0 || took > Silence {
			t.Errorf("it was silent for %v when it had time again", took)
		}
		r.network.HealAll()
	})
}

// One change goes out at once, and the thousandth in a row with many others.
func TestBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, m := NewPublisher(), &meters{}
		server := NewServer(p, hello("a"), all, m.meter(), never)
		r := newRig(t, serving(server))
		defer server.Wait()
		defer r.end()
		s := newSink()
		stop := r.follow(s, m)
		time.Sleep(time.Second)
		for key := range uint64(1000) {
			p.Publish(entry(key, residency.Loaded), nil)
			synctest.Wait()
			if key < burst-1 && s.table.Len() != int(key)+1 {
				t.Fatalf("%d changes are known of %d", s.table.Len(), key+1)
			}
		}
		time.Sleep(rest)
		synctest.Wait()
		if !s.Matches(p.log.Stamp()) || s.advanced > burst+2 /* a beat may be due */ || s.replaced != 1 {
			t.Errorf("%d entries after %d messages", s.table.Len(), s.advanced)
		}
		stop()
	})
}
