package mesh

import (
	"context"
	"fmt"
	"time"

	"github.com/wasmesh/wasmesh/runtimes/fake"
	"github.com/wasmesh/wasmesh/test/rig"
)

// Step multiplies the requests for one model by ten, and watches when further copies serve, how many there come to be, and
// that they go again. A request takes 50 ms, so that the number in flight follows from the rate alone.
func Step(ctx context.Context, c Config) (Figures, error) {
	const hosts, before, after, target = 4, 40, 400, 8
	const load, service = 500 * time.Millisecond, 50 * time.Millisecond
	models, names := numbered("step", 1, fake.Artifact{
		LoadMS: fake.Milliseconds(load.Milliseconds()), ServiceMS: fake.Milliseconds(service.Milliseconds()), SizeBytes: mib,
	})
	// So many copies are needed for the step: requests in flight over what one copy should have.
	inFlight := float64(after) * service.Seconds()
	needed := int((inFlight + target - 1) / target)
	figures := Figures{"step_needed": float64(needed)}
	config := rig.Config{
		Hosts: hosts, CapacityBytes: 64 * mib, Models: models,
		HostArgs: []string{fmt.Sprintf("--copy-concurrency=%d", target), "--scale-down-after=10s"},
	}
	err := within(ctx, c, config, func(m *rig.Mesh) error {
		if err := untilLoaded(ctx, m, names); err != nil {
			return err
		}
		ids, err := modelIDs(ctx, m)
		if err != nil {
			return err
		}
		id := ids[names[0]]
		t := startTraffic(ctx, m.Hosts(), names, before)
		time.Sleep(5 * time.Second)
		calm := len(holders(m, id))
		quiet := t.end()

		step := time.Now()
		t = startTraffic(ctx, m.Hosts(), names, after)
		var second time.Duration
		most := 0
		for time.Since(step) < 10*time.Second {
			n := len(holders(m, id))
			if n > calm && second == 0 {
				second = time.Since(step)
			}
			most = max(most, n)
			time.Sleep(2 * time.Millisecond)
		}
		stepped := t.end()

		over := time.Now()
		t = startTraffic(ctx, m.Hosts(), names, before)
		var back time.Duration
		for time.Since(over) < 60*time.Second && back == 0 {
			if len(holders(m, id)) <= max(calm, 1) {
				back = time.Since(over)
			}
			time.Sleep(50 * time.Millisecond)
		}
		failed := failures(append(append(quiet, stepped...), t.end()...))
		figures["step_copies_before"], figures["step_copies_most"] = float64(calm), float64(most)
		figures["step_next_copy_ms"], figures["step_next_copy_beyond_load_ms"] = milliseconds(second), milliseconds(second-load)
		figures["step_back_s"], figures["step_failed"] = back.Seconds(), float64(len(failed))
		fmt.Fprintf(c.Out, "%d -> %d requests/s on one model: %d cop(ies), next one serving %v after the step (load %v), at most %d for %d needed, back after %v; %d failed\n",
			before, after, calm, second.Round(time.Millisecond), load, most, needed, back.Round(100*time.Millisecond), len(failed))
		say(c.Out, failed, step)
		return nil
	})
	return figures, err
}
