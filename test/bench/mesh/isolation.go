package mesh

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/wasmesh/wasmesh/runtimes/fake"
	"github.com/wasmesh/wasmesh/test/rig"
)

// Isolation has 500 requests wait for one cold model whose load takes two seconds, and meanwhile asks for models that
// are loaded. Rounds of quiet and of waiting take turns, so that both see the same machine. Requests go to one host and
// the cold model is loaded by whichever: waiting for a load elsewhere costs as little as for one here.
func Isolation(ctx context.Context, c Config) (Figures, error) {
	const hosts, waiting, rounds = 2, 500, 6
	cold, coldNames := numbered("late", rounds, fake.Artifact{LoadMS: fake.Milliseconds(2000), SizeBytes: mib})
	loaded, loadedNames := numbered("hot", 8, fake.Artifact{SizeBytes: mib})
	figures := Figures{}
	err := within(ctx, c, rig.Config{Hosts: hosts, CapacityBytes: 64 * mib, Models: append(forgetful(cold), loaded...)}, func(m *rig.Mesh) error {
		if err := untilLoaded(ctx, m, loadedNames); err != nil {
			return err
		}
		ids, err := modelIDs(ctx, m)
		if err != nil {
			return err
		}
		for _, name := range coldNames {
			for len(holders(m, ids[name])) > 0 {
				time.Sleep(50 * time.Millisecond)
			}
		}
		time.Sleep(2 * time.Second)
		var ratios, quietP50, busyP50 []time.Duration
		failed := 0
		var threads, goroutines []float64
		memory := make([][]float64, hosts) // by host and round
		for _, name := range coldNames {
			before, err := observe(ctx, m)
			if err != nil {
				return err
			}
			quiet := hits(ctx, m, loadedNames, 1500*time.Millisecond)
			var all sync.WaitGroup
			var mu sync.Mutex
			for range waiting {
				all.Go(func() {
					ctx, cancel := context.WithTimeout(ctx, time.Minute)
					defer cancel()
					if err := ask(ctx, m.Hosts()[0], name); err != nil {
						mu.Lock()
						failed++
						mu.Unlock()
					}
				})
			}
			time.Sleep(300 * time.Millisecond) // All have arrived by then, and the load goes on.
			busy := hits(ctx, m, loadedNames, 1200*time.Millisecond)
			during, err := observe(ctx, m)
			if err != nil {
				return err
			}
			all.Wait()
			q, b := quantile(quiet, 0.5), quantile(busy, 0.5)
			quietP50, busyP50 = append(quietP50, q), append(busyP50, b)
			ratios = append(ratios, time.Duration(float64(b)/float64(q)*1e6))
			for k := range memory {
				memory[k] = append(memory[k], (during.rss[k]-before.rss[k])/waiting/1024)
			}
			threads = append(threads, during.threads-before.threads)
			goroutines = append(goroutines, (during.goroutines-before.goroutines)/waiting)
		}
		figures["isolation_failed"] = float64(failed)
		figures["isolation_hit_p50_ratio"] = float64(quantile(ratios, 0.5)) / 1e6
		// The first round also pays for what a process keeps ever after.
		for k := range memory {
			figures["isolation_kib_per_waiting_first"] = max(figures["isolation_kib_per_waiting_first"], memory[k][0])
			figures["isolation_kib_per_waiting_later"] = max(figures["isolation_kib_per_waiting_later"], median(memory[k][1:]))
		}
		figures["isolation_threads_added_max"] = maximum(threads)
		fmt.Fprintf(c.Out, "%d requests wait for a load of 2 s, %d rounds: hits p50 %v quiet, %v meanwhile; %d failed; KiB of RSS per waiting request by host and round %.1f; threads %v; goroutines per waiting request %.1f\n",
			waiting, rounds, quantile(quietP50, 0.5), quantile(busyP50, 0.5), failed, memory, threads, goroutines)
		return nil
	})
	return figures, err
}

// hits asks for loaded models, one request after the other, through every host in turn.
func hits(ctx context.Context, m *rig.Mesh, names []string, during time.Duration) (took []time.Duration) {
	end := time.Now().Add(during)
	for i := 0; time.Now().Before(end); i++ {
		started := time.Now()
		if ask(ctx, m.Hosts()[i%len(m.Hosts())], names[i%len(names)]) == nil {
			took = append(took, time.Since(started))
		}
	}
	return took
}

// process is what hosts take: memory each, the rest together.
type process struct {
	rss                 []float64
	threads, goroutines float64
}

func observe(ctx context.Context, m *rig.Mesh) (p process, err error) {
	for _, h := range m.Hosts() {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.PID()))
		if err != nil {
			return p, err
		}
		for line := range strings.Lines(string(content)) {
			fields := strings.Fields(line)
			if len(fields) < 2 {
				continue
			}
			n, _ := strconv.ParseFloat(fields[1], 64)
			switch fields[0] {
			case "VmRSS:":
				p.rss = append(p.rss, n*1024)
			case "Threads:":
				p.threads += n
			}
		}
		goroutines, err := h.Metric(ctx, "go_goroutines")
		if err != nil {
			return p, err
		}
		p.goroutines += goroutines
	}
	return p, nil
}

func maximum(of []float64) (most float64) {
	for _, x := range of {
		most = max(most, x)
	}
	return most
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}
