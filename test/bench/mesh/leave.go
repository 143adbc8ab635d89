package mesh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/wasmesh/wasmesh/runtimes/fake"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	"github.com/wasmesh/wasmesh/test/rig"
)

const perSecond = 500

// Kill ends one host of four, and its runtime, under load. Only what was in flight on it may fail, and the models that
// only it held are to answer again soon after the time that they take to load.
func Kill(ctx context.Context, c Config) (Figures, error) {
	const hosts, count = 4, 40
	const load = 300 * time.Millisecond
	models, names := numbered("kill", count, fake.Artifact{LoadMS: fake.Milliseconds(load.Milliseconds()), ServiceMS: fake.Milliseconds(5), SizeBytes: mib})
	figures := Figures{}
	err := within(ctx, c, rig.Config{Hosts: hosts, CapacityBytes: 64 * mib, LoadsAtOnce: 16, Models: models}, func(m *rig.Mesh) error {
		if err := untilLoaded(ctx, m, names); err != nil {
			return err
		}
		ids, err := modelIDs(ctx, m)
		if err != nil {
			return err
		}
		t := startTraffic(ctx, m.Hosts(), names, perSecond)
		time.Sleep(5 * time.Second)
		victim, lost := m.Hosts()[1], map[string]bool{}
		for _, name := range names {
			if at := holders(m, ids[name]); len(at) == 1 && at[0] == victim {
				lost[name] = true
			}
		}
		t.remove(victim)
		killed := time.Now()
		victim.Kill()
		time.Sleep(5 * time.Second)
		all := t.end()
		late, again := 0, map[string]time.Duration{}
		for _, s := range all {
			done := s.started.Add(s.took)
			if s.err != nil && s.started.After(killed.Add(50*time.Millisecond)) {
				late++
			}
			if at := done.Sub(killed); s.err == nil && s.started.After(killed) && lost[s.model] && (again[s.model] == 0 || at < again[s.model]) {
				again[s.model] = at
			}
		}
		slowest := time.Duration(0)
		for name := range lost {
			if again[name] == 0 {
				return fmt.Errorf("%s, which only the killed host held, did not answer again", name)
			}
			slowest = max(slowest, again[name])
		}
		failed := failures(all)
		figures["kill_failed"], figures["kill_failed_later"] = float64(len(failed)), float64(late)
		figures["kill_back_beyond_load_ms"] = milliseconds(slowest - load)
		fmt.Fprintf(c.Out, "kill -9 of one of %d hosts at %d requests/s: %d of %d failed, %d of them sent 50 ms after it or later; %d models were only there, the last answered %v after the kill (load %v)\n",
			hosts, perSecond, len(failed), len(all), late, len(lost), slowest.Round(time.Millisecond), load)
		say(c.Out, failed, killed)
		return nil
	})
	return figures, err
}

// say prints a few failures.
func say(w io.Writer, failed []sent, since time.Time) {
	for i, s := range failed {
		if i == 5 {
			break
		}
		fmt.Fprintf(w, "  failed: %s through %s, sent at %+v: %v\n", s.model, s.host.ID, s.started.Sub(since).Round(time.Millisecond), s.err)
	}
}

// Drain takes every host of four out in turn, under load, and starts it again, as a rolling update does. Nothing may
// fail, and models are to be loaded about as often as copies had to move.
func Drain(ctx context.Context, c Config) (Figures, error) {
	const hosts, count = 4, 40
	models, names := numbered("drain", count, fake.Artifact{LoadMS: fake.Milliseconds(200), ServiceMS: fake.Milliseconds(5), SizeBytes: mib})
	figures := Figures{}
	config := rig.Config{Hosts: hosts, CapacityBytes: 64 * mib, Models: models, HostArgs: []string{"--drain-grace=2s"}}
	err := within(ctx, c, config, func(m *rig.Mesh) error {
		if err := untilLoaded(ctx, m, names); err != nil {
			return err
		}
		t := startTraffic(ctx, m.Hosts(), names, perSecond)
		time.Sleep(3 * time.Second)
		before, moved := m.Loads(), 0
		started := time.Now()
		for _, h := range m.Hosts() {
			n, began := 0, time.Now()
			lost := h.Runtime()
			had := lost.Calls().Loads
			n, err := drain(ctx, m, t, h)
			if err != nil {
				return err
			}
			before -= had // Its runtime is another one now, and counts from zero.
			moved += n
			fmt.Fprintf(c.Out, "%s drained and started again in %v, %d copies moved\n", h.ID, time.Since(began).Round(10*time.Millisecond), n)
			time.Sleep(2 * time.Second)
		}
		all := t.end()
		failed, loads := failures(all), m.Loads()-before
		figures["drain_failed"], figures["drain_moved"], figures["drain_loads"] = float64(len(failed)), float64(moved), float64(loads)
		figures["drain_loads_vs_moved"] = float64(loads) / float64(max(moved, 1))
		fmt.Fprintf(c.Out, "rolling drain of %d hosts at %d requests/s: %d of %d failed; %d copies moved, %d loads\n",
			hosts, perSecond, len(failed), len(all), moved, loads)
		say(c.Out, failed, started)
		return nil
	})
	return figures, err
}

// drain takes one host out and starts it again; it answers how many copies were loaded elsewhere for it.
func drain(ctx context.Context, m *rig.Mesh, t *traffic, h *rig.Host) (moved int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	stream, err := m.Admin().DrainHost(ctx, &adminv1.DrainHostRequest{HostId: h.ID})
	if err != nil {
		return 0, err
	}
	// Endpoints follow readiness within a second or so.
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		for ctx.Err() == nil && h.Ready(ctx) {
			time.Sleep(100 * time.Millisecond)
		}
		t.remove(h)
	}()
	for {
		progress, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return moved, fmt.Errorf("drain %s: %w", h.ID, err)
		}
		if d := progress.GetDraining(); d != nil {
			moved = int(d.GetMoved())
		}
		if progress.GetLeft() {
			break
		}
	}
	select {
	case <-h.Exited():
	case <-ctx.Done():
		return moved, fmt.Errorf("%s has left, and its process goes on: %w", h.ID, ctx.Err())
	}
	<-watching
	h.StopRuntime()
	if err := h.Start(); err != nil {
		return moved, err
	}
	if err := h.WaitReady(ctx); err != nil {
		return moved, err
	}
	t.add(h)
	return moved, nil
}
